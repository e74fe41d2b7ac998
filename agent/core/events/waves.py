"""What happens to a wave, from its beginning to its verification."""

from dataclasses import dataclass

from agent.core.checks.inspection import Inspected
from agent.core.model.event import Event, because
from agent.core.model.executor import Executor, TaskStatus
from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged(Event):
    """What is wrong with the cluster while something moves; empty when all is well again."""

    reasons: tuple[Reason, ...]

    def __str__(self) -> str:
        return f"not well: {because(self.reasons)}" if self.reasons else "all is well again"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutorSeen(Event):
    """Cruise Control's executor or our user task has changed."""

    executor: Executor
    task: TaskStatus

    def __str__(self) -> str:
        return f"Cruise Control: executor {self.executor}, our user task {self.task}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveBegun(Event):
    """A wave, or another attempt at what is left of it, begins: the cluster is checked first."""

    wave: int
    attempt: int

    def __str__(self) -> str:
        return f"wave {self.wave}: attempt {self.attempt}, checking the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksPassed(Event):
    """Every check before the wave holds; Cruise Control is asked next."""

    wave: int
    replicas: int
    leaders: int
    size_bytes: int

    def __str__(self) -> str:
        return (
            f"wave {self.wave}: all checks hold, {self.replicas} replicas with "
            f"{self.size_bytes} bytes to move"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionStarted(Event):
    """Cruise Control has accepted the request; `adopted`: it had it already, from before a
    crash.
    """

    wave: int
    attempt: int
    user_task_id: str
    adopted: bool
    by_agent: bool = False  # a selection, by Kafka's own reassignment

    def __str__(self) -> str:
        if self.by_agent:
            return f"wave {self.wave}: its partitions move by Kafka's own reassignment"
        how = "is found running" if self.adopted else "runs"
        return f"wave {self.wave}: Cruise Control {how} as user task {self.user_task_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveProgressed(Event):
    """How far the wave is, from Kafka's log dirs and reassignments."""

    wave: int
    replicas_left: int
    bytes_left: int
    bytes_moved: int
    moving: int
    rate_bytes_per_second: float
    eta_seconds: float | None

    def __str__(self) -> str:
        left = f"{self.replicas_left} replicas left, {self.moving} moving"
        return f"wave {self.wave}: {left}, {self.bytes_moved} bytes moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class MovementStalled(Event):
    """No byte and no replica has moved for too long."""

    wave: int
    reason: Reason

    def __str__(self) -> str:
        return f"wave {self.wave}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEmptied(Event):
    """Kafka shows no replica on the wave's sources and nothing in flight: the wave is closed
    and verified.
    """

    wave: int

    def __str__(self) -> str:
        return f"wave {self.wave}: nothing of it is left on the source, verifying"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveFellShort(Event):
    """The execution has ended, but Kafka shows that something is left: it is requested again."""

    wave: int
    attempt: int
    reason: Reason
    progressed: bool
    replicas_left: int
    bytes_left: int

    def __str__(self) -> str:
        return f"wave {self.wave}: attempt {self.attempt} fell short, {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveVerified(Event):
    """The wave is done, proved by what Kafka shows."""

    wave: int
    facts: Inspected
    seconds: float

    def __str__(self) -> str:
        f = self.facts
        stray = (
            f" ({f.stray_bytes} of them stray logs that no assignment names)"
            if f.stray_bytes
            else ""
        )
        return (
            f"wave {self.wave} verified: {f.replicas_left} replicas and {f.bytes_left} "
            f"bytes{stray} on the source, "
            f"full ISR, {f.order_changed} orders changed, {f.throttles_left} throttles left, "
            f"after {self.seconds:.0f} s"
            + (f"; {f.clients}" if f.clients else "")
            + "".join(f"; {told}" for told in f.produce_latency or ())
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveSkipped(Event):
    """An operator left a blocked wave as it is."""

    wave: int

    def __str__(self) -> str:
        return f"wave {self.wave} skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveReopened(Event):
    """A wave is tried again, for an operator's `retry` or for late arrivals on its source."""

    wave: int
    why: str

    def __str__(self) -> str:
        return f"wave {self.wave} again: {self.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAwaited(Event):
    """The wave waits until somebody approves it."""

    wave: int
    az: str

    def __str__(self) -> str:
        return f"approval awaited before wave {self.wave} ({self.az})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(Event):
    """The wave may begin."""

    wave: int
    issued_by: str

    def __str__(self) -> str:
        return f"wave {self.wave} approved by {self.issued_by or 'an operator'}"
