"""Samples in the simulation: what monitors send of each broker, and the troubles they have.

Played by simulation.py.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

from agent.core.metrics.rule_evaluator import Sample
from agent.core.metrics.rules import Action, Aggregation, Rule, Side

SCRAPE_SECONDS = 2.0
RESUME_DELAY_SECONDS = 5.0
STALE_SECONDS = 6.0  # the last word of a broker that died counts for so long
RULES = (
    Rule(
        name="latency",
        metric="latency_ms",
        threshold=500,
        clear=200,
        duration_seconds=2.0,
        resume_delay_seconds=RESUME_DELAY_SECONDS,
        stale_seconds=STALE_SECONDS,
        flaps_max=2,
        flap_window_seconds=300.0,
    ),
    Rule(
        name="idle",
        metric="idle_ratio",
        threshold=0.2,
        clear=0.5,
        side=Side.BELOW,
        resume_delay_seconds=RESUME_DELAY_SECONDS,
        stale_seconds=STALE_SECONDS,
        aggregation=Aggregation.WORST,
        action=Action.SLOW,
        flaps_max=4,
        flap_window_seconds=300.0,
    ),
)
CALM = {"latency_ms": 50.0, "idle_ratio": 0.9}
BAD = {"latency_ms": 900.0, "idle_ratio": 0.05}
BETWEEN = {"latency_ms": 350.0, "idle_ratio": 0.35}
MOODS = {"calm": CALM, "bad": BAD, "between": BETWEEN}


class Monitors:
    """Every broker's exporter and the collector."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.due = 0.0
        self.moods: dict[int, str] = {}  # broker -> bad, between, silent, nan; calm if not named
        self.disorder = False
        self.calm_since: float | None = None
        self._bad_at: dict[int, float] = {}  # broker -> when its newest word was a bad one
        self._old: list[Sample] = []

    def scrape(self, brokers: Iterable[int], expected: frozenset[int], now: float) -> list[Sample]:
        """What arrives now: the samples, and with disorder old ones again, in any order."""
        self.due = now + SCRAPE_SECONDS
        fresh: list[Sample] = []
        up = sorted(brokers)
        for b in up:
            mood = self.moods.get(b, "calm")
            if mood == "silent":
                continue
            if mood in {"bad", "between"}:
                self._bad_at[b] = now
            elif mood == "calm":
                self._bad_at.pop(b, None)
            for metric in CALM:
                value = math.nan if mood == "nan" else MOODS[mood][metric]
                fresh.append((metric, b, "ec2" if b < 51 else "k8s", value, now))
        still_bad = any(now - at <= STALE_SECONDS for at in self._bad_at.values())
        calm = expected <= set(up) and not self.moods and not still_bad
        self.calm_since = (now if self.calm_since is None else self.calm_since) if calm else None
        arrives = list(fresh)
        if self.disorder:
            arrives += self._rng.sample(self._old, k=min(5, len(self._old))) + self._rng.sample(
                fresh, k=len(fresh) // 2
            )
            self._rng.shuffle(arrives)
        self._old = [*self._old, *fresh][-100:]
        return arrives

    def mend(self) -> None:
        self.moods.clear()
        self.disorder = False
