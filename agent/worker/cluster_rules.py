"""The metric rules of one driven cluster: samples go in, observations for the inbox come out.

Held by cluster_worker.py; samples come from metric_evaluation.py. It reads no clock and posts
nothing: the time is passed in, and the caller posts what is returned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.core import messages as msg
from agent.core.metrics.produce_latency import METRICS, WaveLatency
from agent.core.metrics.rule_evaluator import RuleEvaluator, Sample
from agent.core.migration import ACTIVE, Migration, Phase
from agent.core.model.causes import METRIC
from agent.core.planning.wave import Direction, Wave

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.core.planning.policy import Policy

# Rules are evaluated this often without any new sample: samples may be missing, and a rule may
# have been calm for long enough.
POLL_SECONDS = 1.0
# A rule state that was posted, and that the saved state does not show after this long, was lost on
# its way and is posted again.
RETRY_SECONDS = 5.0


class ClusterRules:
    """Evaluates the rules of one cluster, and remembers what it has posted."""

    def __init__(self, policy: Policy, migration: Migration, now: float) -> None:
        """Begin with the rule states of the saved migration; `now` is in epoch seconds."""
        self._policy = policy
        self._evaluator = RuleEvaluator(
            policy.rules,
            policy.source_broker_ids,
            policy.destination_broker_ids,
            now,
            migration.rule_states,
        )
        # The metrics that rules or the report of a wave need; other samples need not be parsed.
        self.metrics = METRICS.union(rule.metric for rule in policy.rules)
        self.has_new_samples = False
        self._waves: tuple[Wave, ...] = ()  # the waves whose brokers the evaluator knows
        self._polled_at = float("-inf")
        self._headroom_due = 0.0
        self._late_reported = 0
        # By rule: the state that was posted last, and when.
        self._posted: dict[str, tuple[msg.RuleStateObserved, float]] = {}
        self._latency = WaveLatency()

    def add_samples(self, samples: list[Sample], migration: Migration, now: float) -> None:
        """Take new samples. They are evaluated by the next `evaluate` or `poll`."""
        self._evaluator.add_samples(samples, now)
        wave = migration.wave
        moving = (migration.migration_id, wave.number) if wave is not None else None
        self._latency.add_samples(
            samples, moving if migration.phase is Phase.MOVING else None, migration.phase_since
        )
        self.has_new_samples = True

    def evaluate(self, migration: Migration, now: float) -> list[msg.Observation]:
        """Return the state of each rule whose level has changed since the last call."""
        self.has_new_samples = False
        if migration.waves is not self._waves:
            self._waves = migration.waves
            self._evaluator.set_brokers(
                *source_and_destination_brokers(self._policy, migration.waves)
            )
        expected = migration.brokers_of_open_waves if migration.phase in ACTIVE else None
        changed = self._evaluator.evaluate(now, expected)
        return [self._remember(state, now) for state in changed]

    def poll(self, migration: Migration, now: float) -> list[msg.Observation]:
        """Return what is due without a new sample; call it on each tick.

        That is what `evaluate` finds, every rule state that the saved state does not know
        (RETRY_SECONDS), and, while a rule slows the migration, the headroom of the brokers (every
        `adapt_seconds`). Calls within POLL_SECONDS of the last one return nothing.
        """
        # A clock that was set back must not stop the rules, so a negative age counts as due.
        if 0.0 <= now - self._polled_at < POLL_SECONDS:
            return []
        self._polled_at = now
        found = self.evaluate(migration, now)
        found += [self._remember(state, now) for state in self._unknown_to(migration, now)]
        is_slowed = migration.adapted_rate is not None or any(
            cause.name.startswith(METRIC) for cause in migration.slow_causes
        )
        if is_slowed and now >= self._headroom_due:
            headroom = self._evaluator.headroom(now)
            if headroom is not None:
                self._headroom_due = now + self._policy.adapt_seconds
                found.append(headroom)
        return found

    def _unknown_to(self, migration: Migration, now: float) -> list[msg.RuleStateObserved]:
        """Rule states that differ from the saved ones, and were not posted just now."""
        unknown = []
        for state in self._evaluator.reconcile(migration.rule_states, now):
            posted, posted_at = self._posted.get(state.rule, (None, 0.0))
            was_posted = posted is not None and (posted.level, posted.action) == (
                state.level,
                state.action,
            )
            if not was_posted or now >= posted_at + RETRY_SECONDS:
                unknown.append(state)
        return unknown

    def _remember(self, state: msg.RuleStateObserved, now: float) -> msg.RuleStateObserved:
        self._posted[state.rule] = (state, now)
        return state

    def newly_late(self) -> int:
        """Return how many samples since the last call were late, repeated or had a wrong time."""
        late = self._evaluator.late - self._late_reported
        self._late_reported = self._evaluator.late
        return late

    def with_produce_latency(self, outcome: msg.Outcome, migration: Migration) -> msg.Outcome:
        """Add to the inspection of a wave how long producers waited while it moved.

        Only what this process has seen is counted. Other outcomes are returned as they are.
        """
        if not isinstance(outcome, msg.Inspected) or migration.wave is None:
            return outcome
        waited = self._latency.of(migration.migration_id, migration.wave.number)
        return replace(outcome, produce_latency=waited)


def source_and_destination_brokers(
    policy: Policy, waves: Iterable[Wave]
) -> tuple[set[int], set[int]]:
    """Return the source and the destination brokers of a cluster.

    They are those of the policy and those that the forward waves of a migration name.
    """
    forward = [wave for wave in waves if wave.direction is Direction.FORWARD]
    sources = {*policy.source_broker_ids, *(b for w in forward for b in w.source_broker_ids)}
    destinations = {
        *policy.destination_broker_ids,
        *(b for w in forward for b in w.destination_broker_ids),
    }
    return sources - set(policy.destination_broker_ids), destinations - set(
        policy.source_broker_ids
    )
