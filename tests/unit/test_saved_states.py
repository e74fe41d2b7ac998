"""What is saved outlives the version that saved it."""

from agent.core.migration import Migration
from agent.core.planning.options import Options
from agent.core.planning.plan import make_plan
from agent.core.planning.policy import Policy
from agent.wire import from_json, to_json
from tests.scenarios.play import facts


def _with_a_plan() -> Migration:
    policy = Policy(source_broker_ids=(11, 12, 13), destination_broker_ids=(31, 32, 33))
    plan, reasons = make_plan(Options(), policy, facts(), {}, "p")
    assert plan is not None, reasons
    return Migration(cluster="c", waves=plan.waves, plans=(plan,))


def test_an_estimate_is_saved_with_its_plan() -> None:
    """Written and read again it is the same."""
    migration = _with_a_plan()
    assert migration.plans[0].estimate is not None
    assert from_json(to_json(migration, Migration), Migration) == migration
