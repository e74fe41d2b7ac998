"""The demo's workload on real brokers: what it writes, and that its accounts see what happens
to clients.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Role, free_base_port
from deploy.lab.cluster.readiness import admin_client
from deploy.lab.cluster.topics import TopicKind, TopicSpec
from deploy.lab.workload.workload import Workload, WorkloadConfig

pytestmark = [pytest.mark.lab, pytest.mark.slow]

TOPICS = (
    TopicSpec("plain", 4),
    TopicSpec("compacted", 2, TopicKind.COMPACTED),
    TopicSpec("transactional", 2, TopicKind.TRANSACTIONAL),
    TopicSpec("large", 1, weight=2.0),
    TopicSpec("clients", 6, TopicKind.CLIENTS),
)
FILL_BYTES = 10_000_000


@pytest.fixture(scope="module")
def source_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Three source brokers and nothing else that a workload does not need."""
    brokers = tuple(
        BrokerSpec(id=broker_id, rack=rack, role=Role.SOURCE)
        for broker_id, rack in ((11, "az-a"), (12, "az-b"), (13, "az-c"))
    )
    config = LabConfig(
        directory=tmp_path_factory.mktemp("workload") / "lab",
        base_port=free_base_port(),
        brokers=brokers,
        cruise_control=CruiseControlKind.NONE,
    )
    with Lab(config).running() as lab:
        yield lab


@pytest.fixture
def workload(source_lab: Lab, tmp_path: Path) -> Iterator[Workload]:
    """A small workload whose topics exist."""
    with Workload(
        source_lab.status(), tmp_path, WorkloadConfig(topics=TOPICS, fill_bytes=FILL_BYTES)
    ) as made:
        made.create_topics()
        yield made


def test_fill(source_lab: Lab, workload: Workload) -> None:
    """Every topic is filled as its kind says, on the source brokers alone, spread evenly, one
    copy in each AZ.
    """
    told: list[tuple[int, int]] = []
    workload.fill(progress=lambda done, total: told.append((done, total)))
    assert told[-1][0] == told[-1][1] >= FILL_BYTES
    facts = workload.facts()
    assert (facts["topics"], facts["partitions"], facts["out_of_sync"]) == (5, 15, 0)
    assert facts["replicas_per_broker"] == {"11": 15, "12": 15, "13": 15}
    assert facts["leaders_per_broker"] == {"11": 5, "12": 5, "13": 5}
    assert facts["distinct_racks_min"] == 3
    assert facts["bytes"] >= FILL_BYTES
    assert facts["largest_partition_bytes"] >= FILL_BYTES * 2 / 5
    servers = source_lab.config.bootstrap_servers
    everything, _ = asyncio.run(_read(servers, "transactional", 2, "read_uncommitted"))
    committed, _ = asyncio.run(_read(servers, "transactional", 2, "read_committed"))
    assert FILL_BYTES / 5 <= committed * 4096 < everything * 4096
    keyed, keys = asyncio.run(_read(servers, "compacted", 2, "read_committed"))
    assert keyed > len(keys) > 1
    assert None not in keys


def test_clients_survive_a_lost_broker(source_lab: Lab, workload: Workload) -> None:
    """A broker dies without farewell and comes back while clients work: they wait for its
    leaders, and miss nothing.
    """
    workload.start_clients()
    time.sleep(3)
    source_lab.kill("broker-12")
    time.sleep(3)
    source_lab.start("broker-12")
    time.sleep(4)
    progress = workload.progress()
    report = workload.stop_clients()
    assert report.is_clean, report
    assert report.messages.consumed == report.messages.acknowledged >= progress.acknowledged > 500
    # The loss was real, because leaders had to be elected.
    assert report.longest_acknowledgement_gap.seconds > 1
    assert set(report.ended.values()) == {"stopped"}
    assert report.delay.max_ms > 0


def test_producers_are_idempotent(workload: Workload, tmp_path: Path) -> None:
    """VerifiableProducer switches idempotence off; our settings switch it on, or a retry could
    write twice.
    """
    workload.start_clients()
    workload.stop_clients()
    log = (tmp_path / "producer-clients.log").read_text()
    assert "Instantiated an idempotent producer" in log
    assert "enable.idempotence = true" in log


def test_missing_records_are_seen(source_lab: Lab, workload: Workload) -> None:
    """Records that disappear from a log after they were confirmed are found, although clients
    read on.
    """
    workload.start_clients()
    time.sleep(2)
    before = workload.progress().acknowledged
    partitions = [TopicPartition("clients", p) for p in range(6)]
    servers = source_lab.config.bootstrap_servers
    with admin_client(servers, timeout_seconds=20) as admin:
        admin.delete_records(dict.fromkeys(partitions, -1))
    report = workload.stop_clients()
    assert report.vanished + report.messages.lost >= before
    assert not report.is_clean
    assert report.examples


def test_a_client_that_dies_is_told(workload: Workload) -> None:
    """A client that ends although nobody asked it to is named, and makes the report unclean."""
    workload.start_clients()
    victim = workload._clients._consumers[0].process
    assert victim.pid
    os.kill(victim.pid, signal.SIGKILL)
    assert victim.wait(10)
    assert workload.progress().ended == ("consumer-clients",)
    report = workload.stop_clients()
    assert report.ended_by_themselves == ("consumer-clients",)
    assert not report.is_clean


def test_spike(workload: Workload) -> None:
    """A burst writes what was asked at about the pace that was asked, and tells its latencies."""
    burst = workload.spike(2, 200, record_bytes=1000)
    assert burst.records == 400
    assert 100 < burst.records_per_second < 220
    assert 0 < burst.latency_median_ms <= burst.latency_p99_ms <= burst.latency_max_ms


def test_clients_end_with_their_program(source_lab: Lab, tmp_path: Path) -> None:
    """Clients end when the program that started them is killed: none outlives a demo."""
    program = f"""
import sys, time
from pathlib import Path
from deploy.lab import Lab
from deploy.lab.cluster.topics import TopicKind, TopicSpec
from deploy.lab.workload.workload import Workload, WorkloadConfig
config = WorkloadConfig(topics=(TopicSpec("clients", 6, TopicKind.CLIENTS),))
status = Lab.at(Path({str(source_lab.folders.root)!r})).status()
workload = Workload(status, Path({str(tmp_path)!r}), config)
workload.create_topics()
workload.start_clients()
print(*(client.process.pid for client in workload._clients._everyone), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert started.stdout is not None
            pids = [int(text) for text in started.stdout.readline().split()]
            assert len(pids) == 2
            assert all(_lives(pid) for pid in pids)
        finally:
            started.kill()
    deadline = time.monotonic() + 10
    while any(_lives(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    """Whether that process runs; one that ended and was not yet reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def _read(
    servers: str, topic: str, partitions: int, isolation: str
) -> tuple[int, set[bytes | None]]:
    """How many records a consumer of that isolation level sees, and their keys."""
    left = [TopicPartition(topic, p) for p in range(partitions)]
    count, keys = 0, set()
    async with AIOKafkaConsumer(
        bootstrap_servers=servers, auto_offset_reset="earliest", isolation_level=isolation
    ) as consumer:
        consumer.assign(left)
        ends = await consumer.end_offsets(left)
        async with asyncio.timeout(60):
            while left := [tp for tp in left if await consumer.position(tp) < ends[tp]]:
                for records in (await consumer.getmany(*left, timeout_ms=200)).values():
                    count += len(records)
                    keys |= {record.key for record in records}
    return count, keys
