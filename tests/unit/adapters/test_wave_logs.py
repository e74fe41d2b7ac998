"""What a wave's brokers hold, at the cost of what is in flight."""

from collections.abc import Iterable, Mapping

from agent.core.model.cluster import BrokerLogs, LogDir, TopicPartition
from agent.performer.wave_logs import SIZES_PER_SECOND, WaveLogs

MANY = 2_000
NAMES = [TopicPartition("t", n) for n in range(MANY)]
SOURCE, DESTINATION = 11, 31
BOTH = (SOURCE, DESTINATION)


class Disks:
    """Two brokers' log dirs; counts how many sizes were told.

    Implements what WaveLogs asks of KafkaPort.
    """

    def __init__(self) -> None:
        self.on: dict[int, dict[TopicPartition, int]] = {
            SOURCE: dict.fromkeys(NAMES, 100),
            DESTINATION: {},
        }
        self.told: list[int] = []
        self.free_bytes = 1_000_000

    async def logs(
        self, broker_ids: Iterable[int], names: Iterable[TopicPartition] | None = None
    ) -> Mapping[int, BrokerLogs]:
        only = None if names is None else frozenset(names)
        found = {}
        for b in broker_ids:
            sizes = {n: size for n, size in self.on[b].items() if only is None or n in only}
            dirs = (LogDir("/data", len(sizes), self.free_bytes),)
            found[b] = BrokerLogs(b, sizes, self.free_bytes, dirs)
        self.told.append(sum(len(log.size_bytes) for log in found.values()))
        return found


class Clock:
    """Time that passes by hand."""

    at = 1_000.0

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += seconds


def _made() -> tuple[Disks, Clock, WaveLogs]:
    disks, clock = Disks(), Clock()
    logs = WaveLogs(disks, clock, frozenset({SOURCE}), frozenset({DESTINATION}), frozenset(NAMES))  # type: ignore[arg-type]
    return disks, clock, logs


async def test_a_look_costs_by_what_is_in_flight() -> None:
    """After the first whole look only the partitions on their way are read, and the figures are
    those of all.
    """
    disks, clock, logs = _made()
    await logs.refresh(BOTH, NAMES[:2])
    disks.on[DESTINATION] |= {NAMES[0]: 40, NAMES[1]: 100}
    clock.at += 1.0
    await logs.refresh(BOTH, NAMES[:2])
    assert disks.told == [MANY, 4]
    assert logs.totals(NAMES[:2]) == (MANY, 100 * MANY - 140, 140)


async def test_what_has_arrived_leaves_the_source_and_does_not_grow() -> None:
    """A partition that has arrived is asked for until its source has let it go; its size then
    is what came.
    """
    disks, clock, logs = _made()
    await logs.refresh(BOTH, NAMES[:1])
    disks.on[DESTINATION][NAMES[0]] = 100
    clock.at += 1.0
    await logs.refresh(BOTH, [])
    assert logs.totals([]) == (MANY, 100 * MANY, 100)
    del disks.on[SOURCE][NAMES[0]]
    disks.on[DESTINATION][NAMES[0]] = 170  # producers
    await logs.refresh(BOTH, NAMES[1:2])
    assert logs.totals(NAMES[1:2]) == (MANY - 1, 100 * (MANY - 1), 100)
    await logs.refresh(BOTH, NAMES[1:2])
    assert disks.told[-1] == 1  # only what is in flight, on its source


async def test_a_cancelled_copy_is_no_longer_counted() -> None:
    """Kafka throws its bytes away: so do the figures."""
    disks, clock, logs = _made()
    await logs.refresh(BOTH, NAMES[:1])
    disks.on[DESTINATION][NAMES[0]] = 60
    clock.at += 1.0
    await logs.refresh(BOTH, NAMES[:1])
    assert logs.totals(NAMES[:1]).bytes_moved == 60
    del disks.on[DESTINATION][NAMES[0]]
    clock.at += 1.0
    await logs.refresh(BOTH, [])
    assert logs.totals([]) == (MANY, 100 * MANY, 0)


async def test_empty_is_said_only_after_a_whole_look() -> None:
    """What landed on the source unseen is found before anybody calls it empty."""
    disks, _, logs = _made()
    disks.on[SOURCE] = {NAMES[0]: 100}
    await logs.refresh(BOTH, NAMES[:1])
    late = TopicPartition("new", 0)
    disks.on = {SOURCE: {late: 5}, DESTINATION: {NAMES[0]: 100}}
    await logs.refresh(BOTH, [])
    assert logs.totals([]).replicas_left == 1
    assert logs.held[SOURCE] == {late: 5}


async def test_a_whole_look_is_due_by_its_size() -> None:
    """A pair with many replicas is looked at as a whole seldom, and sooner where nothing is in
    flight.
    """
    disks, clock, logs = _made()
    await logs.refresh(BOTH, NAMES[:1])
    clock.at += MANY / SIZES_PER_SECOND - 1
    await logs.refresh(BOTH, NAMES[:1])
    clock.at += 1
    await logs.refresh(BOTH, NAMES[:1])
    assert disks.told == [MANY, 1, MANY]
    clock.at += 2
    await logs.refresh(BOTH, [])
    assert disks.told[-1] == MANY


async def test_a_broker_that_goes_or_comes_is_looked_at_as_a_whole() -> None:
    """A source that does not tell is silent, not empty."""
    _, clock, logs = _made()
    await logs.refresh(BOTH, NAMES[:1])
    clock.at += 1
    await logs.refresh((DESTINATION,), NAMES[:1])
    assert logs.silent == {SOURCE}
    assert logs.totals(NAMES[:1]).replicas_left == 0
    clock.at += 1
    await logs.refresh(BOTH, NAMES[:1])
    assert logs.silent == frozenset()
    assert logs.totals(NAMES[:1]).replicas_left == MANY


async def test_room_is_needed_only_for_the_rest() -> None:
    """What has been copied has its room already; free space is that of the last look, the count
    that of a whole one.
    """
    disks, clock, logs = _made()
    disks.on[DESTINATION] = {NAMES[5]: 1, NAMES[6]: 1}
    await logs.refresh(BOTH, NAMES[:1])
    disks.on[DESTINATION][NAMES[0]] = 60
    disks.free_bytes = 400
    clock.at += 1
    await logs.refresh(BOTH, NAMES[:1])
    rest = logs.remaining_logs(NAMES[:1])
    assert rest[SOURCE].size_bytes[NAMES[0]] == 40
    assert rest[DESTINATION].dirs == (LogDir("/data", 2, 400),)
