"""`doctor`: is the cluster fit for a migration?

Every check, green and red. Registered by app.py; moves nothing.
"""

from typing import Any

import typer

from agent.cli import render
from agent.cli.commands import ANSWER_SECONDS, command_for
from agent.cli.connection import Cluster, JsonOption, Servers, TopicPrefix, connect
from agent.cli.flags import DestinationOption, SourceOption
from agent.cli.terminal import Exit, out, print_json, run


def doctor(
    cluster: Cluster,
    source: SourceOption = None,
    destination: DestinationOption = None,
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Look at the cluster and Cruise Control as a start would: every check, green and red, and what
    to do.

    `kafka-migration doctor lab`

    `kafka-migration doctor lab --json | jq '.verdicts[] | select(.ok | not)'`

    Exit code 1 when any is red.
    """
    named = {"source_broker_ids": source, "destination_broker_ids": destination}
    options = {name: ids for name, ids in named.items() if ids is not None}
    command = command_for(
        "plan", cluster, "doctor", "", None, {"options": options}, as_json=as_json
    )
    connection = connect(servers, prefix, as_json=as_json)

    async def work() -> None:
        findings = check_results_of(await connection.client.plan(command, ANSWER_SECONDS))
        print_json(findings) if as_json else out.print(render.check_results(findings))
        if not findings["fit"]:
            raise typer.Exit(int(Exit.REFUSED))

    run(work(), as_json=as_json)


def check_results_of(event: dict[str, Any]) -> dict[str, Any]:
    """PlanMade or a refusal as findings: all verdicts, and what keeps a plan from being made as
    red ones too.
    """
    data = event["data"]
    told = [dict(v) for v in data.get("check_results") or []]
    known = {v["code"] for v in told if not v["ok"]}
    told += [
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
    for verdict in told:
        verdict["do"] = "" if verdict["ok"] else render.what_to_do(verdict)
    return {
        "cluster": event.get("cluster", ""),
        "fit": all(v["ok"] for v in told),
        "check_results": told,
    }


__all__ = ["check_results_of", "doctor"]
