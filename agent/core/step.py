"""The state while one message is met.

Each event is folded in at once, so that the next decision of the same step sees it.
"""

from typing import NamedTuple

from agent.core import events as ev
from agent.core.effects import Effect
from agent.core.evolve import evolve
from agent.core.migration import Migration, Phase
from agent.core.model.causes import Cause
from agent.core.model.reasons import Reason
from agent.core.planning.policy import Policy

# The longest step emits about twenty events; many more mean a loop, which is a bug.
EVENTS_PER_STEP_MAX = 200


class Step(NamedTuple):
    """What one message led to: the new state, and the events in their order."""

    migration: Migration
    events: tuple[ev.AnyEvent, ...]


class StepContext:
    """The migration, the time and the policy that handlers work on; it lives for one step."""

    def __init__(self, migration: Migration, at: float, policy: Policy) -> None:
        self.migration = migration
        self.at = at
        self.policy = policy
        self._events: list[ev.AnyEvent] = []

    def emit(self, event: ev.AnyEvent) -> None:
        """Records the event and folds it into the state."""
        self.migration = evolve(self.migration, event)
        self._events.append(event)
        assert len(self._events) <= EVENTS_PER_STEP_MAX, [
            type(e).__name__ for e in self._events[-20:]
        ]

    def request(self, effect: Effect) -> None:
        """Requests an effect. Its id comes from the state, so a replay requests the same one."""
        effect_id = (
            f"{self.migration.migration_id or self.migration.cluster}/{self.migration.sequence}"
        )
        self.emit(ev.EffectRequested(at=self.at, effect_id=effect_id, effect=effect))

    def abandon(self, *kinds: type[Effect]) -> None:
        """Drops the pending effects of these kinds; the worker cancels them."""
        for p in self.migration.pending:
            if isinstance(p.effect, kinds):
                self.emit(
                    ev.EffectAbandoned(
                        at=self.at, effect_id=p.effect_id, name=type(p.effect).__name__
                    )
                )

    def report_waiting(self, *reasons: Reason) -> None:
        """Records why nothing moves; no reasons: it moves again.

        The same codes as before are not recorded again, even if their texts differ.
        """
        if tuple(r.code for r in reasons) != tuple(r.code for r in self.migration.waiting):
            self.emit(ev.Waiting(at=self.at, reasons=reasons))

    def in_phase(self, *phases: Phase) -> bool:
        """Whether the migration is in one of these phases."""
        return self.migration.phase in phases

    def pause_cause(self, name: str) -> Cause | None:
        """The cause of that name that pauses the migration, or None."""
        return next((c for c in self.migration.pause_causes if c.name == name), None)

    def slow_cause(self, name: str) -> Cause | None:
        """The cause of that name that slows the migration, or None."""
        return next((c for c in self.migration.slow_causes if c.name == name), None)

    def done(self) -> Step:
        """The state after the message, and the events that led there."""
        return Step(self.migration, tuple(self._events))
