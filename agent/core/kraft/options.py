"""The options of a migration to KRaft, taken from the cluster's settings and fixed at its start."""

from dataclasses import dataclass
from enum import StrEnum

from agent.core.kraft.node_config import Quorum


class RestartBy(StrEnum):
    """Who restarts a node with new settings."""

    MANUAL = "manual"  # people, who read it in an event; the agent waits until the cluster shows it
    LAB = "lab"  # the lab's supervisor
    WEBHOOK = "webhook"  # a tool of the operators, which receives a POST


class Gates(StrEnum):
    """What starts the next phase once all signals of a phase hold."""

    MANUAL = "manual"  # an operator's `kraft advance`
    AUTO = "auto"  # the next phase starts at once, but never the finalization


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftController:
    """A KRaft controller that the migration adds."""

    node_id: int
    address: str  # host:port of its controller listener
    metrics_url: str  # its metrics as a page for Prometheus


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftOptions:
    """How a cluster is migrated to KRaft. Without controllers it is not configured."""

    controllers: tuple[KraftController, ...] = ()
    zookeeper: str = ""
    controller_listener_name: str = "CONTROLLER"
    controller_security_protocol: str = "PLAINTEXT"
    inter_broker_listener_name: str = "PLAINTEXT"
    restart_by: RestartBy = RestartBy.MANUAL
    gates: Gates = Gates.MANUAL
    soak_seconds: float = 7 * 24 * 3600.0  # Kafka's own advice: a week or two
    write_behind_records_max: int = 0  # a ZkWriteBehindLag up to this counts as none
    # a controller that is further behind the leader of the quorum counts as absent
    voter_seconds_behind_max: float = 10.0
    restart_patience_seconds: float = 300.0  # after this long the restart is requested again
    # partitions that stay under-replicated this long after a broker came back cannot heal
    stuck_seconds: float = 60.0
    look_seconds: float = 2.0

    @property
    def quorum(self) -> Quorum:
        """The quorum that the controllers form, as settings of nodes name it."""
        return Quorum(
            voters=tuple((c.node_id, c.address) for c in self.controllers),
            listener_name=self.controller_listener_name,
            security_protocol=self.controller_security_protocol,
            inter_broker_listener_name=self.inter_broker_listener_name,
        )

    @property
    def controller_ids(self) -> tuple[int, ...]:
        """The node ids of the controllers, in the order of clusters.yaml."""
        return tuple(c.node_id for c in self.controllers)
