"""The commands `fill`, `demo` and `demo-kraft` of `kafka-migration lab`.

deploy/lab/cli.py registers them. The work is done in demo.py, demo_kraft.py and workload.py.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from agent.cli.quantities import bytes_of, size
from deploy.lab.cluster.topics import default_topics, some_topics

if TYPE_CHECKING:
    from deploy.lab.demo.demo import Demo


def _size(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


DemoDirectory = Annotated[
    Path, typer.Option("--dir", help="Folder of the demo: its lab, its logs and report.json.")
]
BasePort = Annotated[
    int | None,
    typer.Option(help="First of the 100 ports of the lab. By default a free block is chosen."),
]
FillBytes = Annotated[
    Any,
    typer.Option(
        "--bytes",
        parser=_size,
        metavar="SIZE",
        help="How much data to write, before replication, such as 40MB.",
    ),
]
DEFAULT_TOPICS = len(default_topics())
Topics = Annotated[int, typer.Option(min=4, help="How many topics to create.")]


def fill(
    directory: Annotated[
        Path, typer.Option("--dir", envvar="KAFKA_MIGRATION_LAB_DIR", help="Folder of the lab.")
    ] = Path(".lab"),
    fill_bytes: FillBytes = "200MB",
    topics: Topics = DEFAULT_TOPICS,
) -> None:
    """Create topics on the source brokers of a running lab, and write data into them.

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
            f"[red]error:[/] no lab runs in {directory}; start one with `kafka-migration lab up`",
            soft_wrap=True,
        )
        raise typer.Exit(1)
    try:
        status = Lab.at(directory).status()
        config = WorkloadConfig(topics=some_topics(topics), fill_bytes=fill_bytes)
        with Workload(status, directory / "clients", config) as workload:
            created = workload.create_topics()
            seconds = workload.fill()
    except (LabError, WorkloadError, KafkaError) as error:
        console.print(f"[red]error:[/] {error}", soft_wrap=True)
        raise typer.Exit(1) from error
    partitions = sum(t.partitions for t in config.topics)
    console.print(
        f"{created} topics were created, and {size(config.fill_bytes)} were written into "
        f"{partitions} partitions in {seconds:.0f} s"
    )


def demo(
    directory: DemoDirectory = Path("build/demo"),
    base_port: BasePort = None,
    fill_bytes: FillBytes = "400MiB",
    topics: Topics = DEFAULT_TOPICS,
    throttle: Annotated[
        Any,
        typer.Option(
            parser=_size,
            metavar="SIZE",
            help="Throttle of replication, in bytes per second, such as 40MB. The default makes "
            "each wave last at least five seconds.",
        ),
    ] = None,
    load_spike: Annotated[
        bool,
        typer.Option(
            help="Make a load spike in wave 1, at which the agent pauses and resumes by itself."
        ),
    ] = True,
) -> None:
    """Migrate a real cluster on this machine while clients read and write.

    The demo starts a migration, pauses it and resumes it, and then checks every message. The exit
    code is 0 when nothing was lost and nothing is left on the source brokers. The figures are in
    build/demo/report.json.

    `kafka-migration lab demo`

    `kafka-migration lab demo --bytes 40MB --topics 6`
    """
    from deploy.lab.demo.demo import Demo, DemoOptions

    console = Console()
    run = Demo(
        DemoOptions(
            directory=directory,
            base_port=base_port,
            fill_bytes=fill_bytes,
            topics=topics,
            throttle_bytes_per_second=throttle,
            load_spike=load_spike,
        ),
        console,
    )
    _carry_through(run, console)
    console.print("[bold green]nothing was lost, nothing is left on the source brokers[/]")


def demo_kraft(
    directory: DemoDirectory = Path("build/kraft"),
    base_port: BasePort = None,
    fill_bytes: FillBytes = "40MiB",
    topics: Topics = 6,
    back: Annotated[
        list[str] | None,
        typer.Option(
            "--back",
            metavar="PHASE",
            help="Go to this phase and back to ZooKeeper first. May be repeated.",
        ),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option(
            "--faults", help="Kill controllers and brokers and restart ZooKeeper meanwhile."
        ),
    ] = False,
) -> None:
    """Move a cluster to new brokers and then from ZooKeeper to KRaft while clients run.

    At the end ZooKeeper is stopped. The exit code is 0 when nothing was lost and the cluster still
    serves without ZooKeeper. The figures are in build/kraft/report.json.

    `kafka-migration lab demo-kraft`

    `kafka-migration lab demo-kraft --back controllers --back soaking --faults`
    """
    from deploy.lab.demo.demo_kraft import KraftDemo, KraftDemoOptions
    from deploy.lab.demo.kraft_play import ORDER

    if wrong := sorted(set(back or ()) - set(ORDER)):
        raise typer.BadParameter(
            f"{', '.join(wrong)}: must be one of {', '.join(ORDER)}", param_hint="--back"
        )
    console = Console()
    options = KraftDemoOptions(
        directory=directory,
        base_port=base_port,
        fill_bytes=fill_bytes,
        topics=topics,
        back_from=tuple(back or ()),
        faults=faults,
    )
    _carry_through(KraftDemo(options, console), console)
    console.print("[bold green]nothing was lost; the cluster serves on without ZooKeeper[/]")


def _carry_through(run: "Demo", console: Console) -> None:
    """Run a demo and print its report. Exit with 1 when it fails or when something is wrong."""
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
        console.print("interrupted; every process has been ended")
        raise typer.Exit(130) from None
    console.print_json(data=run.report)
    for complaint in wrong:
        console.print(f"[bold red]wrong:[/] {complaint}")
    if wrong:
        raise typer.Exit(1)
