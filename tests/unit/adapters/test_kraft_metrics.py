"""A controller's metrics page is read whatever the exporter's rules call the gauges."""

import httpx

from agent.adapters.prometheus.kraft_metrics import ControllerMetrics, read
from agent.core.kraft.options import KraftController

OURS = """\
# HELP kafka_controller_kafkacontroller_zkmigrationstate x
kafka_controller_kafkacontroller_zkmigrationstate 1.0
kafka_controller_kafkacontroller_activecontrollercount 1.0
kafka_controller_kafkacontroller_newactivecontrollerscount 4.0
kafka_controller_kafkacontroller_migratingzkbrokercount 3.0
kafka_controller_kafkacontroller_zkwritebehindlag 12.0
kafka_controller_kafkacontroller_activebrokercount 6.0
kafka_controller_kafkacontroller_fencedbrokercount 1.0
kafka_controller_kafkacontroller_metadataerrorcount 2.0
process_start_time_seconds 1.79552362937E9
"""
BY_LABEL = """\
kafka_controller_KafkaController_Value{name="ZkMigrationState",} 2.0
kafka_controller_KafkaController_Value{name="ActiveControllerCount",} 0.0
"""


def test_every_gauge_is_read() -> None:
    """Each figure that a gate needs, by our own exporter's names; one whose name only resembles
    is not taken for it.
    """
    seen = read(71, OURS)
    assert (seen.reachable, seen.is_active, seen.state, seen.migrating_brokers) == (
        True,
        True,
        1,
        3,
    )
    assert (
        seen.write_behind_lag,
        seen.active_brokers,
        seen.fenced_brokers,
        seen.metadata_errors,
    ) == (12, 6, 1, 2)
    assert seen.started_at == 1795523629.37


def test_gauges_named_by_a_label() -> None:
    """Exporters without rules put the gauge's name into a label."""
    seen = read(71, BY_LABEL)
    assert (seen.reachable, seen.state, seen.is_active) == (True, 2, False)


def test_a_page_without_the_state_is_no_controller_yet() -> None:
    """A process that only starts shows nothing of the migration: not reachable, never state 0."""
    assert not read(71, "process_start_time_seconds 1.0\n").reachable


async def test_what_does_not_answer_is_a_fact() -> None:
    """Refused, an error, or no such page: the controller is not reachable, and nothing is
    raised.
    """

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "gone":
            raise httpx.ConnectError("refused")
        return {"ok": httpx.Response(200, text=OURS), "bad": httpx.Response(500)}.get(
            request.url.host, httpx.Response(200, text="<html>{")
        )

    metrics = ControllerMetrics(httpx.MockTransport(answer))
    pages = [
        KraftController(node_id=n, address="", metrics_url=f"http://{host}/metrics")
        for n, host in enumerate(("ok", "gone", "bad", "html"))
    ]
    seen = await metrics.facts(pages)
    await metrics.close()
    assert [c.reachable for c in seen] == [True, False, False, False]
