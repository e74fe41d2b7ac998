"""Whether what comes to a broker fits into its log dirs. Pure; called by broker_checks.py and
watches.py.

Source: Kafka puts a new replica into the log dir with the fewest replicas, whatever their sizes
(LogManager.nextLogDirs). So free space in one dir does not help another (KIP-113, KIP-827).
"""

from collections.abc import Sequence

from agent.core.model.cluster import BrokerLogs, LogDir

# Share of the incoming bytes that must stay free beyond them, since sizes are an estimate.
HEADROOM = 0.1


def shares(dirs: Sequence[LogDir], replicas: int) -> list[float]:
    """Which share (0 to 1) of so many new replicas lands in each dir: the dirs with the fewest
    replicas are filled up first.
    """
    counts = [d.replicas for d in dirs]
    landing = [0.0] * len(dirs)
    level, left = 0.0, float(max(replicas, 1))
    order = sorted(range(len(dirs)), key=lambda index: counts[index])
    for at, n in enumerate(order):
        lower = order[: at + 1]
        level = float(counts[n])
        upto = float(counts[order[at + 1]]) if at + 1 < len(order) else float("inf")
        step = min(upto - level, left / len(lower))
        for one in lower:
            landing[one] += step
        left -= step * len(lower)
        if left <= 0:
            break
    return [part / max(replicas, 1) for part in landing]


def log_dirs_without_room(
    log: BrokerLogs, replicas: int, size_bytes: float, largest_bytes: int, growth_bytes: float = 0.0
) -> list[tuple[LogDir, int]]:
    """The log dirs without room for their share, each with the bytes that it needs.

    In: the log dirs of a broker; the number of replicas that come; their bytes in all; the bytes of
    the largest; and the bytes that producers add to them meanwhile. A dir that gets any replica
    must have room for the largest, which may be the one. A dir whose free space is unknown is left
    out.
    """
    short = []
    dirs = log.volumes
    for one, share in zip(dirs, shares(dirs, replicas), strict=True):
        if one.free_bytes < 0 or share <= 0 or size_bytes <= 0:
            continue
        needed = max(
            share * size_bytes * (1 + HEADROOM) + share * growth_bytes, float(largest_bytes)
        )
        if one.free_bytes < needed:
            short.append((one, int(needed)))
    return short


def reports_free_space(log: BrokerLogs | None) -> bool:
    """Whether the broker reported the free bytes of all its log dirs; false before Kafka 3.3, and
    if it did not answer.
    """
    return log is not None and all(d.free_bytes >= 0 for d in log.volumes)
