"""Faults that tests inject through /lab/faults, a path that Cruise Control does not have.

The api and the service ask for them. Each fault applies to the next `times` requests to its
endpoint.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Fault(StrEnum):
    ERROR = "error"
    """Answers 500 and does nothing."""
    CAPACITY = "capacity"
    """Answers 500, as when the capacity of the servlet is reached, and does nothing."""
    HANG = "hang"
    """Never answers and does nothing."""
    ACCEPT_THEN_HANG = "accept_then_hang"
    """Does the work and never answers."""
    ACCEPT_THEN_DROP = "accept_then_drop"
    """Does the work and closes the connection instead of an answer."""
    GARBAGE = "garbage"
    """Answers 200 with a page that is not JSON."""
    ZERO_MOVES = "zero_moves"
    """remove_broker: answers 200 and completes without a move, as from stale metadata."""
    PARTIAL_MOVES = "partial_moves"
    """remove_broker: completes with the first `amount` moves only."""
    LEAK_THROTTLE = "leak_throttle"
    """remove_broker: leaves the throttle of this execution behind."""
    STALL = "stall"
    """Executor: sees no progress for `amount` seconds. Works at once for any endpoint."""
    NO_WINDOWS = "no_windows"
    """Monitor: no valid window for `amount` seconds. Works at once."""


AT_ONCE = frozenset({Fault.STALL, Fault.NO_WINDOWS})
PLANNING = frozenset({Fault.ZERO_MOVES, Fault.PARTIAL_MOVES, Fault.LEAK_THROTTLE})
_MOST = 1000


@dataclass(frozen=True)
class Injected:
    fault: Fault
    endpoint: str = "remove_broker"
    times: int = 1
    amount: float = 0.0

    @classmethod
    def parse(cls, body: Any) -> "Injected":
        """The fault in the body of a request. Raises ValueError, which names the wrong field."""
        if not isinstance(body, dict) or "fault" not in body:
            raise ValueError(
                f"needs a JSON object with `fault`, one of {[fault.value for fault in Fault]}"
            )
        times = int(body.get("times", 1))
        if not 1 <= times <= _MOST:
            raise ValueError(f"`times` must lie in 1..{_MOST}")
        endpoint = str(body.get("endpoint", "remove_broker"))
        return cls(Fault(body["fault"]), endpoint, times, float(body.get("amount", 0)))


class Faults:
    def __init__(self) -> None:
        self._waiting: deque[Injected] = deque()

    def inject(self, fault: Injected) -> None:
        self._waiting.extend([fault] * fault.times)

    def take(self, endpoint: str, *, planning: bool) -> Injected | None:
        """The next fault for this endpoint, or None.

        With `planning` it is one that changes the plan, otherwise one that changes the answer.
        """
        for fault in self._waiting:
            if fault.endpoint == endpoint and (fault.fault in PLANNING) is planning:
                self._waiting.remove(fault)
                return fault
        return None

    def clear(self) -> None:
        self._waiting.clear()

    def listed(self) -> list[dict[str, Any]]:
        return [
            {"fault": f.fault.value, "endpoint": f.endpoint, "amount": f.amount}
            for f in self._waiting
        ]
