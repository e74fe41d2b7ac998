"""Events of the service registry in which clients find brokers. All are listed in events.py."""

from dataclasses import dataclass

from agent.core.model.endpoints import Endpoint
from agent.core.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsRegistered(Event):
    """Clients can find these brokers: their endpoints are in the service, and their checks pass."""

    broker_ids: tuple[int, ...]
    restored: bool  # they were there before the migration, and are back
    others: tuple[Endpoint, ...] = ()

    def __str__(self) -> str:
        again = " again" if self.restored else ""
        return (
            f"clients find brokers {', '.join(map(str, self.broker_ids)) or 'none'} in the "
            f"service{again}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsDeregistered(Event):
    """Clients are no longer sent to these brokers."""

    broker_ids: tuple[int, ...]
    connections_counted: bool  # False: nobody could count them; only the grace time was waited for

    def __str__(self) -> str:
        seen = (
            "no client was connected"
            if self.connections_counted
            else "connections could not be counted"
        )
        return f"brokers {', '.join(map(str, self.broker_ids))} are out of the service; {seen}"
