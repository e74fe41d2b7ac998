"""Carries out a plan in Kafka, in batches that are limited for each broker.

It checks them once per interval, and it stops by cancelling them. service.CruiseControl uses it for
one execution at a time. Everything is in memory: after a restart it does not know what Kafka still
moves.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable

from deploy.lab.standin import errors
from deploy.lab.standin.clock import Clock
from deploy.lab.standin.cluster import Cluster, ClusterUnavailableError, ClusterView, TopicPartition
from deploy.lab.standin.execution import Execution, ExecutionOptions, ExecutorState, Move, MoveState
from deploy.lab.standin.plan import Plan, Proposal
from deploy.lab.standin.settings import Settings
from deploy.lab.standin.throttle import ReplicationThrottle

log = logging.getLogger(__name__)


LEADER_MOVEMENT_TIMEOUT_SECONDS = 180.0
"""leader.movement.timeout.ms"""


class Executor:
    def __init__(self, cluster: Cluster, settings: Settings, clock: Clock) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock
        self._next_execution_id = 0
        self._recently_removed: dict[int, float] = {}
        self._work: asyncio.Task[None] | None = None
        self.execution: Execution | None = None
        self.stalled_until = 0.0
        """An injected fault: no progress is checked before this time."""

    # ---- what was removed lately

    def recently_removed(self) -> list[int]:
        oldest = self._clock.now() - self._settings.removal_history_seconds
        self._recently_removed = {b: at for b, at in self._recently_removed.items() if at >= oldest}
        return sorted(self._recently_removed)

    def add_recently_removed(self, brokers: Iterable[int]) -> None:
        self._recently_removed.update(dict.fromkeys(brokers, self._clock.now()))

    def drop_recently_removed(self, brokers: Iterable[int]) -> None:
        for broker in brokers:
            self._recently_removed.pop(broker, None)

    # ---- start and stop

    def check_options(self, options: ExecutionOptions) -> None:
        """Raise errors that the original detects only when it executes."""
        self._check_interval(options.progress_check_interval_ms)

    def _check_interval(self, interval_ms: int | None) -> None:
        least = self._settings.min_progress_check_interval_ms
        if interval_ms is not None and interval_ms < least:
            raise errors.ServletError(
                f"Attempt to set execution progress check interval [{interval_ms}ms] to smaller "
                f"than the minimum execution progress check interval in cluster [{least}ms]."
            )

    def _check_concurrency(self, concurrency: int | None) -> None:
        most = self._settings.max_partition_movements_in_cluster
        if concurrency is not None and concurrency >= most:
            raise errors.ServletError(
                f"Attempt to set INTER_BROKER_REPLICA concurrency [{concurrency}] to greater than "
                f"or equal to the maximum number of allowed movements in cluster [{most}]."
            )

    def start(
        self,
        plan: Plan,
        options: ExecutionOptions,
        user_task_id: str,
        reason: str,
        on_finished: Callable[[str, bool, bool], None],
        *,
        healing: bool = False,
    ) -> None:
        """Start the execution in the background.

        `on_finished(user_task_id, succeeded, moved)` is called once at the end.
        """
        if self.execution is not None:
            raise errors.illegal_state(errors.ONGOING_EXECUTION)
        moves = []
        for proposal in plan.proposals:
            moves.append(Move(self._next_execution_id, proposal))
            self._next_execution_id += 1
        settings = self._settings
        self.execution = Execution(
            user_task_id=user_task_id,
            reason=reason,
            options=options,
            moves=moves,
            concurrency=options.concurrent_movements_per_broker
            or settings.concurrent_partition_movements_per_broker,
            cluster_concurrency=options.max_movements_in_cluster
            or settings.max_partition_movements_in_cluster,
            interval_ms=options.progress_check_interval_ms or settings.progress_check_interval_ms,
            healing=healing,
        )
        self._work = asyncio.create_task(self._run(self.execution, on_finished), name="execution")

    def stop(self) -> None:
        """Stop at the next check, which cancels what is in flight."""
        if self.execution is not None:
            self.execution.stop_requested.set()

    async def wait_until_idle(self) -> None:
        if self._work is not None:
            await asyncio.wait({self._work})

    async def close(self) -> None:
        """End like a killed process: Kafka continues what it was told to do."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    def change_concurrency(self, concurrency: int) -> None:
        self._check_concurrency(concurrency)
        if self.execution is not None:
            self.execution.concurrency = concurrency

    def change_cluster_concurrency(self, movements: int) -> None:
        if self.execution is not None:
            self.execution.cluster_concurrency = movements

    def change_interval(self, interval_ms: int) -> None:
        self._check_interval(interval_ms)
        if self.execution is not None:
            self.execution.interval_ms = interval_ms

    async def cancel_external_reassignments(self) -> int:
        """Cancel what Kafka moves and this process did not start (`auto.stop.external.agent`)."""
        own = {move.proposal.tp for move in self.execution.moves} if self.execution else set()
        external = [tp for tp in await self._cluster.reassignments() if tp not in own]
        if external:
            log.warning("Cancelling %d reassignments of an external agent.", len(external))
            await self._cluster.reassign(dict.fromkeys(external))
        return len(external)

    # ---- the execution

    async def _run(
        self, execution: Execution, on_finished: Callable[[str, bool, bool], None]
    ) -> None:
        log.info(
            "Execution of %d moves for user task %s: %s",
            len(execution.moves),
            execution.user_task_id,
            execution.reason,
        )
        try:
            await self._move_replicas(execution)
            await self._move_leaders(execution)
        except Exception:
            log.exception("Execution of user task %s broke off.", execution.user_task_id)
            execution.failed = True
        finally:
            self.execution = None
        incomplete = any(move.state is not MoveState.COMPLETED for move in execution.moves)
        succeeded = not (execution.failed or incomplete or execution.stop_requested.is_set())
        log.info("Execution of user task %s ended, succeeded=%s", execution.user_task_id, succeeded)
        on_finished(
            execution.user_task_id,
            succeeded,
            any(m.state is MoveState.COMPLETED for m in execution.moves),
        )

    async def _move_replicas(self, execution: Execution) -> None:
        for move in execution.moves:
            if not move.proposal.moves_replicas:
                move.state = MoveState.COMPLETED
        rate = execution.options.throttle_bytes_per_second
        throttle = (
            None
            if rate is None
            else ReplicationThrottle(self._cluster, self._clock, self._settings, rate)
        )
        while (
            execution.in_state(MoveState.PENDING, MoveState.IN_PROGRESS)
            and not execution.stop_requested.is_set()
        ):
            batch = self._next_batch(execution)
            if batch:
                if throttle:
                    await throttle.set_for(move.proposal for move in batch)
                await self._submit(batch)
            finished = await self._wait_for_progress(execution)
            if execution.stop_requested.is_set():
                execution.state = ExecutorState.STOPPING
                finished += await self._cancel_in_progress(execution)
            if throttle and execution.options.clear_throttle:
                in_progress = [move.proposal for move in execution.in_state(MoveState.IN_PROGRESS)]
                await throttle.clear_for([move.proposal for move in finished], in_progress)

    def _next_batch(self, execution: Execution) -> list[Move]:
        """The pending moves, in order, that the limits of the brokers and of the cluster allow."""
        in_progress = execution.in_state(MoveState.IN_PROGRESS)
        busy = Counter(broker for move in in_progress for broker in _involved(move.proposal))
        room = execution.cluster_concurrency - len(in_progress)
        batch: list[Move] = []
        for move in execution.in_state(MoveState.PENDING):
            if len(batch) >= room:
                break
            brokers = _involved(move.proposal)
            if all(busy[broker] < execution.concurrency for broker in brokers):
                busy.update(brokers)
                batch.append(move)
        return batch

    async def _submit(self, batch: list[Move]) -> None:
        try:
            answers = await self._cluster.reassign(
                {move.proposal.tp: move.proposal.new_replicas for move in batch}
            )
        except ClusterUnavailableError as unavailable:
            log.warning("%d moves not sent, to be tried again: %s", len(batch), unavailable)
            return
        for move in batch:
            error = answers.get(move.proposal.tp)
            if error is None:
                move.state = MoveState.IN_PROGRESS
            else:
                log.warning("Kafka refused to move %s: %s", move.proposal.tp, error)
                move.state = MoveState.DEAD

    async def _wait_for_progress(self, execution: Execution) -> list[Move]:
        """Check once per interval until something has finished or a stop is requested."""
        while True:
            await self._clock.sleep(execution.interval_ms / 1000)
            try:
                finished = (
                    [] if self._clock.now() < self.stalled_until else await self._check(execution)
                )
            except ClusterUnavailableError as unavailable:
                log.warning("No progress check: %s", unavailable)
                finished = []
            if (
                finished
                or execution.stop_requested.is_set()
                or not execution.in_state(MoveState.IN_PROGRESS)
            ):
                return finished

    async def _check(self, execution: Execution) -> list[Move]:
        moving = await self._cluster.reassignments()
        view = await self._cluster.describe()
        finished: list[Move] = []
        lost: list[Move] = []
        again: list[Move] = []
        for move in execution.in_state(MoveState.IN_PROGRESS):
            proposal = move.proposal
            partition = view.partitions.get(proposal.tp)
            if partition is None or (
                proposal.tp not in moving and partition.replicas == proposal.new_replicas
            ):
                move.state = MoveState.COMPLETED  # a deleted topic has nothing left to move
                finished.append(move)
            elif proposal.adding - view.brokers.keys():
                move.state = MoveState.DEAD
                lost.append(move)
            elif proposal.tp not in moving:
                # Someone cancelled it or changed the order of its replicas. Like the original, the
                # stand-in accepts nothing but the exact list that it asked for.
                again.append(move)
        if lost:
            await self._cluster.reassign(
                {m.proposal.tp: None for m in lost if m.proposal.tp in moving}
            )
        if again:
            log.info(
                "Found %d tasks to re-execute: someone cancelled them, or changed the order.",
                len(again),
            )
            await self._submit(again)
        _bury_moves_to(view, execution)
        execution.observe()
        return finished + lost

    async def _cancel_in_progress(self, execution: Execution) -> list[Move]:
        """Cancel what is in flight, as in KIP-455.

        The adding replicas and their bytes are dropped. Moves that have ended stay.
        """
        moves = execution.in_state(MoveState.IN_PROGRESS)
        moving = await self._cluster.reassignments()
        await self._cluster.reassign(
            {move.proposal.tp: None for move in moves if move.proposal.tp in moving}
        )
        for move in moves:
            move.state = MoveState.ABORTED if move.proposal.tp in moving else MoveState.COMPLETED
        return moves

    async def _move_leaders(self, execution: Execution) -> None:
        if execution.stop_requested.is_set():
            return
        moves = [move for move in execution.leader_moves() if move.state is MoveState.COMPLETED]
        if not moves:
            return
        execution.state = ExecutorState.MOVING_LEADERS
        await self._elect({move.proposal.tp for move in moves})
        deadline = self._clock.now() + LEADER_MOVEMENT_TIMEOUT_SECONDS
        while not execution.stop_requested.is_set():
            await self._clock.sleep(execution.interval_ms / 1000)
            view = await self._cluster.describe()
            waiting = set()
            for move in moves:
                partition = view.partitions.get(move.proposal.tp)
                leader = move.proposal.new_replicas[0]
                if partition is None or partition.leader == leader:
                    move.leader_state = MoveState.COMPLETED
                elif leader not in view.brokers:
                    move.leader_state = MoveState.DEAD
                    execution.failed = True
                else:
                    waiting.add(move.proposal.tp)
            if not waiting:
                return
            if self._clock.now() > deadline:
                execution.failed = True
                return
            await self._elect(waiting)

    async def _elect(self, partitions: set[TopicPartition]) -> None:
        try:
            await self._cluster.elect_preferred(partitions)
        except ClusterUnavailableError as unavailable:
            log.warning("No election: %s", unavailable)


def _involved(proposal: Proposal) -> frozenset[int]:
    return proposal.adding | proposal.removing


def _bury_moves_to(view: ClusterView, execution: Execution) -> None:
    """Mark pending moves to destinations that are gone as dead, since they will never be sent."""
    for move in execution.in_state(MoveState.PENDING):
        if move.proposal.adding - view.brokers.keys():
            move.state = MoveState.DEAD
