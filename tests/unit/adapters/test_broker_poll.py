"""The loss of a broker is told at once and once; a Kafka that does not answer has lost nobody."""

import asyncio
import contextlib
from collections.abc import Mapping

from agent.adapters.kafka.broker_poll import BrokerPoll
from agent.performer.ports import PortError


class Script:
    """A Kafka that answers with one thing after the other, and then the last again."""

    def __init__(self, *answers: set[int] | None) -> None:
        self._answers = list(answers)

    async def alive(self) -> Mapping[int, str | None]:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            raise PortError("away")
        return dict.fromkeys(answer)


async def test_each_change_is_told_once() -> None:
    """The brokers as they are, then what has changed; silence is None, and is no loss."""
    told: list[frozenset[int] | None] = []
    four = asyncio.Event()

    async def on_change(brokers: frozenset[int] | None) -> None:
        told.append(brokers)
        if len(told) == 4:
            four.set()

    poll = BrokerPoll(
        Script({11, 12}, {11, 12}, None, {11, 12}, {11}, {11}), on_change, seconds=0.0
    )
    poll.start()
    await four.wait()
    await poll.stop()
    assert told == [{11, 12}, None, {11, 12}, {11}]


async def test_a_poll_ends_though_its_look_has_lost_the_cancellation() -> None:
    """It is cancelled again: who lets the cluster go must not wait for ever."""
    begun = asyncio.Event()

    class Loses:
        async def alive(self) -> Mapping[int, str | None]:
            begun.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return {11: None}

    async def on_change(_brokers: frozenset[int] | None) -> None: ...

    poll = BrokerPoll(Loses(), on_change, seconds=60.0)
    poll.start()
    await begun.wait()
    async with asyncio.timeout(10):
        await poll.stop()
