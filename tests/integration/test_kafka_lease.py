"""The lease in a group of Kafka: one holder, handed over when it leaves, taken when it is
silent.
"""

import time
from collections.abc import Callable

import pytest

from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.kafka.lease import KafkaLease
from deploy.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]
SESSION_SECONDS = 6.0  # the brokers' group.min.session.timeout.ms


def _lease(lab: Lab, owner: str) -> KafkaLease:
    lease = KafkaLease(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers), SESSION_SECONDS, owner
    )
    lease.start()
    return lease


def _until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_one_holds_and_hands_over(lab: Lab) -> None:
    """The first keeps it while a second one waits and knows who has it; when the first closes,
    the second has it.
    """
    first = _lease(lab, "first")
    second = None
    try:
        _until(first.held)
        second = _lease(lab, "second")
        _until(lambda: second is not None and "first" in second.holder())
        looks = [(first.held(), second.held()) for _ in range(60) if not time.sleep(0.1)]
        assert (True, True) not in looks
        assert sum(one for one, _ in looks) > 50
        first.close()
        assert not first.held()
        _until(second.held)
    finally:
        first.close()
        if second:
            second.close()


def test_it_outlives_the_coordinator(lab: Lab) -> None:
    """A restart of the broker that keeps the group costs the lease a while at most, and never
    makes two holders.
    """
    lease = _lease(lab, "only")
    try:
        _until(lease.held)
        lab.restart("broker-11")
        _until(lease.held)
    finally:
        lease.close()
