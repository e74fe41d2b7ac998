"""`kafka-migration doctor`: shows whether a cluster is fit for a migration, and moves nothing.

Registered by app.py.
"""

from typing import Any

import typer

from agent.cli import render, render_plan
from agent.cli.commands import ANSWER_SECONDS, command_for
from agent.cli.connection import Cluster, JsonOption, Servers, TopicPrefix
from agent.cli.flags import Destination, Sender, Source, typed_options
from agent.cli.terminal import Exit, out, print_json, run


def doctor(
    cluster: Cluster,
    source: Source = None,
    destination: Destination = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Check the cluster and Cruise Control as a start would, and show every check, with what to do
    about the red ones.

    `kafka-migration doctor lab`

    `kafka-migration doctor lab --json | jq '.check_results[] | select(.ok | not)'`

    The exit code is 1 when any check is red.
    """
    sender = Sender(reason="doctor", as_json=as_json, servers=servers, prefix=prefix)
    options = typed_options({"source_broker_ids": source, "destination_broker_ids": destination})
    command = command_for("plan", cluster, sender, options=options)
    connection = sender.connect()

    async def work() -> None:
        findings = check_results_of(await connection.client.plan(command, ANSWER_SECONDS))
        print_json(findings) if as_json else out.print(render_plan.check_results(findings))
        if not findings["fit"]:
            raise typer.Exit(int(Exit.REFUSED))

    run(work(), as_json=as_json)


def check_results_of(event: dict[str, Any]) -> dict[str, Any]:
    """Returns the check results of a PlanMade or CommandRefused event.

    Each reason that prevents the plan is included as a red check.
    """
    data = event["data"]
    results = [dict(check) for check in data.get("check_results") or []]
    known = {check["code"] for check in results if not check["ok"]}
    results += [
        {
            "title": "plan",
            "code": r["code"],
            "ok": False,
            "seen": r["seen"],
            "needed": r.get("needed", ""),
        }
        for r in data.get("reasons") or []
        if r["code"] not in known
    ]
    for result in results:
        result["do"] = "" if result["ok"] else render.what_to_do(result)
    return {
        "cluster": event.get("cluster", ""),
        "fit": all(check["ok"] for check in results),
        "check_results": results,
    }


__all__ = ["check_results_of", "doctor"]
