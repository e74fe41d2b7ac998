"""`kafka-migration lab fill`, `lab demo` and `lab demo-kraft`: a thin layer over demo.py.

Registered by deploy/lab/cli.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from agent.cli.quantities import bytes_of, size
from deploy.lab.cluster.topics import default_topics, some_topics
from deploy.lab.workload.workload import MEBIBYTE

if TYPE_CHECKING:
    from deploy.lab.demo.demo import Demo


def _size(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def fill(
    directory: Annotated[
        Path, typer.Option("--dir", envvar="KAFKA_MIGRATION_LAB_DIR", help="The lab's folder.")
    ] = Path(".lab"),
    fill_bytes: Annotated[
        Any,
        typer.Option(
            "--bytes",
            parser=_size,
            metavar="200MB",
            help="Data before replication; default 200 MB.",
        ),
    ] = None,
    topics: Annotated[int, typer.Option(min=4, help="How many topics.")] = len(default_topics()),
) -> None:
    """Give a running lab something to move: topics on the source brokers, with data in them.

    `kafka-migration lab fill --bytes 200MB`
    """
    from kafka.errors import KafkaError

    from deploy.lab.cluster.config import LabConfig
    from deploy.lab.cluster.lab import Lab, LabError
    from deploy.lab.workload.tools import WorkloadError
    from deploy.lab.workload.workload import Workload, WorkloadConfig

    console = Console(stderr=True)
    if not Lab(LabConfig(directory=directory)).is_running:
        console.print(
            f"[red]error:[/] no lab runs in {directory}: `kafka-migration lab up` starts one",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    try:
        status = Lab.at(directory).status()
        config = WorkloadConfig(topics=some_topics(topics), fill_bytes=fill_bytes or 200_000_000)
        with Workload(status, directory / "clients", config) as workload:
            created = workload.create_topics()
            seconds = workload.fill()
    except (LabError, WorkloadError, KafkaError) as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    partitions = sum(t.partitions for t in config.topics)
    console.print(
        f"{created} topics created; {partitions} partitions hold {size(config.fill_bytes)} "
        f"more, {seconds:.0f} s"
    )


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", help="For its lab, logs and report.json.")
    ] = Path("build/demo"),
    base_port: Annotated[
        int | None, typer.Option(help="First of the lab's 100 ports; default: a free block.")
    ] = None,
    fill_bytes: Annotated[
        Any,
        typer.Option(
            "--bytes",
            parser=_size,
            metavar="400MB",
            help="Data before replication; default 400 MiB.",
        ),
    ] = None,
    topics: Annotated[int, typer.Option(min=4, help="How many topics.")] = len(default_topics()),
    throttle: Annotated[
        Any,
        typer.Option(
            parser=_size,
            metavar="40MB",
            help="Default: such that a wave lasts five seconds or more.",
        ),
    ] = None,
    load_spike: Annotated[
        bool,
        typer.Option(
            help="A load spike in wave 1, at which the agent pauses and resumes by itself."
        ),
    ] = True,
) -> None:
    """Migrate a real cluster on this machine while clients run: start, pause, resume, and the
    proof.

    Exit code 0: nothing was lost, and nothing is left on the source brokers. build/demo/report.json
    has the figures.

    `kafka-migration lab demo`

    `kafka-migration lab demo --bytes 40MB --topics 6`
    """
    from deploy.lab.demo.demo import Demo, DemoOptions

    console = Console()
    run = Demo(
        DemoOptions(
            directory=directory,
            base_port=base_port,
            fill_bytes=fill_bytes or 400 * MEBIBYTE,
            topics=topics,
            throttle_bytes_per_second=throttle,
            load_spike=load_spike,
        ),
        console,
    )
    _carry_through(run, console)
    console.print("[bold green]nothing was lost, nothing is left on the source brokers[/]")


def demo_kraft(
    directory: Annotated[
        Path, typer.Option("--dir", help="For its lab, logs and report.json.")
    ] = Path("build/kraft"),
    base_port: Annotated[
        int | None, typer.Option(help="First of the lab's 100 ports; default: a free block.")
    ] = None,
    fill_bytes: Annotated[
        Any,
        typer.Option(
            "--bytes",
            parser=_size,
            metavar="40MB",
            help="Data before replication; default 40 MiB.",
        ),
    ] = None,
    topics: Annotated[int, typer.Option(min=4, help="How many topics.")] = 6,
    back: Annotated[
        list[str] | None,
        typer.Option(
            "--back",
            metavar="PHASE",
            help="First go to this phase and back to ZooKeeper. May be repeated.",
        ),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults", help="Kill controllers and brokers, restart ZooKeeper on the way."
        ),
    ] = False,
) -> None:
    """The whole journey on this machine while clients run: replicas moved, then ZooKeeper to KRaft,
    ZooKeeper stopped.

    Exit code 0: nothing was lost, and the cluster serves on without ZooKeeper.
    build/kraft/report.json has the figures.

    `kafka-migration lab demo-kraft`

    `kafka-migration lab demo-kraft --back controllers --back soaking --faults`
    """
    from deploy.lab.demo.demo_kraft import KraftDemo, KraftDemoOptions
    from deploy.lab.demo.kraft_play import ORDER

    if wrong := sorted(set(back or ()) - set(ORDER)):
        raise typer.BadParameter(
            f"{', '.join(wrong)}: one of {', '.join(ORDER)}", param_hint="--back"
        )
    console = Console()
    options = KraftDemoOptions(
        directory=directory,
        base_port=base_port,
        fill_bytes=fill_bytes or 40 * MEBIBYTE,
        topics=topics,
        back_from=tuple(back or ()),
        faults=faults,
    )
    _carry_through(KraftDemo(options, console), console)
    console.print("[bold green]nothing was lost; the cluster serves on without ZooKeeper[/]")


def _carry_through(run: "Demo", console: Console) -> None:
    """Run it and print its report; exit code 1 when it stops or shows something wrong."""
    from kafka.errors import KafkaError

    from agent.client import ClientError
    from deploy.lab.cluster.lab import LabError
    from deploy.lab.cluster.ports import PortTakenError
    from deploy.lab.demo.demo import DemoError, StoryError, ended_by_sigterm
    from deploy.lab.workload.tools import WorkloadError

    directory = run.options.directory
    try:
        with ended_by_sigterm():
            wrong = run.run()
    except (
        DemoError,
        StoryError,
        ClientError,
        LabError,
        PortTakenError,
        WorkloadError,
        KafkaError,
    ) as error:
        console.print(f"[bold red]the demo stopped:[/] {error}", markup=True, soft_wrap=True)
        console.print(f"logs: {directory / 'agent.log'}, {directory / 'lab' / 'logs'}")
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        console.print("interrupted; everything has been ended")
        raise typer.Exit(130) from None
    console.print_json(data=run.report)
    for complaint in wrong:
        console.print(f"[bold red]wrong:[/] {complaint}")
    if wrong:
        raise typer.Exit(1)
