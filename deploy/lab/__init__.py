"""The lab: a real ZooKeeper, real brokers and a Cruise Control on one machine, with nothing
installed but Python.

Used by the tests, the demo and `kafka-migration lab`. For trying and testing: it has no security
unless asked for.
"""

from deploy.lab.cluster.config import BrokerSpec, CruiseControlKind, LabConfig, Metrics, Role
from deploy.lab.cluster.lab import Lab, LabError
from deploy.lab.cluster.ports import free_base_port

__all__ = [
    "BrokerSpec",
    "CruiseControlKind",
    "Lab",
    "LabConfig",
    "LabError",
    "Metrics",
    "Role",
    "free_base_port",
]
