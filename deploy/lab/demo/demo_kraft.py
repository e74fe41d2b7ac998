"""The KRaft demo (`make demo-kraft`): new brokers, and then KRaft in place of ZooKeeper.

Clients run all the time while replicas move from source to destination brokers, the source brokers
are shut down, the cluster goes from ZooKeeper to new KRaft controllers, and ZooKeeper is stopped.
On request, it first goes back to ZooKeeper from some phases, and faults happen in every phase.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from deploy.lab.cluster.config import DEFAULT_CONTROLLER_IDS, DEFAULT_VERSION, LabConfig
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.demo.demo import Demo, DemoError, DemoOptions
from deploy.lab.demo.kraft_play import KraftPlay
from deploy.lab.demo.story import Story
from deploy.lab.workload import facts
from deploy.lab.workload.client_report import ClientReport

LEFT_SECONDS_MAX = 60.0
SERVE_SECONDS = 10.0
ELECTION_SECONDS_MAX = 60.0


class KraftDemoOptions(DemoOptions):
    """The options of a KRaft demo."""

    directory: Path = Path("build/kraft")
    # Phases from which it goes back to ZooKeeper before the final migration.
    back_from: tuple[str, ...] = ()
    faults: bool = False


class KraftDemo(Demo):
    """One run of the KRaft demo. `report` is complete after it."""

    options: KraftDemoOptions

    def __init__(self, options: KraftDemoOptions, console: Console) -> None:
        super().__init__(options, console)
        self._kraft: dict[str, Any] = {}

    def lab_config(self, base_port: int) -> LabConfig:
        return LabConfig(
            directory=self.options.directory / "lab",
            base_port=base_port,
            kafka_version=DEFAULT_VERSION,
            kraft=False,
            controller_ids=DEFAULT_CONTROLLER_IDS,
        )

    async def _await_release(self, story: Story, lab: Lab) -> None:
        await super()._await_release(story, lab)
        with self._timed("sources shut down"):
            await self._shut_down_sources(story, lab)
        play = KraftPlay(lab, story, self._say, self._gone)
        backs: list[dict[str, Any]] = []
        for phase in self.options.back_from:
            began = time.monotonic()
            self._say(f"there and back: to {phase}, then `kraft rollback`")
            await play.there(phase)
            await play.back(faults=self.options.faults)
            backs.append({"from": phase, "seconds": round(time.monotonic() - began, 1)})
        with self._timed("zookeeper to kraft"):
            await play.there("soaking", faults=self.options.faults)
            await play.soaked()
            await play.finalize(faults=self.options.faults)
        self._say("stopping ZooKeeper; the cluster has to serve on without it")
        await asyncio.to_thread(lab.stop, "zookeeper")
        served = await self._serves_on(lab)
        self._kraft = {
            "phases": play.phases,
            "there_and_back": backs,
            "faults": play.faults,
            "refused": play.refusals,
            "zookeeper_stopped": lab.pid("zookeeper") is None,
            **served,
        }

    async def _shut_down_sources(self, story: Story, lab: Lab) -> None:
        self._say("shutting the source brokers down")
        for broker_id in lab.config.source_ids:
            await asyncio.to_thread(lab.stop, f"broker-{broker_id}")
        await story.until(
            lambda e: e["type"] == "MigrationCompleted",
            LEFT_SECONDS_MAX,
            what="the end of the migration",
            unless=self._gone,
        )

    async def _serves_on(self, lab: Lab) -> dict[str, Any]:
        """Check that the cluster serves without ZooKeeper.

        A broker is restarted and a topic is created, after which all replicas are in sync and led
        by their preferred leaders.
        """
        await asyncio.sleep(SERVE_SECONDS)
        node = lab.config.broker_nodes[-1]
        await asyncio.to_thread(lab.restart, node.name)

        def work() -> dict[str, Any]:
            with admin_client(lab.config.bootstrap_servers, ELECTION_SECONDS_MAX) as admin:
                admin.create_topics(
                    {"made-without-zookeeper": {"num_partitions": 3, "replication_factor": 3}}
                )
                deadline = time.monotonic() + ELECTION_SECONDS_MAX
                while (
                    seen := facts.look(lab.config.bootstrap_servers)
                ).out_of_sync or seen.not_led_by_preferred:
                    if time.monotonic() > deadline:
                        raise DemoError(
                            f"{seen.out_of_sync} partitions do not get in sync without ZooKeeper"
                        )
                    if not seen.out_of_sync:
                        admin.elect_leaders(0, None, timeout_ms=10_000, raise_errors=False)
                    time.sleep(1.0)
            return {
                "topic_made_without_zookeeper": True,
                "broker_restarted_without_zookeeper": node.name,
            }

        return await asyncio.to_thread(work)

    def _write(
        self, lab: Lab, story: Story, clients: ClientReport, before: facts.Facts, after: facts.Facts
    ) -> None:
        super()._write(lab, story, clients, before, after)
        self.report["kraft"] = self._kraft
