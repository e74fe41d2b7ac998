"""The command `kafka-migration lab`, whose work is done in cluster/lab.py.

`kafka-migration` finds `lab_app` by the entry point `lab` of the group `kafka_migration.commands`.
`python -m deploy.lab.cli` runs it without the agent.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.lab.cluster.config import DEFAULT_CONTROLLER_IDS, CruiseControlKind, LabConfig, Metrics
from deploy.lab.cluster.lab import Lab, LabError
from deploy.lab.demo.demo_command import demo, demo_kraft, fill

lab_app = typer.Typer(
    no_args_is_help=True,
    help="Run a real cluster on this machine, on which a migration can be tried: ZooKeeper, three "
    "source and three destination brokers in three AZs, Cruise Control, and a small Kafka for the "
    "agent's own topics. It needs nothing but Python on Linux.",
)
lab_app.command("fill")(fill)
lab_app.command("demo")(demo)
lab_app.command("demo-kraft")(demo_kraft)
console = Console(stderr=True)  # progress and errors
output = Console()

Directory = Annotated[
    Path,
    typer.Option(
        "--dir",
        envvar="KAFKA_MIGRATION_LAB_DIR",
        help="Folder of the lab: its data, its logs and lab.json.",
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        help="Name of the node, such as zookeeper, control-kafka, broker-11 or cruise-control."
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the content of lab.json instead of tables.")
]
DEFAULT_DIRECTORY = Path(".lab")
DEFAULTS = LabConfig()


BasePort = Annotated[
    int,
    typer.Option(
        min=1024,
        max=65435,
        envvar="KAFKA_MIGRATION_LAB_BASE_PORT",
        help="First of the 100 ports of the lab. Broker 11 listens on this port plus 11.",
    ),
]
KafkaVersion = Annotated[str, typer.Option(help="Version of Kafka: 3.x, or with --kraft also 4.x.")]
CruiseControlOption = Annotated[
    CruiseControlKind,
    typer.Option(
        help="auto runs the real one if CRUISE_CONTROL_CLASSPATH names it, and else the stand-in."
    ),
]
Secure = Annotated[
    bool,
    typer.Option(
        help="Use TLS, passwords and ACLs everywhere. The secrets are in the lab's folder."
    ),
]
MetricsOption = Annotated[
    Metrics,
    typer.Option(
        help="auto runs JMX exporters, and Debian's Prometheus and node exporter if installed."
    ),
]
KraftOnly = Annotated[
    bool, typer.Option(help="Start without ZooKeeper, with three KRaft controllers.")
]
Controllers = Annotated[
    bool,
    typer.Option(
        help="Prepare three KRaft controllers beside ZooKeeper, for `kafka-migration kraft`."
    ),
]
Proxies = Annotated[
    bool, typer.Option(help="Put HAProxy between clients and brokers. It must be installed.")
]
KeepData = Annotated[
    bool, typer.Option(help="Continue with the data of the last lab in this folder.")
]
Foreground = Annotated[
    bool, typer.Option(help="Keep running, and end the lab on Ctrl-C or when this command dies.")
]
StartTimeout = Annotated[float, typer.Option(help="Give up after this many seconds.")]


@lab_app.command()
def up(
    directory: Directory = DEFAULT_DIRECTORY,
    base_port: BasePort = DEFAULTS.base_port,
    kafka_version: KafkaVersion = DEFAULTS.kafka_version,
    cruise_control: CruiseControlOption = CruiseControlKind.AUTO,
    secure: Secure = False,
    metrics: MetricsOption = Metrics.AUTO,
    kraft: KraftOnly = DEFAULTS.kraft,
    controllers: Controllers = False,
    proxies: Proxies = False,
    keep_data: KeepData = False,
    foreground: Foreground = False,
    start_timeout_seconds: StartTimeout = 180.0,
    as_json: AsJson = False,
) -> None:
    """Start the lab and wait until every node serves.

    The lab keeps running after this command, until `down` ends it.
    """
    config = LabConfig(
        directory=directory,
        base_port=base_port,
        kafka_version=kafka_version,
        cruise_control=cruise_control,
        secure=secure,
        metrics=metrics,
        kraft=kraft,
        controller_ids=DEFAULT_CONTROLLER_IDS if controllers else (),
        proxies=proxies,
        keep_data=keep_data,
        start_timeout_seconds=start_timeout_seconds,
    )
    lab = Lab(config)
    with _user_errors_shown():
        content = _up(lab, attached=foreground)
        if as_json:
            print(json.dumps(content, indent=2))
        else:
            _show(lab.status())
            console.print(
                f"the lab is ready after {content['ready_after_seconds']} s; "
                f"{lab.folders.lab_file} describes it"
            )
        if foreground:
            _hold(lab)


@lab_app.command()
def down(directory: Directory = DEFAULT_DIRECTORY) -> None:
    """End every process of the lab. Its folder is kept, because the logs are in it."""
    with _user_errors_shown():
        lab = Lab(LabConfig(directory=directory))
        was_running = lab.is_running
        lab.down()
        console.print("the lab is down" if was_running else f"no lab runs in {directory}")


@lab_app.command()
def status(directory: Directory = DEFAULT_DIRECTORY, as_json: AsJson = False) -> None:
    """Show the lab and its nodes. The exit code is 1 unless it is ready and every node runs."""
    content = Lab(LabConfig(directory=directory)).status()
    if as_json:
        print(json.dumps(content, indent=2))
    else:
        _show(content)
    nodes_run = all(
        node["state"] in {"running", "not started"} for node in content["processes"].values()
    )
    raise typer.Exit(0 if content["running"] and content["state"] == "ready" and nodes_run else 1)


@lab_app.command()
def kill(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Kill a node at once (SIGKILL), as if its machine were lost."""
    with _user_errors_shown():
        Lab.at(directory).kill(name)


@lab_app.command()
def stop(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Shut a node down in order (SIGTERM). A broker hands over its leaders first."""
    with _user_errors_shown():
        Lab.at(directory).stop(name)


@lab_app.command()
def start(
    name: Name,
    directory: Directory = DEFAULT_DIRECTORY,
    properties: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a setting of the node; KEY= removes it. May be repeated.",
        ),
    ] = None,
) -> None:
    """Start a node that was killed or stopped, on its old data, and wait until it serves."""
    with _user_errors_shown():
        changes = {
            key: value or None
            for key, _, value in (text.partition("=") for text in properties or [])
        }
        Lab.at(directory).start(name, changes or None)


@lab_app.command()
def pause(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Freeze a node (SIGSTOP). Its connections stay open, but it answers nothing."""
    with _user_errors_shown():
        Lab.at(directory).pause(name)


@lab_app.command()
def unpause(name: Name, directory: Directory = DEFAULT_DIRECTORY) -> None:
    """Let a frozen node continue (SIGCONT)."""
    with _user_errors_shown():
        Lab.at(directory).unpause(name)


def _up(lab: Lab, attached: bool) -> dict[str, Any]:
    started = time.monotonic()
    with console.status("starting the lab"):
        return lab.up(
            attached=attached,
            progress=lambda step: console.print(
                f"[dim]{time.monotonic() - started:5.1f} s[/dim]  {step}"
            ),
        )


def _hold(lab: Lab) -> None:
    console.print("Ctrl-C ends the lab")
    try:
        while lab.is_running:
            time.sleep(0.5)
        raise LabError(f"the lab has ended by itself; see {lab.folders.supervisor_log}")
    except KeyboardInterrupt:
        lab.down()
        console.print("the lab is down")


def _show(content: dict[str, Any]) -> None:
    output.print(
        f"lab: [bold]{content['state']}[/bold]"
        + (f" ({content['error']})" if content.get("error") else "")
    )
    if not content["processes"]:
        return
    table = Table("node", "state", "port", "pid", "AZ", "role")
    places = {broker["name"]: broker for broker in content.get("brokers", {}).values()}
    for name, node in content["processes"].items():
        place = places.get(name, {})
        alive = content["running"]
        state = node["state"] if alive or node["state"] not in {"running", "paused"} else "gone"
        table.add_row(
            name,
            state,
            str(node["port"]),
            str(node["pid"] or "") if alive else "",
            place.get("rack", ""),
            place.get("role", "")
            or (content["cruise_control"] if name == "cruise-control" else ""),
        )
    output.print(table)
    output.print(f"brokers        {content['bootstrap_servers']}", soft_wrap=True)
    output.print(f"control Kafka  {content['control_bootstrap_servers']}")
    output.print(f"ZooKeeper      {content['zookeeper'] or 'none: KRaft'}")
    output.print(f"Cruise Control {content['cruise_control_url'] or 'none'}")


@contextmanager
def _user_errors_shown() -> Iterator[None]:
    """Show an error that a user can cause as one line and exit with 1; bugs show a traceback."""
    try:
        yield
    except (LabError, KeyError) as error:
        text = error.args[0] if error.args else str(error)
        console.print(f"[red]error:[/red] {text}", soft_wrap=True, markup=True)
        raise typer.Exit(1) from error


if __name__ == "__main__":
    lab_app()
