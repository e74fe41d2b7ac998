"""What Prometheus is told of a migration."""

from prometheus_client import REGISTRY

from agent import telemetry, wire
from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Phase
from tests.scenarios.play import POLICY, Play


def test_what_has_moved_is_exported_while_it_is_paused() -> None:
    """The gauges stand where the wave stands, and there is no rate of what does not move."""
    play = Play().started().moving().wait(2).sees(left=2, moved=4_000).command(msg.PauseMigration)
    play.ends(fx.StopWave, with_=msg.Performed(replicas_left=2, bytes_left=2_000)).expect_phase(
        Phase.PAUSED
    )
    telemetry.record_status(wire.status(play.m, POLICY, play.now))
    told = {
        name: REGISTRY.get_sample_value(f"kafka_migration_{name}", {"cluster": "lab"})
        for name in ("moved_ratio", "left_replicas", "left_bytes", "rate_bytes_per_second")
    }
    assert told.pop("moved_ratio") == (4 / 6) / 3
    assert told == {"left_replicas": 14, "left_bytes": 14_000, "rate_bytes_per_second": 0}
