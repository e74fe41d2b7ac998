"""A play in each phase, reached by honest steps: what the tests of commands and of the
transition table start from.
"""

from collections.abc import Callable

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Phase
from agent.core.planning.options import Approval
from tests.scenarios.play import DONE, Play


def rolled_back_to_proof() -> Play:
    """The first wave is half moved, and moved back."""
    play = Play().started().moving().command(msg.RollBackMigration).ends(fx.StopWave, with_=DONE)
    return play.wave()


IN_PHASE: dict[Phase, Callable[[], Play]] = {
    Phase.NONE: Play,
    Phase.CHECKING: lambda: Play().started(),
    Phase.REQUESTING: lambda: Play().started().asked(),
    Phase.MOVING: lambda: Play().started().moving(),
    Phase.CLOSING: lambda: Play().started().moving().empties(),
    Phase.BETWEEN_WAVES: lambda: Play().started(soak_seconds=60.0).wave(),
    Phase.AWAITING_APPROVAL: lambda: Play().started(approval=Approval.WAVE).wave(),
    Phase.STOPPING: lambda: Play().started().moving().alert(),
    Phase.PAUSED: lambda: Play().started().moving().alert().ends(fx.StopWave, with_=DONE),
    Phase.BLOCKED: lambda: Play().started().blocked(),
    Phase.PROVING: rolled_back_to_proof,
    Phase.DRAINED: lambda: Play().started().drained(),
    Phase.COMPLETED: lambda: (
        Play().started().drained().wait(40.0).sees_sources().sees_sources(alive=())
    ),
    Phase.CANCELLED: lambda: (
        Play().started().moving().command(msg.CancelMigration).ends(fx.StopWave, with_=DONE)
    ),
    Phase.ROLLED_BACK: lambda: rolled_back_to_proof().ends(
        fx.CompareSnapshot, with_=msg.Compared(partitions=6, different=0, not_preferred=0)
    ),
}


def in_phase(phase: Phase) -> Play:
    """A play that stands in this phase."""
    play = IN_PHASE[phase]()
    assert play.m.phase is phase, f"{play.m.phase}, not {phase}"
    return play
