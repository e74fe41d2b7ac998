"""What is saved outlives the version that saved it."""

import orjson

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration
from agent.core.planning.options import Options, Policy
from agent.core.planning.plan import make_plan
from agent.wire import from_json, to_json
from tests.scenarios.play import DONE, Play, facts


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


def test_a_wave_that_an_older_version_paused_tells_what_is_left_at_the_next_look() -> None:
    """It kept nothing of what is left: what was planned is told until the next look, a second
    later.
    """
    play = Play().started().moving().wait(2).sees(left=2).command(msg.PauseMigration)
    saved = orjson.loads(to_json(play.ends(fx.StopWave, with_=DONE).m, Migration))
    for wave in (*saved["waves"], *(w for plan in saved["plans"] for w in plan["waves"])):
        del wave["replicas_left"], wave["bytes_left"]
    play.m = from_json(orjson.dumps(saved), Migration)
    assert play.m.waves[0].left == (6, 6_000)
    play.wait(1).sees(left=2, moving=0, executor=msg.Executor.IDLE, task=msg.TaskStatus.NONE)
    assert play.m.waves[0].left == (2, 2_000)
