"""Limits how often one Cruise Control is asked, because all of its clients share it.

Used by its client.

Each request is a user task that counts as active until a scan which comes every 5 s, and a stock
Cruise Control takes five in all (`max.active.user.tasks`). Naming the User-Task-ID of an earlier
question makes no new task, but brings its old answer: so only a question that is still being
answered is asked that way.
"""

# How long a request counts after its answer, at most.
COUNTS_SECONDS = 5.0
# So many questions of ours count at a time, and so many requests of ours in all: one place is left
# to others.
QUESTIONS_MAX = 3
REQUESTS_MAX = 4
# A standing watch leaves so many of the questions to whoever has to know before he acts.
LEFT_BY_WATCHES = 1


class Questions:
    """What was asked lately, by one clock.

    A question waits for its turn; an order only counts.
    """

    def __init__(self, questions_max: int = QUESTIONS_MAX) -> None:
        self._questions_max = questions_max
        self._requests_max = questions_max + REQUESTS_MAX - QUESTIONS_MAX
        self._open = 0  # not answered yet
        self._answered: list[float] = []
        self._ordered: list[float] = []

    def seconds_to_wait(self, now: float, *, before_an_order: bool = False) -> float:
        """Before the next question; 0.0: none.

        It is to be asked again then: others wait for the same turn.

        `before_an_order`: the last look before something is done, which may take the place of an
        order.
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
            return COUNTS_SECONDS  # only a question that is still open makes room
        return times[too_many - 1] + COUNTS_SECONDS - now

    def can_spare_one(self, now: float) -> bool:
        """Whether a watch may ask: it looks again soon, and never waits for its turn."""
        waits = self.seconds_to_wait(now) > 0.0
        return (
            not waits and self._open + len(self._answered) < self._questions_max - LEFT_BY_WATCHES
        )

    def begin(self) -> None:
        """A question is being sent."""
        self._open += 1

    def end(self, now: float, *, counts: bool = True) -> None:
        """It was answered, or its answer is not waited for.

        `counts`: False when it was refused before it began.
        """
        self._open -= 1
        if counts:
            self._answered.append(now)

    def order(self, now: float) -> None:
        """An order is being sent."""
        self._ordered.append(now)

    def _forget(self, now: float) -> None:
        self._answered = [at for at in self._answered if at + COUNTS_SECONDS > now]
        self._ordered = [at for at in self._ordered if at + COUNTS_SECONDS > now]
