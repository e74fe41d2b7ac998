"""What is saved outlives the version that saved it."""

import orjson

from agent.core.migration import Migration
from agent.core.options import Options, Policy
from agent.core.plan import make_plan
from agent.translate import from_json, to_json
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


def test_a_plan_of_an_older_version_has_no_estimate_and_can_be_read() -> None:
    """A missing field takes its default."""
    saved = orjson.loads(to_json(_with_a_plan(), Migration))
    for holder in (*saved["waves"], *saved["plans"], *saved["plans"][0]["waves"]):
        del holder["estimate"]
    read = from_json(orjson.dumps(saved), Migration)
    assert read.plans[0].estimate is None
    assert [w.estimate for w in read.waves] == [None] * 3
