"""From measured milliseconds and rates to figures with targets."""

from tests.benchmarks import events, pauses, reaction


def _held(rows: list[dict[str, object]]) -> dict[str, object]:
    return {str(r["figure"]): r["held"] for r in rows if r["held"] is not None}


def test_reaction_holds_or_breaks_each_target_by_itself() -> None:
    """p50 and p99 of pauses and slows; only p99 behind a burst.

    Peers and settings have no target.
    """
    fast = [10.0] * 98 + [90.0, 90.0]
    slow = [10.0] * 90 + [500.0] * 10
    rows = reaction.figures({"pause": fast, "slow": slow, "burst": slow}, "here", 0)
    assert list(_held(rows).values()) == [True, True, True, False, True]
    assert {r["figure"] for r in rows} >= {f"beside it: {peer}" for peer in reaction.PEERS}


def test_events_compare_medians_with_both_targets() -> None:
    """Fast enough by itself, and by the share of the plain consumer."""
    assert (
        list(
            _held(
                events.figures([300_000.0], [160_000.0, 90_000.0, 170_000.0], {}, "here")
            ).values()
        )
        == [True] * 2
    )
    assert list(_held(events.figures([300_000.0], [120_000.0], {}, "here")).values()) == [
        True,
        False,
    ]
    assert list(_held(events.figures([100_000.0], [90_000.0], {}, "here")).values()) == [
        False,
        True,
    ]


def test_pauses_are_judged_until_nothing_moves() -> None:
    """One step in a hundred that waits for 15 s is seen by the longest, five are by p99, and
    the request by itself.
    """
    good = pauses.Round(
        asked=20.0, still=2_500.0, told=4_500.0, again=1_000.0, in_flight=10, load=1.0
    )
    late = pauses.Round(
        asked=15_020.0, still=17_500.0, told=19_500.0, again=1_000.0, in_flight=10, load=9.0
    )
    assert list(_held(pauses.totals([good] * 100, 900.0, "here")).values()) == [True] * 4
    rows = pauses.totals([good] * 95 + [late] * 5, 900.0, "here")
    assert list(_held(rows).values()) == [False, True, False, True]
    assert "load 1.0 to 9.0" in str(rows[-1]["value"])
    assert pauses.totals([], 0.0, "here") == []
