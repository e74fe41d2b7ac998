"""Whether what comes to a broker fits into its log dirs.

Pure; called by broker_checks.py and watches.py.

Source: Kafka puts a new replica into the log dir that holds the fewest, whatever their sizes
(LogManager.nextLogDirs), so that free space in one dir is of no use to another (KIP-113, KIP-827).
"""

from collections.abc import Sequence

from agent.core.model.cluster import BrokerLogs, LogDir

# What must be left free, in parts of what comes: an estimate of sizes is no promise.
HEADROOM = 0.1


def shares(dirs: Sequence[LogDir], replicas: int) -> list[float]:
    """Which part of so many new replicas lands in each dir: the emptiest by number is filled up
    first.
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
    """Log dirs without room for their share, with the bytes that each would need.

    In: the broker's dirs as they are; how many replicas come, their bytes in all, the largest of
    them, and what producers will add to them meanwhile. A dir that takes any must have room for the
    largest: it may land there.
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
    """False before Kafka 3.3, and where the broker did not answer."""
    return log is not None and all(d.free_bytes >= 0 for d in log.volumes)
