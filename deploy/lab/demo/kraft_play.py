"""Takes a lab's cluster to KRaft as an operator would, causes faults on request and keeps times.

demo_kraft.py and tests use it. It reaches the agent only through the control topics.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from agent.client import ControlClient
from deploy.lab.cluster.description import CLUSTER_NAME
from deploy.lab.cluster.lab import Lab, LabError
from deploy.lab.demo.story import Event, Story

ORDER = ("preparing", "controllers", "brokers_to_migration", "brokers_to_kraft", "soaking")
SETTLED_FIRST = ("controllers", "brokers_to_migration")
PHASE_SECONDS_MAX = 400.0
ANSWER_SECONDS = 60.0
RETRY_SECONDS = 2.0
DOWN_SECONDS = 4.0
ENTERED = {
    "KraftStarted": "preparing",
    "KraftControllersBegun": "controllers",
    "KraftMigrationBegun": "brokers_to_migration",
    "KraftTurnBegun": "brokers_to_kraft",
    "KraftSoakBegun": "soaking",
    "KraftFinalizeBegun": "finalizing",
    "KraftCompleted": "done",
    "KraftRollbackStarted": "going_back",
    "KraftRolledBack": "rolled_back",
}


class KraftPlay:
    """The migration of one cluster to KRaft, with any number of returns to ZooKeeper."""

    def __init__(
        self, lab: Lab, story: Story, say: Callable[[str], None], gone: Callable[[], str | None]
    ) -> None:
        self._lab, self._story, self._say, self._gone = lab, story, say, gone
        self._client = ControlClient(
            {"bootstrap_servers": lab.status()["control_bootstrap_servers"]}
        )
        self.phases: list[dict[str, Any]] = []
        self.faults: list[dict[str, Any]] = []
        self.refusals: list[dict[str, Any]] = []
        self._since = 0

    async def there(self, last: str, faults: bool = False) -> None:
        """Go from ZooKeeper to the phase `last` with `start` and `advance`.

        With faults, some happen in each phase.
        """
        await self._command("start")
        self._since = await self._entered("preparing")
        for phase in ORDER[1 : ORDER.index(last) + 1]:
            await self._until(
                lambda e: e["type"] == "KraftReady", f"the signals of the phase before {phase}"
            )
            await self._command("advance")
            self._since = await self._entered(phase)
            if faults:
                await self._strike(phase)

    async def soaked(self) -> None:
        """Wait until the soak time is over and the drills are done."""
        await self._until(
            lambda e: e["type"] == "KraftReady" and e["data"]["phase"] == "soaking", "the soak"
        )

    async def back(self, faults: bool = False) -> None:
        """Return to ZooKeeper, from amid the restarts to KRaft or from the end of another phase.

        With faults, a broker is killed during each series of restarts, and a controller while there
        are some.
        """
        left = self.phases[-1]["phase"]
        if left == "brokers_to_kraft":
            await self._until(
                lambda e: e["type"] == "KraftNodeChanged", "the first broker in KRaft mode"
            )
        if left in SETTLED_FIRST:
            await self._until(
                lambda e: e["type"] == "KraftReady", "the signals before the way back"
            )
        await self._command("rollback", patiently=True)
        self._since = await self._entered("going_back")
        if faults and left != ORDER[0]:
            await self._strike_back(left)
        self._since = await self._entered("rolled_back")

    async def finalize(self, faults: bool = False) -> None:
        """Check that the command is refused without `i_know`, and then give it with `i_know`.

        Afterwards there is no way back.
        """
        refused = await self._ask("finalize")
        self.refusals.append(
            {"action": "finalize", "codes": [r["code"] for r in refused["data"].get("reasons", ())]}
        )
        await self._command("finalize", i_know=True, patiently=True)
        self._since = await self._entered("finalizing")
        if faults:
            await self._strike("finalizing")
        self._since = await self._entered("done")
        refused = await self._ask("rollback")
        self.refusals.append(
            {"action": "rollback", "codes": [r["code"] for r in refused["data"].get("reasons", ())]}
        )

    # ---- internals

    async def _ask(self, action: str, **fields: Any) -> Event:
        command = {
            "type": "kraft",
            "cluster": CLUSTER_NAME,
            "issued_by": "demo",
            "action": action,
            **fields,
        }
        return await self._client.send_command(command, ANSWER_SECONDS)

    async def _command(self, action: str, *, patiently: bool = False, **fields: Any) -> None:
        """Give a command until it is accepted, as causes that pass by themselves may refuse it."""
        self._say(f"command: kraft {action}")
        deadline = time.monotonic() + (PHASE_SECONDS_MAX if patiently else ANSWER_SECONDS)
        said = ""
        while (answer := await self._ask(action, **fields))["type"] != "CommandAccepted":
            if (codes := ", ".join(r["code"] for r in answer["data"]["reasons"])) != said:
                self._say(f"  refused: {codes}")
                said = codes
            if time.monotonic() > deadline:
                raise LabError(f"kraft {action} is still refused: {answer['summary']}")
            await asyncio.sleep(RETRY_SECONDS)

    async def _entered(self, phase: str) -> int:
        """Wait for the phase, and return the index of the event after it."""
        wanted = {kind for kind, name in ENTERED.items() if name == phase}
        began = time.monotonic()
        event = await self._until(lambda e: e["type"] in wanted, f"the phase {phase}")
        if self.phases:
            self.phases[-1].setdefault("seconds", round(time.monotonic() - self._entered_at, 1))
        self._entered_at = time.monotonic()
        self.phases.append({"phase": phase, "waited_seconds": round(time.monotonic() - began, 1)})
        self._say(f"  {event['summary']}")
        return self._story.events.index(event) + 1

    async def _until(self, wanted: Callable[[Event], bool], what: str) -> Event:
        return await self._story.until(
            wanted, PHASE_SECONDS_MAX, what=what, since=self._since, unless=self._gone
        )

    async def _strike(self, phase: str) -> None:
        """Kill a controller in every phase and a broker during each series of restarts.

        ZooKeeper is restarted while the cluster writes to both.
        """
        changed = await self._until(
            lambda e: e["type"] in ("KraftNodeChanged", "KraftDrillBegun"),
            f"the first step of {phase}",
        )
        await self._kill(phase, self._lab.config.controller_nodes[0].name)
        if phase in ("brokers_to_migration", "brokers_to_kraft"):
            await self._kill(phase, f"broker-{changed['data']['node_id']}")
        if phase == "brokers_to_kraft":
            self._say("fault: ZooKeeper is restarted while both are written")
            await asyncio.to_thread(self._lab.restart, "zookeeper")
            self.faults.append({"phase": phase, "node": "zookeeper", "how": "restarted"})

    async def _strike_back(self, left: str) -> None:
        """Cause faults on the way back from the phase `left`."""
        rolls = {"back_to_migration": "migration"} if left in ORDER[3:] else {}
        for phase, mode in {**rolls, "back_to_zookeeper": "zookeeper"}.items():

            def turned(e: Event, mode: str = mode) -> bool:
                data = e["data"]
                return bool(
                    e["type"] == "KraftNodeChanged"
                    and not data["is_controller"]
                    and data["target"] == mode
                )

            changed = await self._until(turned, f"the first broker of {phase}")
            await self._kill(phase, f"broker-{changed['data']['node_id']}")
            if phase == "back_to_migration":
                await self._kill(phase, self._lab.config.controller_nodes[0].name)

    async def _kill(self, phase: str, name: str) -> None:
        self._say(f"fault: {name} is killed in phase {phase}")
        # If it is down for its restart at this moment, that was the fault.
        with contextlib.suppress(LabError):
            await asyncio.to_thread(self._lab.kill, name)
        await asyncio.sleep(DOWN_SECONDS)
        with contextlib.suppress(LabError):  # the agent may have started it meanwhile
            await asyncio.to_thread(self._lab.start, name, wait=False)
        self.faults.append({"phase": phase, "node": name, "how": "killed"})

    _entered_at = 0.0
