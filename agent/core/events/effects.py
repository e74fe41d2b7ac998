"""What becomes of an effect: it is requested, it finishes, or it is abandoned."""

from dataclasses import dataclass

from agent.core.effects import Effect
from agent.core.messages import Outcome
from agent.core.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectRequested(Event):
    """An effect is requested; it is pending until EffectFinished or EffectAbandoned."""

    effect_id: str
    effect: Effect

    def __str__(self) -> str:
        return f"asked for {type(self.effect).__name__}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectFinished(Event):
    """An effect has ended; `outcome` says how, and `retry_at` when it is requested again."""

    effect_id: str
    name: str
    outcome: Outcome
    retry_at: float | None = None  # seconds since the epoch; None: it is not

    def __str__(self) -> str:
        reason = getattr(self.outcome, "reason", None)
        return f"{self.name}: {type(self.outcome).__name__}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectAbandoned(Event):
    """An effect is not wanted any more, for example because the wave is being stopped."""

    effect_id: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} is not wanted any more"
