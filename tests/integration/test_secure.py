"""The secure lab: who lacks a right is refused, a whole migration works, and no secret is told
anywhere.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import TopicAuthorizationFailedError
from kafka.errors import ClusterAuthorizationFailedError
from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoAuthError
from kazoo.handlers.threading import KazooTimeoutError

from agent.adapters.kafka.admin_requests import connect
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.adapters.zookeeper.sessions import LOCK_PATH, ZooKeeperLease
from agent.client import ControlClient
from agent.config.cluster_settings import read_clusters
from deploy.lab import Lab, LabConfig, free_base_port
from deploy.lab.cluster import client_security, security
from deploy.lab.cluster.environment import security_environment
from deploy.lab.cluster.readiness import lab_admin
from deploy.lab.cluster.topics import TopicSpec
from deploy.lab.demo.agent_process import AgentProcess
from deploy.lab.workload import facts
from deploy.lab.workload.workload import Workload, WorkloadConfig

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(500)]

COMMANDS, METRICS, EVENTS = (
    f"kafka-migration.{name}" for name in ("commands", "metrics", "events")
)
DATA = "secure-data"
RECORD = b"x" * 10_000


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A secure lab with some data on its source brokers."""
    config = LabConfig(
        directory=tmp_path_factory.mktemp("secure"),
        base_port=free_base_port(),
        secure=True,
        kraft=False,
    )
    with Lab(config).running(progress=lambda step: print(f"lab: {step}")) as running:
        orders = [[11, 12, 13], [12, 13, 11], [13, 11, 12]]
        with lab_admin(config, 20) as admin:
            assignments = {p: orders[p % 3] for p in range(6)}
            admin.create_topics(
                {DATA: {"assignments": assignments, "configs": {"min.insync.replicas": "2"}}}
            )
        asyncio.run(_fill(config))
        yield running


async def _fill(config: LabConfig) -> None:
    producer = AIOKafkaProducer(
        **client_security.kafka_connection(config, security.ADMIN).for_aiokafka()
    )
    await producer.start()
    for n in range(600):
        await producer.send(DATA, RECORD, partition=n % 6)
    await producer.stop()


@pytest.fixture(scope="module")
def agent(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """The agent, as its own user of everything; its topics are there."""
    process = AgentProcess(lab, tmp_path_factory.mktemp("agent") / "agent.log")
    process.start()
    try:
        _until_answered(lab, process)
        yield process
    finally:
        process.stop()


def _until_answered(lab: Lab, process: AgentProcess) -> None:
    deadline = time.monotonic() + 90
    while _cli(lab, "resume", "lab", "--json").returncode not in {0, 1}:
        assert process.is_running, process.last_words()
        assert time.monotonic() < deadline, process.last_words()
        time.sleep(1)


def _cli(lab: Lab, *words: str, seconds: float = 120.0) -> subprocess.CompletedProcess[str]:
    """`kafka-migration ...` as people type it where a secure lab runs: as its operator."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith("KAFKA_MIGRATION_")
    }
    environment = {**clean, "KAFKA_MIGRATION_LAB_DIR": str(lab.folders.root)}
    command = [sys.executable, "-m", "agent.cli", *words]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )


def _on_control(lab: Lab, user: str) -> KafkaConnection:
    return client_security.kafka_connection(lab.config, user, on_control=True)


async def _write(connection: KafkaConnection, topic: str) -> None:
    producer = AIOKafkaProducer(**connection.for_aiokafka())
    try:
        await producer.start()
        await producer.send_and_wait(topic, b"{}", key=b"lab")
    finally:
        await producer.stop()


async def _read(connection: KafkaConnection, topic: str) -> int:
    """How many records there were in the first answers."""
    consumer = AIOKafkaConsumer(topic, **connection.for_aiokafka(), auto_offset_reset="earliest")
    try:
        await consumer.start()
        found = 0
        for _ in range(5):
            found += sum(
                len(records) for records in (await consumer.getmany(timeout_ms=500)).values()
            )
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        (security.OBSERVER, COMMANDS),
        (security.METRICS, COMMANDS),
        (security.STRANGER, COMMANDS),
        (security.OPERATOR, METRICS),
        (security.STRANGER, METRICS),
        (security.OPERATOR, EVENTS),
        (security.AGENT, COMMANDS),
    ],
)
async def test_whoever_may_not_write_is_refused(
    lab: Lab, agent: AgentProcess, user: str, topic: str
) -> None:
    """Orders only from operators, metrics only from their senders, events only from the agent."""
    with pytest.raises(TopicAuthorizationFailedError):
        await _write(_on_control(lab, user), topic)


@pytest.mark.parametrize("user", [security.METRICS, security.STRANGER])
async def test_whoever_may_not_read_events_is_refused(
    lab: Lab, agent: AgentProcess, user: str
) -> None:
    """Events are for operators and observers."""
    with pytest.raises(TopicAuthorizationFailedError):
        await _read(_on_control(lab, user), EVENTS)
    assert await _read(_on_control(lab, security.OBSERVER), EVENTS) > 0


async def test_whoever_may_write_metrics_can(lab: Lab, agent: AgentProcess) -> None:
    """A sender of metrics logs in with its certificate, and may write there."""
    await _write(_on_control(lab, security.METRICS), METRICS)


async def test_no_line_without_login(lab: Lab) -> None:
    """Plaintext, TLS without a login, a wrong password, an unknown authority, a client without
    certificate: nobody.
    """
    good = _on_control(lab, security.OPERATOR)
    by_certificate = _on_control(lab, security.METRICS)
    for wrong in (
        KafkaConnection(bootstrap_servers=good.bootstrap_servers),
        replace(good, security_protocol="SSL", sasl_mechanism=None),
        replace(good, password="guessed"),
        replace(_on_control(lab, security.AGENT), password="guessed"),
        replace(by_certificate, ssl_certfile=None),
    ):
        with pytest.raises((AioKafkaError, OSError)):
            async with asyncio.timeout(30):
                await _write(replace(wrong, request_timeout_seconds=3), COMMANDS)
    with pytest.raises((AioKafkaError, OSError)):
        await _write(replace(good, ssl_cafile=None, request_timeout_seconds=3), COMMANDS)


async def test_no_role_of_ours_sees_the_messages_of_the_cluster(lab: Lab) -> None:
    """Agent, Cruise Control and watcher move or count replicas; they may neither read nor write
    what is in topics.
    """
    for user in (security.AGENT, security.CRUISE_CONTROL, security.WATCHER, security.STRANGER):
        connection = client_security.kafka_connection(lab.config, user)
        with pytest.raises(TopicAuthorizationFailedError):
            await _read(connection, DATA)
        with pytest.raises(TopicAuthorizationFailedError):
            await _write(connection, DATA)


def test_the_lab_can_be_filled(lab: Lab, tmp_path: Path) -> None:
    """What fills the plain lab fills the secure one too."""
    workload = Workload(
        lab.status(), tmp_path, WorkloadConfig(topics=(TopicSpec("secure-filled", 3),))
    )
    try:
        assert workload.create_topics() == 1
        workload.fill(300_000)
        assert workload.facts()["partitions"] == 3
    finally:
        workload.close()


def test_a_watcher_moves_nothing(lab: Lab) -> None:
    """Who may only look at a cluster is refused a reassignment."""
    from kafka.structs import TopicPartition

    admin = connect(client_security.kafka_connection(lab.config, security.WATCHER))
    try:
        assert len(admin.describe_cluster()["brokers"]) == 6
        with pytest.raises(ClusterAuthorizationFailedError):
            admin.alter_partition_reassignments({TopicPartition(DATA, 0): [31, 32, 33]})
    finally:
        admin.close()


async def test_cruise_control_asks_who_it_is(lab: Lab) -> None:
    """Without a login 401, with too small a role 403, over a line whose certificate is trusted."""
    assert lab.config.cruise_control_url
    assert lab.config.cruise_control_url.startswith("https://")
    given = client_security.http_client(lab.config, security.WATCHER)
    async with httpx.AsyncClient(
        verify=given["verify"], base_url=lab.config.cruise_control_url
    ) as client:
        assert (await client.get("/state")).status_code == 401
        assert (await client.get("/state", auth=("agent", "guessed"))).status_code == 401
        assert (await client.get("/kafka_cluster_state", auth=given["auth"])).status_code == 200
        assert (
            await client.post("/stop_proposal_execution", auth=given["auth"])
        ).status_code == 403
    async with httpx.AsyncClient(base_url=lab.config.cruise_control_url) as distrustful:
        with pytest.raises(httpx.ConnectError):
            await distrustful.get("/state", auth=given["auth"])


def _zookeeper(lab: Lab, access: ZooKeeperAccess) -> KazooClient:
    return KazooClient(hosts=lab.config.zookeeper.address, timeout=4, **access.for_kazoo())


def _look_at_brokers(client: KazooClient) -> list[str]:
    try:
        client.start(timeout=4)
        return list(client.get_children("/brokers/ids"))
    finally:
        client.stop()
        client.close()


# kazoo's thread raises an exception after a refused login.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_zookeeper_asks_who_it_is(lab: Lab) -> None:
    """Plaintext, no login and a wrong password get no session; another user cannot take or make
    away the lease.
    """
    access = read_clusters(lab.folders.clusters_file)["lab"].zookeeper_security.access()
    for wrong in (
        ZooKeeperAccess(),
        replace(access, username=None),
        replace(access, password="guessed", password_file=None),
    ):
        with pytest.raises((KazooException, KazooTimeoutError)):
            _look_at_brokers(_zookeeper(lab, wrong))
    lease = ZooKeeperLease(lab.config.zookeeper.address, access=access)
    lease.start()
    other = replace(
        access,
        username=security.CRUISE_CONTROL,
        password=security.Vault(lab.config).password("cruise-control"),
        password_file=None,
    )
    client = _zookeeper(lab, other)
    try:
        deadline = time.monotonic() + 20
        while "is held by nobody" in lease.holder():
            assert time.monotonic() < deadline, lease.holder()
            time.sleep(0.1)
        client.start(timeout=10)
        assert len(client.get_children("/brokers/ids")) == 6
        children = client.get_children(LOCK_PATH)
        assert children
        with pytest.raises(NoAuthError):
            client.delete(f"{LOCK_PATH}/{children[0]}")
        with pytest.raises(NoAuthError):
            client.create(f"{LOCK_PATH}/0__lock__0000000000", b"me", ephemeral=True)
    finally:
        client.stop()
        client.close()
        lease.close()


def test_a_whole_migration_and_no_secret_told(
    lab: Lab, agent: AgentProcess, tmp_path: Path
) -> None:
    """Ordered by an operator at the command line, followed by an observer, it empties the
    sources; nothing it left, printed or published holds a password or a key.
    """
    said = [_cli(lab, "doctor", "lab"), _cli(lab, "plan", "lab", "--json")]
    deadline = time.monotonic() + 60
    while (
        json.loads(said[-1].stdout).get("data", {}).get("reasons") != []
        and time.monotonic() < deadline
    ):
        said.append(_cli(lab, "plan", "lab", "--json"))
    said.append(_cli(lab, "start", "lab", "--json"))
    assert said[-1].returncode == 0, said[-1].stdout + said[-1].stderr
    events = asyncio.run(_followed(lab))
    said += [_cli(lab, "status", "lab", "--json"), _cli(lab, "events", "lab", "--json")]
    left = [
        p
        for p in facts.look(
            client_security.kafka_connection(lab.config, security.ADMIN)
        ).partitions.values()
        if set(p.replicas) & {11, 12, 13}
    ]
    assert left == []
    environment = security_environment(lab.folders.root, security.OPERATOR)
    assert str(security.Vault(lab.config).password_file(security.OPERATOR)) in environment.values()
    settings = read_clusters(lab.folders.clusters_file)
    told = {
        "events": json.dumps(events),
        "settings": repr(settings)
        + repr(settings["lab"].security.connection("x"))
        + repr(environment),
        "access": repr(settings["lab"].zookeeper_security.access())
        + repr(settings["lab"].cruise_control.connection()),
        "command lines": _command_lines(str(lab.folders.root)),
        **{f"output {n}": one.stdout + one.stderr for n, one in enumerate(said)},
        **{
            str(f): f.read_text(errors="replace")
            for f in [agent.log, *lab.folders.root.glob("*.*"), *lab.folders.logs.iterdir()]
            if f.is_file()
        },
    }
    vault = security.Vault(lab.config)
    secrets = {f.name: f.read_text().strip() for f in vault.folder.glob("*.password")}
    secrets |= {
        f.name: f.read_text().splitlines()[1]
        for f in vault.folder.glob("*.pem")
        if f.name != "ca.pem"
    }
    assert len(secrets) > 8
    assert [
        (where, name)
        for where, text in told.items()
        for name, secret in secrets.items()
        if secret in text
    ] == []
    for file in [*vault.folder.iterdir(), vault.folder, lab.folders.config, lab.folders.logs]:
        assert file == vault.authority or file.stat().st_mode & 0o077 == 0, file


def _command_lines(mark: str) -> str:
    """Of every process that has to do with this lab: anybody on the machine can read them."""
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except OSError:
                continue
            if mark in line:
                lines.append(line)
    assert len(lines) >= 8
    return "\n".join(lines)


async def _followed(lab: Lab) -> list[dict[str, Any]]:
    client = ControlClient(_on_control(lab, security.OBSERVER).for_aiokafka())
    told, empty = [], set()
    async with asyncio.timeout(300):
        async for event in client.events("lab", from_start=True):
            told.append(event)
            assert event["type"] != "MigrationBlocked", event["summary"]
            if event["type"] == "SourceMayBeShutDown":
                empty.add(event["data"]["broker_id"])
            if empty == {11, 12, 13}:
                return told
    raise AssertionError("unreachable")
