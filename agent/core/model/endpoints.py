"""Where clients find the brokers: what is known of each broker's endpoint (its proxy) in the
service registry. Pure.

Part of the migration's state; discovery.py decides on it.
"""

from dataclasses import dataclass

from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One broker's entry in the service, as it was found: enough to put it back just so."""

    broker_id: int
    service_id: str
    node: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What this migration has done to the registry. Empty where no registry is configured."""

    registered: tuple[int, ...] = ()  # destinations of ours that were registered and checked
    # how the source brokers' entries looked before anything moved
    originals: tuple[Endpoint, ...] = ()
    # asked to be taken out: from then on an entry may be gone
    deregistration_requested: tuple[int, ...] = ()
    deregistered: tuple[int, ...] = ()  # taken out for certain

    def to_restore(self, broker_ids: tuple[int, ...]) -> tuple[Endpoint, ...]:
        """The original entries of these brokers that we may have taken out."""
        return tuple(
            e
            for e in self.originals
            if e.broker_id in broker_ids and e.broker_id in self.deregistration_requested
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """RegisterEndpoints ends so: which are registered, checked and passing, and how the others'
    entries look.
    """

    broker_ids: tuple[int, ...]
    others: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregistered:
    """DeregisterEndpoints ends so: which are out, and why the others are not."""

    broker_ids: tuple[int, ...]
    counted: bool  # whether anybody could count the clients' connections
    held: tuple[Reason, ...] = ()
