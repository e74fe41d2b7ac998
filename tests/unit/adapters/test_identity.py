"""Who holds a lease: certain death is told from everything else."""

import os
import subprocess
import sys

from agent.adapters import identity


def of(pid: int) -> str:
    """The identity of another process of this machine."""
    host, _pid, start, table = identity.mine().split("/")
    return f"{host}/{pid}/{start}/{table}"


def test_a_living_process_is_not_dead() -> None:
    """Neither we ourselves nor one that runs beside us."""
    assert not identity.is_dead(identity.mine())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        assert not identity.is_dead(of(other.pid))
        other.kill()


def test_a_killed_process_is_dead_also_before_it_is_buried() -> None:
    """Dead at once, a zombie, and gone."""
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # ended, and still in the table
    assert identity.is_dead(of(other.pid))
    other.wait()
    assert identity.is_dead(of(other.pid))


def test_what_cannot_be_known_is_not_dead() -> None:
    """Another machine, another container, another boot, an older form, a stranger's word: wait for its session."""
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host, pid, start, table = of(dead.pid).split("/")
    assert identity.is_dead(f"{host}/{pid}/{start}/{table}")
    for strange in (f"{host}/{pid}/{start}/{table}0", f"{host}/{pid}/{start}", f"{host}/{pid}/{start}/", "", "x",
                    f"{host}/self/{start}/{table}", f"{host}//{start}/{table}"):  # fmt: skip
        assert not identity.is_dead(strange), strange
