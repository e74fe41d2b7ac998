"""Who holds a lease: certain death is told from everything else."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

from agent.adapters import identity

HOLDER = "from agent.adapters import identity; print(identity.own_identity(), flush=True); input()"
JUDGE = (
    "import os, sys; from agent.adapters import identity; print(os.getpid(), "
    "identity.is_dead(sys.argv[1]))"
)
# As an engine restarts a container of a pod: number 1 of a process table of its own, in the pod's
# network.
IN_A_CONTAINER = (
    "unshare",
    "--user",
    "--map-root-user",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
)
IN_ANOTHER_NETWORK = ("unshare", "--user", "--map-root-user", "--net")


@contextlib.contextmanager
def holder(*inside: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that lives until it is killed, and its identity."""
    command = [*inside, sys.executable, "-c", HOLDER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        process.kill()


def dead() -> str:
    """The identity of a process that was killed and buried."""
    with holder() as (process, known):
        process.kill()
    return known


def judged(known: str, *inside: str) -> str:
    """What a process says that is started somewhere else: its own process id, and whether that
    one is dead.
    """
    command = [*inside, sys.executable, "-c", JUDGE, known]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_living_process_is_not_dead() -> None:
    """Neither we ourselves nor one that runs beside us."""
    assert not identity.is_dead(identity.own_identity())
    with holder() as (_process, known):
        assert not identity.is_dead(known)
        assert not identity.is_dead(known), "the look itself must not change the answer"


def test_a_killed_process_is_dead_also_before_it_is_buried() -> None:
    """Dead at once, a zombie, and gone."""
    with holder() as (process, known):
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table
        assert identity.is_dead(known)
    assert identity.is_dead(known)


def test_a_process_id_that_is_used_again_hides_no_death() -> None:
    """The dead one's process id is a living one's by now: dead all the same."""
    host, _pid, start, proof = dead().split("/")
    assert identity.is_dead(f"{host}/{os.getpid()}/{start}/{proof}")


def test_a_restarted_container_knows_that_its_last_life_is_over() -> None:
    """Process 1 of a new process table says of the old one's: alive while it lives, dead once
    killed.
    """
    with holder(*IN_A_CONTAINER) as (process, known):
        assert known.split("/")[1] == "1"
        assert judged(known, *IN_A_CONTAINER) == "1 False"
        process.kill()
        assert process.stdout is not None
        process.stdout.read()  # until number 1 has let it go, which outlives `unshare` by a moment
        assert judged(known, *IN_A_CONTAINER) == "1 True"


def test_what_cannot_be_known_is_not_dead() -> None:
    """Another machine, network or boot, an older form, a stranger's word: wait for its session."""
    known = dead()
    host, pid, start, proof = known.split("/")
    assert identity.is_dead(known)
    assert judged(known, *IN_ANOTHER_NETWORK).endswith("False")
    names, name = proof.split("-")
    other = names.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
    for strange in (
        f"{other}-{name}",
        f"{names}0-{name}",
        names,
        f"{names}-",
        f"{names}-{name}0",
        f"-{name}",
        "",
    ):
        assert not identity.is_dead(f"{host}/{pid}/{start}/{strange}"), strange
    for strange in (f"{host}/{pid}/{start}", "", "x"):
        assert not identity.is_dead(strange), strange
