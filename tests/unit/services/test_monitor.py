"""The monitoring service over HTTP, with a cluster in memory; and its settings."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient, TestServer
from typer.testing import CliRunner

from agent.cli import app as cli
from agent.config.errors import SettingsError
from agent.core.checks.readiness import Criterion, HealthObservation
from agent.core.model.cluster import Partition
from agent.performer.ports import PortError
from agent.services.monitor.service import HUNG_TIMEOUTS, Monitor
from agent.services.monitor.settings import PREFIX, MonitorSettings, variables

SICK = tuple(Partition("orders", n, 12, (11, 12, 13), (12, 13)) for n in range(4))
HEALTHY = HealthObservation(
    broker_ids=(11, 12, 13), topics=2, partitions=40, min_isr={"orders": 2}, reassigning=1
)


class FakeCluster:
    """Shows what the test says; None: it cannot be seen."""

    def __init__(self) -> None:
        self.shows: HealthObservation | None = HEALTHY
        self.closed = False

    async def health(self) -> HealthObservation:
        if self.shows is None:
            raise PortError("Kafka at k:9092: the request for health failed: refused")
        return self.shows

    async def close(self) -> None:
        self.closed = True


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def monitor(cluster: FakeCluster, time: Time) -> Monitor:
    settings = MonitorSettings(
        bootstrap_servers="k:9092", cluster="lab", interval_seconds=300, partitions_listed=3
    )
    return Monitor(settings.model_copy(update={"stale_seconds": 35.0}), cluster, time)


@pytest.fixture
async def client(monitor: Monitor) -> AsyncIterator[TestClient]:
    async with TestClient(TestServer(monitor.app())) as client:
        yield client


async def looks(monitor: Monitor, time: Time, number: int) -> None:
    for _ in range(number):
        time.now += 10
        await monitor.check_once()


async def test_a_healthy_cluster_becomes_ready(
    monitor: Monitor, time: Time, client: TestClient
) -> None:
    """503 until the cluster has been healthy for long enough, then 200, with what was seen."""
    response = await client.get("/ready")
    assert response.status == 503
    await looks(monitor, time, 4)
    response = await client.get("/ready")
    assert response.status == 200
    body = await response.json()
    assert body["seen"] == {
        "broker_ids": [11, 12, 13],
        "topics": 2,
        "partitions": 40,
        "reassigning": 1,
    }
    assert body["reasons"] == []


async def test_the_body_names_partitions_and_is_bounded(
    monitor: Monitor, cluster: FakeCluster, time: Time, client: TestClient
) -> None:
    """One sick look is enough for 503; the worst partitions are listed, the rest counted."""
    await looks(monitor, time, 5)
    cluster.shows = HealthObservation(
        broker_ids=(12, 13), topics=2, partitions=40, doubtful=SICK, min_isr={"orders": 2}
    )
    await looks(monitor, time, 1)
    response = await client.get("/ready")
    body = await response.json()
    assert (response.status, body["ready"], body["for_seconds"]) == (503, False, 0)
    assert [r["code"] for r in body["reasons"]] == ["UNDER_REPLICATED"]
    assert "repair" in body["reasons"][0]["do"]
    assert body["partitions"][0] == {
        "topic": "orders",
        "partition": 0,
        "codes": ["UNDER_REPLICATED"],
        "leader": 12,
        "replicas": [11, 12, 13],
        "isr": [12, 13],
        "adding": [],
        "min_isr": 2,
    }
    assert (len(body["partitions"]), body["partitions_left_off"]) == (3, 1)


async def test_a_cluster_that_cannot_be_seen_is_not_ready(
    monitor: Monitor, cluster: FakeCluster, time: Time, client: TestClient
) -> None:
    """The failed look is the reason; the monitor itself lives on."""
    await looks(monitor, time, 5)
    cluster.shows = None
    await looks(monitor, time, 1)
    response = await client.get("/ready")
    body = await response.json()
    assert (response.status, body["seen"], body["partitions"]) == (503, None, [])
    assert body["reasons"][0]["code"] == "KAFKA_UNREACHABLE"
    assert (await client.get("/live")).status == 200


async def test_looks_that_stop_end_readiness_and_then_life(
    monitor: Monitor, time: Time, client: TestClient
) -> None:
    """A hung monitor is first stale, then to be restarted."""
    await looks(monitor, time, 5)
    time.now += 36
    response = await client.get("/ready")
    assert (response.status, (await response.json())["reasons"][0]["code"]) == (503, "LOOK_OVERDUE")
    assert (await client.get("/live")).status == 200
    time.now += HUNG_TIMEOUTS * 10 + 300
    assert (await client.get("/live")).status == 503


async def test_metrics_say_what_ready_says(
    monitor: Monitor, cluster: FakeCluster, time: Time, client: TestClient
) -> None:
    """Gauges of what counts, by code; of a failed look only that it failed."""
    await looks(monitor, time, 5)
    assert (
        'kafka_migration_monitor_ready{cluster="lab"} 1.0'
        in await (await client.get("/metrics")).text()
    )
    cluster.shows = HealthObservation(
        broker_ids=(12, 13), topics=2, partitions=40, doubtful=SICK, min_isr={"orders": 2}
    )
    await looks(monitor, time, 1)
    page = await (await client.get("/metrics")).text()
    assert 'kafka_migration_monitor_ready{cluster="lab"} 0.0' in page
    assert (
        'kafka_migration_monitor_partitions_against{cluster="lab",code="UNDER_REPLICATED"} 4.0'
        in page
    )
    assert (
        'kafka_migration_monitor_partitions_against{cluster="lab",code="UNDER_MIN_ISR"} 0.0' in page
    )
    cluster.shows = None
    await looks(monitor, time, 1)
    page = await (await client.get("/metrics")).text()
    assert 'kafka_migration_monitor_visible{cluster="lab"} 0.0' in page
    assert 'kafka_migration_monitor_looks_total{cluster="lab",ended="failed"} 1.0' in page


async def test_the_looks_end_with_the_pages(monitor: Monitor, cluster: FakeCluster) -> None:
    """Looking begins when the server starts; at its end the connection is closed."""
    async with TestClient(TestServer(monitor.app())):
        pass
    assert cluster.closed


def test_settings_name_the_wrong_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every error says which variable; no value is shown."""
    monkeypatch.setenv(f"{PREFIX}PORT", "hunter2")
    with pytest.raises(SettingsError) as error:
        MonitorSettings.read()
    assert f"{PREFIX}BOOTSTRAP_SERVERS: Field required" in str(error.value)
    assert f"{PREFIX}PORT: " in str(error.value)
    assert "hunter2" not in str(error.value)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested ones too; an old look is measured by the interval unless told otherwise."""
    given = {"BOOTSTRAP_SERVERS": "k:9092", "CRITERION": "min_isr_slack", "INTERVAL_SECONDS": "20"}
    for name, value in {**given, "SECURITY__SECURITY_PROTOCOL": "SSL"}.items():
        monkeypatch.setenv(PREFIX + name, value)
    settings = MonitorSettings.read()
    assert settings.security.security_protocol == "SSL"
    assert (settings.policy().criterion, settings.policy().stale_seconds) == (
        Criterion.MIN_ISR_SLACK,
        65.0,
    )
    assert settings.host == "127.0.0.1"


def test_help_lists_every_setting() -> None:
    """Each variable with what it is."""
    told = dict(variables())
    assert f"{PREFIX}SECURITY__PASSWORD_FILE" in told
    assert all(text for text in told.values())
    page = CliRunner().invoke(cli.app, ["monitor", "--help"], env={"COLUMNS": "200"}).output
    assert all(name in page for name in told)


def test_a_monitor_without_a_cluster_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    """Exit code 2, and the variable by name."""
    monkeypatch.setenv("KAFKA_MIGRATION_LAB_DIR", str(tmp_path))
    result = CliRunner().invoke(cli.app, ["monitor"])
    assert result.exit_code == 2
    assert f"{PREFIX}BOOTSTRAP_SERVERS" in result.output
