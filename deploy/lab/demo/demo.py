"""The demo (`make demo`): a whole migration of a real cluster in the lab while clients run.

It uses the agent only through the control topics, with commands as an operator gives them, and
judges the result by facts from Kafka itself (facts.py, demo_report.py).
"""

import asyncio
import contextlib
import json
import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from agent.cancellation import end
from agent.cli.live import Bars, Lines
from agent.cli.quantities import rate, size
from agent.client import ClientError, ControlClient
from deploy.lab.cluster.config import LabConfig, Metrics, Role
from deploy.lab.cluster.description import CLUSTER_NAME
from deploy.lab.cluster.files import write_atomically
from deploy.lab.cluster.lab import Lab
from deploy.lab.cluster.ports import free_base_port
from deploy.lab.cluster.topics import TopicSpec, default_topics, some_topics
from deploy.lab.demo import demo_report
from deploy.lab.demo.agent_process import AgentProcess, CollectorProcess
from deploy.lab.demo.demo_pause import PauseAct
from deploy.lab.demo.load_spike import LoadSpike
from deploy.lab.demo.story import Event, Story, StoryError
from deploy.lab.workload import facts
from deploy.lab.workload.client_report import ClientReport
from deploy.lab.workload.surge import Surge
from deploy.lab.workload.workload import MEBIBYTE, Workload, WorkloadConfig

READY_SECONDS_MAX = 180.0  # a real Cruise Control waits for metric windows
WAVE_SECONDS_MAX = 300.0
# A wave lasts at least this many seconds, so that it can be watched and paused.
THROTTLE_SHARE = 5


class DemoError(RuntimeError):
    """The demo could not be completed. The text says where it stopped and why."""


class DemoOptions(BaseModel):
    """The options of a demo."""

    model_config = ConfigDict(frozen=True)

    directory: Path = Path("build/demo")
    base_port: int | None = None  # None chooses a free one
    # Before replication, which puts this amount on each source broker.
    fill_bytes: int = Field(default=400 * MEBIBYTE, ge=1_000_000)
    topics: int = Field(default=len(default_topics()), ge=4)
    throttle_bytes_per_second: int | None = None  # None is a fifth of fill_bytes
    pause_seconds: float = Field(default=5.0, ge=1)
    load_spike: bool = True

    @property
    def throttle(self) -> int:
        return self.throttle_bytes_per_second or max(self.fill_bytes // THROTTLE_SHARE, 1_000_000)

    @property
    def topic_specs(self) -> tuple[TopicSpec, ...]:
        return some_topics(self.topics)


class Demo:
    """One run of the demo. `report` is complete after `run`."""

    def __init__(self, options: DemoOptions, console: Console) -> None:
        self.options = options
        self.report: dict[str, Any] = {}
        self._console = console
        self._began = time.monotonic()
        self._timings: dict[str, float] = {}
        self._pauses: list[dict[str, Any]] = []
        self._spike: LoadSpike | None = None

    @property
    def report_file(self) -> Path:
        return self.options.directory / "report.json"

    def run(self) -> list[str]:
        """Run the demo and return what is wrong, which is empty when nothing was lost or left over.

        No process is left behind.
        """
        o = self.options
        o.directory.mkdir(parents=True, exist_ok=True)
        self.report_file.unlink(missing_ok=True)
        lab = Lab(self.lab_config(o.base_port or free_base_port()))
        agent = AgentProcess(lab, o.directory / "agent.log")
        collector = CollectorProcess(lab, o.directory / "collector.log")
        for process in (agent, collector):
            process.log.unlink(missing_ok=True)
        try:
            with self._timed("lab"), contextlib.ExitStack() as until_up:
                until_up.callback(lab.down)
                self._say(
                    "starting the lab: ZooKeeper, 6 brokers in 3 AZs, Cruise Control, "
                    "the control Kafka"
                )
                lab.up(attached=True, progress=lambda step: self._say(f"  {step}"))
                until_up.pop_all()
            workload_config = WorkloadConfig(topics=o.topic_specs, fill_bytes=o.fill_bytes)
            with (
                Workload(lab.status(), o.directory / "clients", workload_config) as workload,
                Surge(workload.lab, o.directory / "clients") as surge,
            ):
                watched = lab.config.metrics is not Metrics.NONE
                if watched:
                    surge.create_topic()
                else:
                    agent.start()
                self._prepare(workload)
                if watched:
                    self._spike = LoadSpike(surge, self._say)
                    with self._timed("calm"):
                        self._spike.measure(lab)
                    agent.start()  # the agent reads the rule when it starts
                asyncio.run(self._migrate(lab, agent, workload, collector))
        finally:
            agent.stop()
            collector.stop()
            lab.down()
            shutil.rmtree(lab.folders.all_data, ignore_errors=True)
        wrong = demo_report.what_is_wrong(self.report)
        self.report |= {"seconds": round(time.monotonic() - self._began, 1), "wrong": wrong}
        write_atomically(self.report_file, json.dumps(self.report, indent=2) + "\n")
        return wrong

    def lab_config(self, base_port: int) -> LabConfig:
        """The lab of this run; other demos have their own."""
        metrics = Metrics.AUTO if self.options.load_spike else Metrics.NONE
        return LabConfig(
            directory=self.options.directory / "lab", base_port=base_port, metrics=metrics
        )

    # ---- the parts of the demo

    def _prepare(self, workload: Workload) -> None:
        specs, filled = self.options.topic_specs, size(self.options.fill_bytes)
        self._say(
            f"filling {len(specs)} topics, {sum(t.partitions for t in specs)} "
            f"partitions, with {filled}"
        )
        with self._timed("fill"):
            workload.create_topics()
            workload.fill()
        self._say("starting Kafka's own VerifiableProducers and VerifiableConsumers")
        with self._timed("clients"):
            workload.start_clients()

    async def _migrate(
        self, lab: Lab, agent: AgentProcess, workload: Workload, collector: CollectorProcess
    ) -> None:
        client = ControlClient({"bootstrap_servers": lab.status()["control_bootstrap_servers"]})
        self._gone = lambda: (
            None if agent.is_running else f"the agent has ended: {agent.last_words()}"
        )
        with self._timed("agent ready"):
            await agent.ready(client)
        if self._spike:
            collector.start()  # the agent has created the topic by now
        before = await asyncio.to_thread(facts.look, lab.config.bootstrap_servers)
        events_file = self.options.directory / "events.jsonl"
        async with Story(client, CLUSTER_NAME, events_file).following() as story:
            with self._timed("cruise control ready"):
                await self._cruise_control_ready(client)
            with self._timed("migration"):
                async with self._bars(client):
                    await self._start(client)
                    await self.steer(client, story, lab, agent)
                    await self._await_drained(story)
            with self._timed("quiet time"):
                await self._await_release(story, lab)
            self._say("stopping the clients and accounting for every message")
            counted = await asyncio.to_thread(workload.stop_clients)
            after = await asyncio.to_thread(facts.look, lab.config.bootstrap_servers)
            self._write(lab, story, counted, before, after)

    async def _cruise_control_ready(self, client: ControlClient) -> None:
        self._say("asking for a plan until nothing stands in the way")
        said = ""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            made = await client.plan({"type": "plan", "cluster": CLUSTER_NAME})
            reasons = made["data"]["reasons"]
            if not reasons:
                self._say(f"  {made['summary']}")
                return
            if time.monotonic() > deadline:
                raise DemoError(f"the cluster does not get ready: {made['summary']}")
            if (codes := ", ".join(r["code"] for r in reasons)) != said:
                self._say(f"  in the way: {codes}")
                said = codes
            await asyncio.sleep(2.0)

    async def _start(self, client: ControlClient) -> None:
        self._say(f"command: start, mode full, throttle {rate(self.options.throttle)}")
        await self._order(
            client,
            "start",
            options={"mode": "full", "throttle_bytes_per_second": self.options.throttle},
        )

    async def steer(
        self,
        client: ControlClient,
        story: Story,
        lab: Lab,
        agent: AgentProcess,  # noqa: ARG002
    ) -> None:
        """What happens during the migration: a load spike, and a pause in which nothing moves.

        Tests replace it with their own.
        """
        order, servers = partial(self._order, client), lab.config.bootstrap_servers
        if self._spike:
            await self._spike.play(story, self.options.throttle, order, self._gone)

        async def status() -> dict[str, Any]:
            return (await client.statuses())[CLUSTER_NAME]

        act = PauseAct(
            observe=partial(facts.look, servers),
            flight=partial(facts.in_flight, servers),
            status=status,
            say=self._say,
            pause_seconds=self.options.pause_seconds,
        )
        await act.play(story, self.options.fill_bytes, self.options.throttle, order, self._gone)
        self._pauses.append(act.results)

    async def _await_drained(self, story: Story) -> None:
        await story.until(
            _is("MigrationDrained"), 3 * WAVE_SECONDS_MAX, what="the last wave", unless=self._gone
        )
        self._say("drained: every replica has left the source brokers")

    async def _await_release(self, story: Story, lab: Lab) -> None:
        for broker_id in lab.config.source_ids:

            def released(e: Event, broker_id: int = broker_id) -> bool:
                return bool(
                    e["type"] == "SourceMayBeShutDown" and e["data"]["broker_id"] == broker_id
                )

            await story.until(
                released, 120, what=f"broker {broker_id} may be shut down", unless=self._gone
            )
            self._say(f"  broker {broker_id} may be shut down")

    # ---- internals

    def _write(
        self, lab: Lab, story: Story, clients: ClientReport, before: facts.Facts, after: facts.Facts
    ) -> None:
        sources = list(lab.config.source_ids)
        destinations = [b.id for b in lab.config.brokers if b.role is Role.DESTINATION]
        counted = clients.as_dict()
        self.report = {
            "cruise_control": str(lab.config.cruise_control_kind),
            "kafka": lab.config.kafka_version,
            "topics": len(self.options.topic_specs),
            **demo_report.source_facts(before, after, sources, destinations),
            "throttle_bytes_per_second": self.options.throttle,
            "messages": counted.pop("messages"),
            "producer_errors": sum(clients.producer_errors.values()),
            "clients": counted,
            "waves": demo_report.waves(story),
            "phases": demo_report.phases(story),
            "pauses": self._pauses,
            "load_spikes": [self._spike.results] if self._spike else [],
            "events": story.counts(),
            "timings_seconds": self._timings,
        }

    async def _order(self, client: ControlClient, word: str, **fields: Any) -> Event:
        answer = await client.send_command(
            {"type": word, "cluster": CLUSTER_NAME, "issued_by": "demo", **fields}
        )
        if answer["type"] == "CommandRefused":
            raise DemoError(answer["summary"])
        return answer

    @contextlib.asynccontextmanager
    async def _bars(self, client: ControlClient) -> AsyncIterator[None]:
        bars = Bars()
        lines = Lines(self._say)
        is_terminal = self._console.is_terminal

        async def follow() -> None:
            async for state in client.follow_status(CLUSTER_NAME):
                bars.show(state) if is_terminal else lines.show(state)

        task = asyncio.create_task(follow())
        try:
            with (
                Live(bars, console=self._console, refresh_per_second=4)
                if is_terminal
                else contextlib.nullcontext()
            ):
                yield
        finally:
            with contextlib.suppress(ClientError):
                await end(task)

    @contextlib.contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._timings[what] = round(time.monotonic() - began, 1)

    def _say(self, text: str) -> None:
        words = escape(text)
        self._console.print(
            f"[dim]{time.monotonic() - self._began:6.1f} s[/]  {words}",
            highlight=False,
            soft_wrap=True,
        )

    _gone: Callable[[], str | None]


def _is(kind: str) -> Callable[[Event], bool]:
    return lambda e: bool(e["type"] == kind)


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo in order, as Ctrl-C does.

    So does SIGINT, although background jobs of a script ignore it by default.
    """

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = (
        signal.signal(signal.SIGTERM, interrupt),
        signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])


__all__ = ["Demo", "DemoError", "DemoOptions", "StoryError", "ended_by_sigterm"]
