"""Plans moves: a small version of Cruise Control's removal of brokers and of its rebalance.

A replica on a removed broker is replaced in its place by one on a destination. The planner keeps
what affects clients of the original: rack awareness, refusals, the order of replicas that
leadership forces, and the leaders that stock goals move. It takes a model and returns a plan,
without input or output.
"""

import zlib
from collections import Counter
from dataclasses import replace

from deploy.lab.standin import errors
from deploy.lab.standin.cluster import ClusterView, Partition
from deploy.lab.standin.goals import HARD_GOALS, RACK_AWARE, balancedness
from deploy.lab.standin.model import BYTES_PER_MB, ClusterModel, violated_distribution_goals
from deploy.lab.standin.plan import Plan, Proposal, Removal, apply

_LEADERS_MOVED_AT_LEAST = 2
_MILD_FROM_LEADERS = 20


def plan_removal(model: ClusterModel, request: Removal) -> Plan:
    """Empty `request.brokers`.

    Raises OperationError with the words of Cruise Control when that is not allowed.
    """
    model = model.without(request.brokers)
    _check_brokers(model.view, request)
    if RACK_AWARE in request.goals:
        _check_racks(model, request)
    replicas_by_broker = Counter(
        broker for p in model.view.partitions.values() for broker in p.replicas
    )
    proposals = []
    for _, partition in sorted(model.view.partitions.items()):
        new_replicas = _replace_removed(model, request, partition, replicas_by_broker)
        if new_replicas != partition.replicas:
            proposals.append(_proposal(model, partition, new_replicas))
    _check_capacity(model, request, proposals)
    if set(request.goals) - set(HARD_GOALS):
        proposals = _spread_leaders(proposals)
    return _finish(model, request.goals, proposals)


def plan_rebalance(
    model: ClusterModel,
    goals: tuple[str, ...],
    excluded: frozenset[int],
    destinations: tuple[int, ...],
) -> Plan:
    """Even out the number of replicas among the brokers of each rack.

    This happens only when a distribution goal is requested.
    """
    request = Removal(brokers=(), destinations=destinations, goals=goals, excluded=excluded)
    _check_brokers(model.view, request)
    if RACK_AWARE in goals:
        _check_racks(model, request)
    proposals: list[Proposal] = []
    if "ReplicaDistributionGoal" in goals:
        replicas_by_broker = Counter(
            broker for p in model.view.partitions.values() for broker in p.replicas
        )
        for _, partition in sorted(model.view.partitions.items()):
            new_replicas = _level(model, request, partition, replicas_by_broker)
            if new_replicas != partition.replicas:
                proposals.append(_proposal(model, partition, new_replicas))
    return _finish(model, goals, proposals)


def _check_brokers(view: ClusterView, request: Removal) -> None:
    for broker in request.brokers:
        if broker not in view.brokers and broker not in view.dead():
            raise errors.illegal_argument_in_model(f"Broker {broker} does not exist.")
    unknown = [broker for broker in request.destinations if broker not in view.brokers]
    if unknown:
        raise errors.illegal_argument_in_model(
            f"Broker [{', '.join(map(str, unknown))}] does not exist."
        )


def _check_racks(model: ClusterModel, request: Removal) -> None:
    if model.view.dead() - set(request.brokers):
        raise errors.illegal_argument_in_model("Excluded rack ids cannot contain an empty rack id.")
    racks = {model.view.rack(broker) for broker in model.alive()}
    needed = max(
        (len(partition.replicas) for partition in model.view.partitions.values()), default=0
    )
    if needed > len(racks):
        raise errors.optimization_failure(
            _with_tips(
                request,
                f"[{RACK_AWARE}] Insufficient number of racks to distribute each replica "
                f"(Current: {len(racks)}, Needed: {needed}).",
                f"Add at least {needed - len(racks)} rack with brokers.",
            )
        )


def _with_tips(request: Removal, failure: str, recommendation: str) -> str:
    tips = []
    if request.destinations:
        tips.append(
            f"The destination brokers are limited to [{_listed(request.destinations)}]. Potential "
            "mitigation: Relax the constraint on destination brokers using destination_broker_ids "
            "parameter."
        )
    if request.excluded:
        tips.append(
            "The following brokers are excluded from replica moves "
            f"[{_listed(sorted(request.excluded))}]. Potential mitigation: Drop excluded brokers "
            "using ADMIN endpoint."
        )
    if not tips:
        return f"{failure} {recommendation}"
    numbered = "".join(f"[{number}] {tip}" for number, tip in enumerate(tips, 1))
    return (
        f"{failure} {recommendation} || Tips: {numbered} Then, re-run your original "
        f"request. {recommendation}"
    )


def _listed(brokers: "tuple[int, ...] | list[int]") -> str:
    return ", ".join(map(str, brokers))


def _replace_removed(
    model: ClusterModel, request: Removal, partition: Partition, load: Counter[int]
) -> tuple[int, ...]:
    replicas = list(partition.replicas)
    for position, source in enumerate(partition.replicas):
        if source not in request.brokers:
            continue
        others = [broker for broker in replicas if broker != source]
        eligible = _eligible(model, request, others)
        allowed = [
            broker
            for broker in eligible
            if (
                broker in request.destinations
                if request.destinations
                else broker not in request.excluded
            )
        ]
        if not allowed:
            raise _cannot_move(model, request, partition, source, eligible)
        same_rack = model.view.rack(source)
        target = min(allowed, key=lambda b: (model.view.rack(b) != same_rack, load[b], b))
        load[target] += 1
        load[source] -= 1
        replicas[position] = target
    return tuple(replicas)


def _eligible(model: ClusterModel, request: Removal, others: list[int]) -> list[int]:
    """Brokers that may take a replica of the partition.

    They are alive and hold no replica of it. With rack awareness, they are in none of its racks.
    """
    racks = {model.view.rack(broker) for broker in others if broker not in request.brokers}
    return [
        broker
        for broker in model.alive()
        if broker not in others
        and (RACK_AWARE not in request.goals or model.view.rack(broker) not in racks)
    ]


def _cannot_move(
    model: ClusterModel, request: Removal, partition: Partition, source: int, eligible: list[int]
) -> errors.OperationError:
    counts = Counter(broker for p in model.view.partitions.values() for broker in p.replicas)
    targets = [broker for broker in eligible if broker not in request.excluded]
    described = ", ".join(
        f"Broker[id={b},rack={model.view.rack(b)},state=ALIVE,replicaCount={counts[b]},logdirs=[]]"
        for b in targets
    )
    racks = ", ".join(sorted({model.view.rack(broker) for broker in partition.replicas}))
    leads = str(partition.leader == source).lower()
    goal = RACK_AWARE if RACK_AWARE in request.goals else request.goals[0]
    return errors.optimization_failure(
        _with_tips(
            request,
            f"[{goal}] Cannot move "
            f"Replica[isLeader={leads},rack={model.view.rack(source)},broker={source},"
            f"TopicPartition={partition.tp},origBroker={source},"
            "isOriginalOffline=true,isCurrentOffline=true] "
            f"to [{described}].",
            f"Add at least 1 broker to a rack other than [{racks}].",
        )
    )


def _proposal(model: ClusterModel, partition: Partition, new_replicas: tuple[int, ...]) -> Proposal:
    """A change whose first replica is the next leader.

    A partition that is not led by its first replica is therefore reordered, even if nothing else
    changes.
    """
    replicas = list(new_replicas)
    if partition.leader in partition.replicas:
        leader_at = partition.replicas.index(partition.leader)
        replicas[0], replicas[leader_at] = replicas[leader_at], replicas[0]
    return Proposal(
        tp=partition.tp,
        old_leader=partition.leader,
        old_replicas=partition.replicas,
        new_replicas=tuple(replicas),
        size_bytes=model.size_bytes.get(partition.tp, 0),
    )


def _check_capacity(model: ClusterModel, request: Removal, proposals: list[Proposal]) -> None:
    """Refuse a plan beyond the capacity.

    This was not recorded from a real Cruise Control; the words imitate its style.
    """
    loads = {row.broker: row for row in model.loads()}
    replicas: Counter[int] = Counter()
    disk_mb: Counter[int] = Counter()
    for proposal in proposals:
        for broker in proposal.adding:
            replicas[broker] += 1
            disk_mb[broker] += proposal.size_bytes // BYTES_PER_MB
    for broker, count in replicas.items():
        if (
            "ReplicaCapacityGoal" in request.goals
            and loads[broker].replicas + count > request.limits.replicas
        ):
            raise errors.optimization_failure(
                f"[ReplicaCapacityGoal] Insufficient replica capacity on broker {broker} "
                f"(Limit: {request.limits.replicas}). Add at least 1 broker."
            )
        if (
            "DiskCapacityGoal" in request.goals
            and loads[broker].disk_mb + disk_mb[broker] > request.limits.disk_mb
        ):
            raise errors.optimization_failure(
                f"[DiskCapacityGoal] Insufficient capacity for disk on broker {broker} "
                f"(Utilization {loads[broker].disk_mb + disk_mb[broker]:.2f}, Allowed Capacity "
                f"{request.limits.disk_mb:.2f}). Add at least 1 broker."
            )


def _spread_leaders(proposals: list[Proposal]) -> list[Proposal]:
    """Move some leaders to another replica, and with them the first place.

    Stock goals did so for 2 to 3 of 91 partitions in the recordings.
    """
    led = Counter(proposal.new_replicas[0] for proposal in proposals)
    arrived = [
        i
        for i, p in enumerate(proposals)
        if p.new_replicas[0] in p.adding and len(p.new_replicas) > 1
    ]
    if len(arrived) < _MILD_FROM_LEADERS:
        return proposals
    average = sum(led.values()) / len(led)
    spread = list(proposals)
    for moved, index in enumerate(reversed(arrived)):
        replicas = list(spread[index].new_replicas)
        if moved >= _LEADERS_MOVED_AT_LEAST and led[replicas[0]] <= average - 1:
            break
        other = min(range(1, len(replicas)), key=lambda i: (led[replicas[i]], i))
        led[replicas[0]] -= 1
        led[replicas[other]] += 1
        replicas[0], replicas[other] = replicas[other], replicas[0]
        spread[index] = replace(spread[index], new_replicas=tuple(replicas))
    return spread


def _level(
    model: ClusterModel, request: Removal, partition: Partition, load: Counter[int]
) -> tuple[int, ...]:
    replicas = list(partition.replicas)
    for position, source in enumerate(partition.replicas):
        rack = model.view.rack(source)
        targets = [
            broker
            for broker in (request.destinations or model.alive())
            if model.view.rack(broker) == rack
            and broker not in replicas
            and broker not in request.excluded
        ]
        target = min(targets, key=lambda b: (load[b], b), default=source)
        if load[source] - load[target] > 1:
            load[source] -= 1
            load[target] += 1
            replicas[position] = target
    return tuple(replicas)


def _finish(before: ClusterModel, goals: tuple[str, ...], proposals: list[Proposal]) -> Plan:
    after = replace(before, view=apply(before.view, proposals))
    violated_after = violated_distribution_goals(after) & set(goals)
    status = {goal: "VIOLATED" if goal in violated_after else "NO-ACTION" for goal in goals}
    violated_before = set(violated_after)
    if any(proposal.adding for proposal in proposals):
        fixed = goals[0] if before.removed else "ReplicaDistributionGoal"
        status[fixed] = "FIXED"
        violated_before.add(fixed)
    return Plan(
        before=before,
        after=after,
        proposals=tuple(sorted(proposals, key=_mixed)),
        goals=goals,
        goal_status=status,
        balancedness_before=balancedness(goals, frozenset(violated_before)),
        balancedness_after=balancedness(goals, violated_after),
    )


def _mixed(proposal: Proposal) -> int:
    """A sort key for an order on which no client can rely, with many topics in each batch.

    The original keeps proposals in a hash set.
    """
    return zlib.crc32(str(proposal.tp).encode())
