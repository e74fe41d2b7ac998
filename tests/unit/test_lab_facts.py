"""What counts as a move between two looks at a lab's cluster: by the disks, and not by what a
broker heard too late.
"""

from dataclasses import replace

from deploy.lab.workload.facts import Facts, Name, PartitionFacts

P: Name = ("demo", 0)


def look(replicas: tuple[int, ...], **disks: dict[Name, int]) -> Facts:
    return Facts(
        racks={11: "a", 12: "b", 32: "b"},
        partitions={P: PartitionFacts(leader=replicas[0], replicas=replicas, isr=replicas)},
        log_dirs={int(name[1:]): held for name, held in disks.items()},
        reassignments=0,
        throttles=(),
    )


BEFORE = look((11, 12), b11={P: 500}, b12={P: 500}, b32={})


def test_what_grows_at_home_has_not_moved() -> None:
    """Producers make replicas grow; nothing has moved by that."""
    assert look((11, 12), b11={P: 900}, b12={P: 900}, b32={}).arrived_since(BEFORE) == []


def test_an_empty_copy_of_a_cancelled_move_has_not_moved() -> None:
    """A broker behind the controller makes the folder of what was cancelled, and gets no byte
    from the leader.
    """
    late = look((11, 12), b11={P: 500}, b12={P: 500}, b32={P: 0})
    assert late.arrived_since(BEFORE) == []
    by_its_own_word = replace(
        late, partitions={P: PartitionFacts(leader=11, replicas=(11, 12, 32), isr=(11, 12))}
    )
    assert by_its_own_word.arrived_since(BEFORE) == []


def test_a_copy_that_grows_has_moved() -> None:
    """Bytes came to where the partition is not assigned: something is still copied."""
    begun = look((11, 12), b11={P: 500}, b12={P: 500}, b32={P: 200})
    assert begun.arrived_since(BEFORE) == [(32, P)]
    assert look((11, 12), b11={P: 500}, b12={P: 500}, b32={P: 300}).arrived_since(begun) == [
        (32, P)
    ]
    assert look((11, 12), b11={P: 500}, b12={P: 500}, b32={P: 200}).arrived_since(begun) == []


def test_a_replica_that_is_assigned_has_moved_even_if_it_is_empty() -> None:
    """The assignment names the new broker instead of the old one: that is a move, with data or
    without.
    """
    assert look((11, 32), b11={P: 500}, b32={P: 0}).arrived_since(BEFORE) == [(32, P)]
