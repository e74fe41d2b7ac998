"""The lease of a cluster without ZooKeeper: implements LeasePort.

The lease is held by the leader of a consumer group in the cluster's own Kafka. Kafka keeps a
group's leader until it leaves, or is silent for the session time-out. A thread joins the group and
sends heartbeats; held() and holder() only read, from any thread. No topic is read and no offset is
committed.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
    for_code,
)
from kafka.protocol.consumer.group import (
    HeartbeatRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    SyncGroupRequest,
)

from agent.adapters import identity
from agent.adapters.kafka import admin_requests
from agent.adapters.kafka.connection import KafkaConnection

log = logging.getLogger("kafka_migration.lease")

GROUP = "kafka-migration-driver"
PROTOCOL_TYPE, PROTOCOL = "kafka-migration", "lease"
SESSION_SECONDS = 10.0
HEARTBEAT_SECONDS = 1.0
PAUSE_SECONDS = 1.0
CLOSE_SECONDS = 10.0
# Kafka makes another member the leader when it has heard nothing for a session's time. So the lease
# counts as held for this share of that time after each answer, whatever has happened to the
# connection or to this process since.
LEASE_SAFETY_SHARE = 0.6
_MEMBER_ID_REQUIRED = 79


@dataclass(slots=True)
class _Member:
    """The membership of this agent in the group."""

    coordinator: int
    member_id: str = ""
    generation: int = -1
    leads: bool = False


class KafkaLease:
    """Acquires and keeps the lease in a thread of its own, from start() to close()."""

    def __init__(
        self,
        connection: KafkaConnection,
        session_seconds: float = SESSION_SECONDS,
        owner: str | None = None,
    ) -> None:
        """`session_seconds` must be within the brokers' group.(min|max).session.timeout.ms.

        `owner` is the name of this agent in messages; None: its host and process.
        """
        self._connection = connection
        self._session_seconds = session_seconds
        self._identity = owner or identity.own_identity()
        self._held_until = 0.0  # monotonic
        self._other = "nobody yet"
        self._member_id = ""
        self._closing = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"lease {connection.bootstrap_servers}", daemon=True
        )

    def start(self) -> None:
        """Start the thread; never blocks."""
        self._thread.start()

    def close(self) -> None:
        """Release the lease; held() is False from now on. Blocks for at most 10 s."""
        self._held_until = 0.0
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=CLOSE_SECONDS)

    def held(self) -> bool:
        """Whether this agent holds the lease now.

        False when Kafka has not confirmed it lately, for example after a pause of this process.
        """
        return time.monotonic() < self._held_until and not self._closing.is_set()

    def holder(self) -> str:
        """Return who holds the lease, as a text for people."""
        if self.held():
            return f"this agent ({self._identity})"
        return f"the lease in group {GROUP} is held by {self._other}"

    # ── the thread ────────────────────────────────────────────────────────────────────────────────
    def _run(self) -> None:
        while not self._closing.is_set():
            admin: KafkaAdminClient | None = None
            try:
                admin = admin_requests.connect(self._connection)
                self._serve(admin)
            except UnknownMemberIdError as trouble:
                self._member_id = ""
                self._lost(f"unknown: {admin_requests.words(trouble)}")
            except GroupAuthorizationFailedError:
                self._lost(f"nobody: this agent's user may not Read group {GROUP}")
            except (KafkaError, OSError, RuntimeError) as trouble:
                self._lost(f"unknown: {admin_requests.words(trouble)}")
            except Exception:  # a bug: without the thread, the lease would end without a message
                log.exception("%s: seeking the lease again", self._connection.bootstrap_servers)
            finally:
                if admin is not None:
                    admin.close()
            self._closing.wait(PAUSE_SECONDS)

    def _lost(self, other: str) -> None:
        """Note that `other` holds the lease.

        `_held_until` stays as it is: until then, Kafka still takes this agent for the leader.
        """
        if other != self._other:
            log.warning("%s: the lease is held by %s", self._connection.bootstrap_servers, other)
        self._other = other

    def _serve(self, admin: KafkaAdminClient) -> None:
        """Join the group and send heartbeats until close().

        Raises KafkaError when the group has to be joined again.
        """
        # The library has no public call for a group that reads no topic.
        manager = admin._manager  # noqa: SLF001
        where = manager.run(lambda: admin._find_coordinator_id(GROUP))  # noqa: SLF001
        # With its old id, this agent stays the leader when the group has moved to another broker.
        member = _Member(coordinator=where, member_id=self._member_id)
        self._join(admin, member)
        while not self._closing.wait(HEARTBEAT_SECONDS):
            self._send_heartbeat(admin, member)
        self._leave(admin, member)

    def _join(self, admin: KafkaAdminClient, member: _Member) -> None:
        """Join the group; return when every member has joined. The leader stays the same."""
        session_ms = int(self._session_seconds * 1_000)
        while True:
            answer = self._ask(
                admin,
                member,
                JoinGroupRequest(
                    group_id=GROUP,
                    session_timeout_ms=session_ms,
                    rebalance_timeout_ms=session_ms,
                    member_id=member.member_id,
                    group_instance_id=None,
                    protocol_type=PROTOCOL_TYPE,
                    protocols=[(PROTOCOL, self._identity.encode())],
                    max_version=7,
                ),
                self._session_seconds + 5.0,
            )
            if answer.error_code != _MEMBER_ID_REQUIRED:
                break
            member.member_id = answer.member_id
        _raise_for(answer)
        self._member_id = member.member_id = answer.member_id
        member.generation = answer.generation_id
        member.leads = answer.leader == answer.member_id
        # The leader sends its identity to every member.
        assignments = (
            [(m.member_id, self._identity.encode()) for m in answer.members] if member.leads else []
        )
        synced = self._ask(
            admin,
            member,
            SyncGroupRequest(
                group_id=GROUP,
                generation_id=member.generation,
                member_id=member.member_id,
                group_instance_id=None,
                protocol_type=PROTOCOL_TYPE,
                protocol_name=PROTOCOL,
                assignments=assignments,
                max_version=5,
            ),
            self._session_seconds + 5.0,
        )
        _raise_for(synced)
        self._other = bytes(synced.assignment or b"").decode(errors="replace") or "nobody yet"
        if member.leads:
            log.info(
                "%s: this agent drives (%s)", self._connection.bootstrap_servers, self._identity
            )

    def _send_heartbeat(self, admin: KafkaAdminClient, member: _Member) -> None:
        asked = time.monotonic()
        request = HeartbeatRequest(
            group_id=GROUP,
            generation_id=member.generation,
            member_id=member.member_id,
            group_instance_id=None,
        )
        answer = self._ask(admin, member, request, self._session_seconds / 2)
        if answer.error_code == RebalanceInProgressError.errno:  # another agent joins or leaves
            self._join(admin, member)
            return
        _raise_for(answer)
        if member.leads and not self._closing.is_set():
            self._held_until = asked + self._session_seconds * LEASE_SAFETY_SHARE

    def _leave(self, admin: KafkaAdminClient, member: _Member) -> None:
        """Leave the group, so that another agent need not wait until the session ends."""
        if not member.member_id:
            return
        self._held_until = 0.0
        try:
            ours = LeaveGroupRequest.MemberIdentity(
                member_id=member.member_id, group_instance_id=None, reason="not driving any more"
            )
            request = LeaveGroupRequest(group_id=GROUP, member_id=member.member_id, members=[ours])
            self._ask(admin, member, request, 3.0)
        except (KafkaError, OSError, RuntimeError):
            log.info("%s: the lease ends with its session", self._connection.bootstrap_servers)

    def _ask(self, admin: KafkaAdminClient, member: _Member, request: Any, seconds: float) -> Any:
        manager = admin._manager  # noqa: SLF001
        send: Callable[[], Any] = lambda: manager.send(  # noqa: E731
            request, node_id=member.coordinator, request_timeout_ms=int(seconds * 1_000)
        )
        return manager.run(send)


def _raise_for(answer: Any) -> None:
    if answer.error_code:
        raise for_code(answer.error_code)(f"group {GROUP}")
