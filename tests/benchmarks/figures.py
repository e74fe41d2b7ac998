"""From measured moves to figures with targets: medians, ratios, what held.

Called by move.py. Pure.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

BY_HAND_MAX = 0.5
ARTICLE_MAX = 0.15
KAFKA_MAX = 2.0
KAFKA_TARGET_GIGABYTES = 1.0
# Slower would cost time, and faster would mean that the throttle does not limit.
THROTTLE_MIN, THROTTLE_MAX = 0.9, 1.1


@dataclass(frozen=True, slots=True)
class Measured:
    """One move. Seconds from its start; `rate`: the throttle in bytes per second, None for none."""

    gigabytes: float
    round: int
    way: str
    moved_bytes: int
    empty_seconds: float
    next_wave_seconds: float
    rate: int | None = None
    cruise_control: str = "real"  # or the lab's stand-in


def figures(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """Rows of {figure, value, unit, target, held}; `held` is None where a figure has no target.

    The real Cruise Control's figures first: they are those that count. The stand-in's stand beside
    them.
    """
    rows: list[dict[str, Any]] = []
    for kind in sorted({m.cruise_control for m in measured}):  # "real" before "stand-in"
        rows += [
            {**row, "figure": f"{row['figure']} ({kind})"}
            for row in _of_kind([m for m in measured if m.cruise_control == kind])
        ]
    return rows


def numbered(measured: Iterable[Measured], before: Iterable[Measured]) -> list[Measured]:
    """Moves measured in several sittings as one list: what is new goes on from the last round
    of its kind.
    """
    kept = list(before)
    last = {_series(m): m.round for m in sorted(kept, key=lambda m: m.round)}
    return kept + [
        dataclasses.replace(m, round=m.round + last.get(_series(m), 0)) for m in measured
    ]


def _series(m: Measured) -> tuple[str, float, str]:
    return m.cruise_control, m.gigabytes, m.way


def _of_kind(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    sizes = sorted({m.gigabytes for m in measured})
    for size in sizes:
        rows += _of_size(size, [m for m in measured if m.gigabytes == size])
    against_kafka = [
        ratio for size in sizes if (ratio := _ratio(measured, size, "agent", "kafka")) is not None
    ]
    if len(against_kafka) > 1:
        falls = all(later <= before for before, later in pairwise(against_kafka))
        ratios = " > ".join(f"{r:.2f}" for r in against_kafka)
        rows.append(_row("agent / kafka falls with size", ratios, "ratios", "falling", held=falls))
    return rows


def _of_size(size: float, measured: list[Measured]) -> list[dict[str, Any]]:
    rows = [
        _row(
            f"bytes on the source, {size:g} GB",
            int(median(m.moved_bytes for m in measured)),
            "bytes",
        )
    ]
    for way in dict.fromkeys(m.way for m in measured):
        mine = [m for m in measured if m.way == way]
        rows.append(_row(f"{way}, rounds, {size:g} GB", len(mine), "rounds"))
        rows.append(
            _row(f"{way}, source empty, {size:g} GB", _middle(m.empty_seconds for m in mine), "s")
        )
        rows.append(
            _row(
                f"{way}, next wave could start, {size:g} GB",
                _middle(m.next_wave_seconds for m in mine),
                "s",
            )
        )
    for one, other, most in (
        ("agent", "cruise control by hand", BY_HAND_MAX),
        ("agent, article's rate", "article", ARTICLE_MAX),
        ("agent", "kafka", KAFKA_MAX if size == KAFKA_TARGET_GIGABYTES else None),
    ):
        if (ratio := _ratio(measured, size, one, other)) is not None:
            held = None if most is None else ratio <= most
            target = None if most is None else f"<= {most:g}"
            rows.append(
                _row(f"{one} / {other}, {size:g} GB", round(ratio, 3), "ratio", target, held=held)
            )
    bound = [
        m.empty_seconds / (m.moved_bytes / m.rate)
        for m in measured
        if m.way == "agent, throttle binds" and m.rate
    ]
    if bound:
        value = _middle(bound)
        name = f"agent, throttle binds / (bytes / rate), {size:g} GB"
        held = THROTTLE_MIN <= value <= THROTTLE_MAX
        rows.append(_row(name, value, "ratio", f"{THROTTLE_MIN:g} to {THROTTLE_MAX:g}", held=held))
    return rows


def _ratio(measured: Iterable[Measured], size: float, one: str, other: str) -> float | None:
    """Of the medians on the first clock; None when one of the two was not measured."""
    mine = [m for m in measured if m.gigabytes == size]
    first = [m.empty_seconds for m in mine if m.way == one]
    second = [m.empty_seconds for m in mine if m.way == other]
    return median(first) / median(second) if first and second else None


def _middle(values: Iterable[float]) -> float:
    return round(median(values), 2)


def _row(
    figure: str, value: Any, unit: str, target: str | None = None, *, held: bool | None = None
) -> dict[str, Any]:
    return {"figure": figure, "value": value, "unit": unit, "target": target, "held": held}
