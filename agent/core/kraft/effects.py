"""The effects of the migration to KRaft; members of `Effect` and `Watch` in core/effects.py.

A performer looks before it acts: it requests no restart whose result the cluster shows already.
"""

from dataclasses import dataclass

from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftScope:
    """The migration to KRaft that an effect is for, and the options it was started with."""

    kraft_id: str
    options: KraftOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyKraft:
    """Read the state of all nodes once, to answer a command. Its outcome is KraftSurveyed."""

    command_id: str
    scope: KraftScope


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartNode:
    """Have one node restarted with the settings of `target`.

    Its outcome, RestartRequested, says that whoever restarts nodes was told; WatchKraft sees when
    the node is back.
    """

    scope: KraftScope
    node_id: int
    is_controller: bool
    target: NodeMode
    # the settings that a migration changes, as the broker had them before the first change
    original: tuple[tuple[str, str], ...] = ()
    drill: bool = False  # a restart with the same settings
    wipe_metadata_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseZooKeeper:
    """Delete /migration, and /controller if KRaft holds it.

    Its outcome, ZooKeeperReleased, keeps what was deleted.
    """

    scope: KraftScope


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchKraft:
    """Look at the nodes again and again, and post KraftObserved."""

    scope: KraftScope
    broker_ids: tuple[int, ...]
    with_kafka: bool = True  # False: there may be no controller, and Kafka would only be waited for
