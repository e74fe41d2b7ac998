"""Limits how many requests one Cruise Control gets, because all of its clients share its capacity.

Used by client.py.

Each request is a user task, which counts as active until a scan that runs every 5 s. By default
Cruise Control allows five active tasks (`max.active.user.tasks`). A request with the User-Task-ID
of an earlier question makes no new task, but returns the old answer, so it serves only to poll.

A "question" is a request that changes nothing; an "order" changes something in Cruise Control.
"""

# The longest time that a request counts after its answer.
COUNTS_SECONDS = 5.0
# How many questions of this agent count at the same time, and how many requests in all. One task
# is left to other clients.
QUESTIONS_MAX = 3
REQUESTS_MAX = 4
# How many questions a standing watch leaves to checks that have to be made before an action.
LEFT_BY_WATCHES = 1


class Questions:
    """The requests of the last seconds; every `now` is in seconds of the same monotonic clock.

    A question waits for its turn. An order never waits, but counts.
    """

    def __init__(self, questions_max: int = QUESTIONS_MAX) -> None:
        self._questions_max = questions_max
        self._requests_max = questions_max + REQUESTS_MAX - QUESTIONS_MAX
        self._open = 0  # not answered yet
        self._answered: list[float] = []
        self._ordered: list[float] = []

    def seconds_to_wait(self, now: float, *, before_an_order: bool = False) -> float:
        """Return the seconds to wait before the next question; 0.0 when it may be sent now.

        Call it again after the wait, because others wait for the same turn. `before_an_order`: the
        question is the last check before an order, and may use the place of one.
        """
        self._forget(now)
        requests = sorted((*self._answered, *self._ordered))
        seconds = self._seconds_until_free(requests, self._requests_max, now)
        if before_an_order:
            return seconds
        return max(seconds, self._seconds_until_free(self._answered, self._questions_max, now))

    def _seconds_until_free(self, times: list[float], limit: int, now: float) -> float:
        too_many = self._open + len(times) + 1 - limit
        if too_many <= 0:
            return 0.0
        if too_many > len(times):
            return COUNTS_SECONDS  # no place is free until an open question is answered
        return times[too_many - 1] + COUNTS_SECONDS - now

    def can_spare_one(self, now: float) -> bool:
        """Whether a watch may send a question now; a watch never waits, but tries again later."""
        waits = self.seconds_to_wait(now) > 0.0
        return (
            not waits and self._open + len(self._answered) < self._questions_max - LEFT_BY_WATCHES
        )

    def begin(self) -> None:
        """Count a question that is being sent."""
        self._open += 1

    def end(self, now: float, *, counts: bool = True) -> None:
        """End an open question, answered or given up.

        `counts`: False when it was refused before it began.
        """
        self._open -= 1
        if counts:
            self._answered.append(now)

    def order(self, now: float) -> None:
        """Count an order that is being sent."""
        self._ordered.append(now)

    def _forget(self, now: float) -> None:
        self._answered = [at for at in self._answered if at + COUNTS_SECONDS > now]
        self._ordered = [at for at in self._ordered if at + COUNTS_SECONDS > now]
