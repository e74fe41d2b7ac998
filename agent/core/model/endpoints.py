"""How clients find the brokers: the endpoint (a proxy) of each broker in the service registry.

Pure values, kept in the state of the migration; the discovery handlers decide on them.
"""

from dataclasses import dataclass

from agent.core.model.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One broker's entry in the service registry as it was found; enough to restore it
    unchanged.
    """

    broker_id: int
    service_id: str
    node: str
    address: str
    port: int
    tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """What this migration has changed in the service registry; empty where no registry is
    configured.
    """

    registered: tuple[int, ...] = ()  # destinations that this migration registered and checked
    # the entries of the source brokers before anything moved
    originals: tuple[Endpoint, ...] = ()
    # removal was requested: from then on an entry may be gone
    deregistration_requested: tuple[int, ...] = ()
    deregistered: tuple[int, ...] = ()  # removal is confirmed

    def to_restore(self, broker_ids: tuple[int, ...]) -> tuple[Endpoint, ...]:
        """The original entries of these brokers that this migration may have removed."""
        return tuple(
            e
            for e in self.originals
            if e.broker_id in broker_ids and e.broker_id in self.deregistration_requested
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """The outcome of RegisterEndpoints: the brokers that are registered and pass their check, and
    the entries of all other brokers.
    """

    broker_ids: tuple[int, ...]
    others: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregistered:
    """The outcome of DeregisterEndpoints: the brokers that are removed, and why the
    others are not.
    """

    broker_ids: tuple[int, ...]
    counted: bool  # whether the connections of clients could be counted
    held: tuple[Reason, ...] = ()
