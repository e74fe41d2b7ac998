"""The lab: a real ZooKeeper, real brokers and a Cruise Control on one machine.

It needs nothing but Python. The tests, the demo and `kafka-migration lab` use it to try and to test
migrations. It has no security unless that is requested.
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
