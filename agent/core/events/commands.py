"""What becomes of a command: it is considered, accepted or refused, or its plan is made."""

from dataclasses import dataclass

from agent.core.model.event import Event, because
from agent.core.model.reasons import BlockedWave, CheckResult, Reason
from agent.core.planning.broker_load import BrokerLoad
from agent.core.planning.options import Options
from agent.core.planning.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandConsidered(Event):
    """A plan or start needs a look at the cluster before it can be answered."""

    command_id: str
    command: str
    issued_by: str
    reason: str
    options: Options

    def __str__(self) -> str:
        return f"{self.command} {self.command_id} is being examined against the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAccepted(Event):
    """The one answer to a command that is obeyed; `repeat` when it was answered before and
    nothing is done twice.
    """

    command_id: str
    command: str
    issued_by: str = ""
    reason: str = ""
    repeat: bool = False

    def __str__(self) -> str:
        return f"{self.command} accepted" + (
            " (again: nothing is done twice)" if self.repeat else ""
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused(Event):
    """The one answer to a command that is not obeyed: every reason at once."""

    command_id: str
    command: str
    reasons: tuple[Reason, ...]
    issued_by: str = ""
    repeat: bool = False

    def __str__(self) -> str:
        return f"{self.command} refused: {because(self.reasons)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMade(Event):
    """A dry run's result: what would move, and what stands in the way."""

    command_id: str
    plan: Plan | None
    reasons: tuple[Reason, ...]
    check_results: tuple[CheckResult, ...] = ()  # every check, green and red
    # what stands in the way of single waves, beside `reasons`
    blocked_waves: tuple[BlockedWave, ...] = ()
    load: tuple[BrokerLoad, ...] = ()  # each broker of the plan before and after it

    def __str__(self) -> str:
        if self.plan is None:
            return f"no plan: {because(self.reasons)}"
        against = (
            f"; in the way: {because(self.reasons)}"
            if self.reasons
            else "; nothing stands in the way"
        )
        p = self.plan
        return (
            f"plan {p.plan_id}: {len(p.waves)} waves, {p.replicas} replicas, {p.size_bytes} "
            f"bytes{against}"
        )
