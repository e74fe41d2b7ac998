"""How looks at drained brokers are met: late arrivals, when a broker may be shut down, and when all have left.

Called by decide.py; what comes next is in flow.py.
"""

from agent.core import events as ev
from agent.core import messages as msg
from agent.core.handlers import discovery, flow
from agent.core.migration import DrainedSource, Phase
from agent.core.step import StepContext


def sources_observed(d: StepContext, o: msg.SourcesObserved) -> None:
    """Late arrivals are swept until the source stays empty; then it may be shut down, and is watched until it left."""
    held = dict(o.replicas)
    alive = frozenset(o.alive)
    for s in d.migration.sources:
        if s.broker_id not in held:
            continue
        if s.left:
            if s.broker_id in alive:
                d.emit(ev.SourceReturned(at=d.at, broker_id=s.broker_id))
            continue
        if held[s.broker_id]:
            _refilled(d, s, held[s.broker_id])
        elif s.broker_id not in alive and s.may_be_shut_down:
            d.emit(ev.SourceLeft(at=d.at, broker_id=s.broker_id))
        elif s.empty_since is None:
            d.emit(ev.SourceEmptyAgain(at=d.at, broker_id=s.broker_id))
        elif _may_be_shut_down(d, s) and discovery.is_deregistered(d, s):
            d.emit(ev.SourceMayBeShutDown(at=d.at, broker_id=s.broker_id))
    flow.advance(d)
    ended = d.in_phase(Phase.BETWEEN_WAVES) and d.migration.wave is None and not d.migration.pause_causes
    if ended and all(held.get(s.broker_id) == 0 for s in d.migration.sources if s.wave):
        flow.enter_drained(d)
    if d.in_phase(Phase.DRAINED) and d.migration.sources and all(s.left for s in d.migration.sources):
        d.emit(ev.MigrationCompleted(at=d.at))
    discovery.update_registry_at_rest(d)


def _may_be_shut_down(d: StepContext, s: DrainedSource) -> bool:
    """Empty for long enough; but as long as this migration moves, its own sources are needed for the way back."""
    if s.may_be_shut_down or s.empty_since is None or (s.wave and not d.in_phase(Phase.DRAINED)):
        return False
    return d.at >= s.empty_since + d.policy.quiet_seconds


def throttle_swept(d: StepContext, o: msg.ThrottleSwept) -> None:
    """Told, for the audit."""
    d.emit(ev.LeftoverThrottleCleared(at=d.at, entries=o.entries, broker_ids=o.broker_ids))


def _refilled(d: StepContext, s: DrainedSource, replicas: int) -> None:
    if d.in_phase(Phase.DRAINED, Phase.BETWEEN_WAVES) and s.wave and not s.may_be_shut_down and s.empty_since:
        d.emit(ev.WaveReopened(at=d.at, wave=s.wave, why=f"{replicas} replicas have landed on broker {s.broker_id}"))
    elif s.empty_since is not None:
        d.emit(ev.SourceRefilled(at=d.at, broker_id=s.broker_id, replicas=replicas))
