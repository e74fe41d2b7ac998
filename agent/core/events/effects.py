"""What becomes of an effect: it is requested, it finishes, or it is abandoned."""

from dataclasses import dataclass

from agent.core.effects import Effect
from agent.core.messages import Outcome
from agent.core.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRequested(Event):
    """Something is asked of the outside; pending until EffectFinished."""

    effect_id: str
    effect: Effect

    def __str__(self) -> str:
        return f"asked for {type(self.effect).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFinished(Event):
    """It ended so."""

    effect_id: str
    name: str
    outcome: Outcome
    retry_at: float | None = None  # when it will be asked for again, if it was not to be had now

    def __str__(self) -> str:
        reason = getattr(self.outcome, "reason", None)
        return f"{self.name}: {type(self.outcome).__name__}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectAbandoned(Event):
    """It is not wanted any more: a stop overtook it."""

    effect_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} is not wanted any more"
