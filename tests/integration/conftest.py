"""Fixtures of the integration tests: one lab for the whole session.

A test that changes it puts it back.
"""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kafka.admin import ConfigResourceType

from agent.adapters.kafka.cluster import KafkaCluster
from agent.adapters.kafka.connection import KafkaConnection
from agent.client import ControlClient
from agent.core.model.throttle import FOLLOWER_RATE, LEADER_RATE
from deploy.lab import BrokerSpec, CruiseControlKind, Lab, LabConfig, Role, free_base_port
from deploy.lab.demo.agent_process import AgentProcess
from tests.integration.kafka_topics import ALL, Topics, alter


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A whole lab on free ports; with the real Cruise Control if CRUISE_CONTROL_CLASSPATH names
    one.
    """
    config = LabConfig(directory=tmp_path_factory.mktemp("lab"), base_port=free_base_port())
    with Lab(config).running(progress=lambda step: print(f"lab: {step}")) as running:
        yield running


@pytest.fixture
def small_lab(tmp_path: Path) -> Iterator[Lab]:
    """A lab of one broker on each side, not started: for tests of the lab itself.

    Ended with the test.
    """
    brokers = (
        BrokerSpec(id=11, rack="az-a", role=Role.SOURCE),
        BrokerSpec(id=31, rack="az-a", role=Role.DESTINATION),
    )
    config = LabConfig(
        directory=tmp_path / "lab",
        base_port=free_base_port(),
        brokers=brokers,
        cruise_control=CruiseControlKind.NONE,
    )
    lab = Lab(config)
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def agent(filled: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    """One agent that drives the lab.

    `filled`: a module's own, the lab with what that module moves.
    """
    process = AgentProcess(filled, tmp_path_factory.mktemp("agent") / "agent.log")
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def client(filled: Lab, agent: AgentProcess) -> ControlClient:
    """A client, once the agent can be ordered."""
    made = ControlClient({"bootstrap_servers": filled.status()["control_bootstrap_servers"]})
    await agent.ready(made)
    return made


@pytest.fixture
async def kafka(lab: Lab) -> AsyncIterator[KafkaCluster]:
    cluster = KafkaCluster(
        KafkaConnection(bootstrap_servers=lab.config.bootstrap_servers, request_timeout_seconds=6)
    )
    yield cluster
    await cluster.close()


@pytest.fixture
def topics(lab: Lab) -> Iterator[Topics]:
    """Makes topics and deletes them after the test.

    Takes back every rate too, so that one test that fails does not fail the next.
    """
    made = Topics(lab)
    yield made
    made.delete()
    for broker in ALL:
        if lab.pid(f"broker-{broker}"):
            alter(
                lab,
                ConfigResourceType.BROKER,
                str(broker),
                {LEADER_RATE: None, FOLLOWER_RATE: None},
            )
