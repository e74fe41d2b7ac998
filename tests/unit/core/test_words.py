"""Ids and long lists in sentences."""

from agent.core.model.words import ids, listed


def test_ids_are_in_ascending_order() -> None:
    """Whatever order or collection they come in."""
    assert ids({13, 11, 12}) == "11, 12, 13"
    assert ids(()) == ""


def test_a_long_list_names_a_few_and_counts_the_rest() -> None:
    """The total counts where only some of the things are at hand, or none."""
    assert listed(["a", "b"]) == "a, b"
    assert listed(range(7)) == "0, 1, 2, 3, 4 and 2 more"
    assert listed([11, 12], total=9) == "11, 12 and 7 more"
    assert listed("abc", examples_max=1) == "a and 2 more"
    assert listed((), total=3) == "3 more"
    assert listed(()) == ""
