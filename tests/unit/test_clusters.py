"""What ZooKeeper's registrations become on their way to the inbox."""

import asyncio

from agent.core.messages import BrokersObserved, Observation
from agent.worker import driven_cluster
from agent.worker.driven_cluster import Registrations


class Inbox:
    """Takes observations; fails as often as told first."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[BrokersObserved] = []

    async def post(self, observation: Observation) -> None:
        if self.failures:
            self.failures -= 1
            raise ConnectionError("Kafka is away")
        assert isinstance(observation, BrokersObserved)
        self.taken.append(observation)


async def test_the_first_look_tells_who_is_there_and_nobody_is_lost_yet() -> None:
    """A take-over learns at once whether a broker that is needed is missing."""
    inbox = Inbox()
    await Registrations("lab", inbox.post).changed(frozenset({12, 11}))
    assert [(o.registered, o.lost) for o in inbox.taken] == [((11, 12), ())]


async def test_a_broker_that_goes_is_lost_and_one_that_comes_is_not() -> None:
    """Lost is what was there at the look before."""
    inbox = Inbox()
    registrations = Registrations("lab", inbox.post)
    for brokers in ({11, 12, 31}, {11, 31}, {11, 12, 31}):
        await registrations.changed(frozenset(brokers))
    assert [o.lost for o in inbox.taken] == [(), (12,), ()]


async def test_what_goes_while_zookeeper_is_silent_is_told_when_it_speaks() -> None:
    """Silence is no news; the next look is compared with the last one that was seen."""
    inbox = Inbox()
    registrations = Registrations("lab", inbox.post)
    await registrations.changed(frozenset({11, 12}))
    await registrations.changed(None)
    await registrations.changed(frozenset({11}))
    assert [o.lost for o in inbox.taken] == [(), (12,)]


async def test_an_observation_that_could_not_be_posted_is_posted_again() -> None:
    """A lost broker is not forgotten because the control Kafka was away for a moment."""
    inbox = Inbox(failures=1)
    async with asyncio.timeout(driven_cluster.RETRY_SECONDS * 10):
        await Registrations("lab", inbox.post).changed(frozenset({11}))
    assert len(inbox.taken) == 1
