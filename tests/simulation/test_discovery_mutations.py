"""The invariants of client discovery can fail: agents that are wrong on purpose, each caught by
its own.
"""

from dataclasses import replace

import pytest

from agent.core import effects as fx
from agent.core import messages as msg
from agent.core.migration import Migration
from agent.core.model.endpoints import Deregistered, Registered
from agent.core.planning.policy import Policy
from agent.performer.performer import Performer
from tests.simulation.simulation import Cast
from tests.simulation.test_mutations import PLAIN, _caught

FINDING = replace(PLAIN, discovery=True)
STAYING = replace(
    FINDING, acts=((1.0, "clients_stay"), (2.0, "clients_stay"), (3.0, "clients_stay"))
)


class SaysThatItRegistered(Performer):
    async def _perform(self, effect: fx.Effect, m: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.RegisterEndpoints):
            return Registered(broker_ids=effect.broker_ids)
        return await super()._perform(effect, m, policy)


class CutsClientsOff(Performer):
    async def _perform(self, effect: fx.Effect, m: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.DeregisterEndpoints):
            assert self.ports.discovery is not None
            await self.ports.discovery.deregister(effect.broker_ids)
            return Deregistered(broker_ids=effect.broker_ids, counted=False)
        return await super()._perform(effect, m, policy)


class SaysThatItDeregistered(Performer):
    async def _perform(self, effect: fx.Effect, m: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.DeregisterEndpoints):
            return Deregistered(broker_ids=effect.broker_ids, counted=True)
        return await super()._perform(effect, m, policy)


class PutsBackAnew(Performer):
    """Not as it was."""

    async def _perform(self, effect: fx.Effect, m: Migration, policy: Policy) -> msg.Outcome:
        if isinstance(effect, fx.RegisterEndpoints):
            effect = replace(effect, restore=())
        return await super()._perform(effect, m, policy)


@pytest.mark.parametrize(
    ("invariant", "performer", "schedule"),
    [
        ("found_before_filled", SaysThatItRegistered, FINDING),
        ("sent_away_only_when_free", CutsClientsOff, STAYING),
        ("not_shut_down_while_shown", SaysThatItDeregistered, FINDING),
        ("a_way_back_is_shown", PutsBackAnew, replace(FINDING, acts=((40.0, "rollback"),))),
    ],
)
def test_a_wrong_performer_is_caught(
    invariant: str, performer: type[Performer], schedule: object
) -> None:
    """Each way of being wrong breaks just its invariant, and the real performer none."""
    _caught(invariant, Cast(performer=performer), schedule)  # type: ignore[arg-type]
