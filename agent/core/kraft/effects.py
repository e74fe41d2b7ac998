"""What the outside shall do on the way to KRaft; members of `Effect` and `Watch` in effects.py.

A performer looks before it acts: a restart that the cluster shows already is not asked for again.
"""

from dataclasses import dataclass

from agent.core.kraft.node_config import NodeMode
from agent.core.kraft.options import KraftOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class KraftScope:
    """Which migration, and what it was started with."""

    kraft_id: str
    options: KraftOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyKraft:
    """Look at everything once, to answer a command; ends with KraftSurveyed."""

    command_id: str
    scope: KraftScope


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartNode:
    """Have one node run with the keys of `target`; ends with NodeAsked, which is not yet the
    node's coming back.
    """

    scope: KraftScope
    node_id: int
    is_controller: bool
    target: NodeMode
    # the broker's touched keys from before the first change
    original: tuple[tuple[str, str], ...] = ()
    drill: bool = False  # the same keys: only a restart
    wipe_metadata_log: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseZooKeeper:
    """Delete /controller if KRaft holds it, and /migration, each kept in the answer; ends with
    ZooKeeperReleased.
    """

    scope: KraftScope


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchKraft:
    """Standing: look again and again, and post KraftObserved."""

    scope: KraftScope
    broker_ids: tuple[int, ...]
    with_kafka: bool = True  # False: there may be no controller, and Kafka would only be waited for
