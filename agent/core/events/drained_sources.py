"""What happens to a source broker after its replicas have moved away."""

from dataclasses import dataclass

from agent.core.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMayBeShutDown(Event):
    """The broker has held nothing for long enough."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} may be shut down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRefilled(Event):
    """A replica has landed on a drained broker: do not shut it down."""

    broker_id: int
    replicas: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} holds {self.replicas} replicas again: do not shut it down"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEmptyAgain(Event):
    """A refilled broker holds nothing again: the quiet time starts anew."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} holds nothing again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoverThrottleCleared(Event):
    """A throttle of ours was found at rest, and removed."""

    entries: int
    broker_ids: tuple[int, ...]

    def __str__(self) -> str:
        return (
            f"{self.entries} throttle entries of ours were left on brokers "
            f"{list(self.broker_ids)}, and are cleared"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLeft(Event):
    """The broker has left the cluster after we said that it may."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} has left the cluster"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReturned(Event):
    """A drained broker that had left is back: it may receive new topics, and is watched anew."""

    broker_id: int

    def __str__(self) -> str:
        return f"broker {self.broker_id} is back in the cluster"
