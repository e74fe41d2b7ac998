"""Whether a real Cruise Control hears of each destination: with its own reporter on real
brokers.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from agent.client import ControlClient
from deploy.lab import Lab, LabConfig, free_base_port
from deploy.lab.cluster.config import CLASS_PATH_VARIABLE
from deploy.lab.cluster.real_cruise_control import METRICS_TOPIC
from tests.integration.waiting import eventually

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not os.environ.get(CLASS_PATH_VARIABLE),
        reason=f"the reporter is Cruise Control's: set {CLASS_PATH_VARIABLE}",
    ),
]

KEY = "cruise.control.metrics.topic"
OPTIONS = {"mode": "az", "az": "az-c"}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab of its own, in which broker 33 has the reporter and tells it to another topic than
    Cruise Control reads.
    """
    config = LabConfig(
        directory=tmp_path_factory.mktemp("reporter-lab"),
        base_port=free_base_port(),
        properties={"broker-33": {KEY: "elsewhere"}},
    )
    with Lab(config).running(progress=lambda step: print(f"lab: {step}")) as running:
        yield running


async def test_a_destination_that_has_the_reporter_and_is_not_heard_is_told(
    client: ControlClient, filled: Lab
) -> None:
    """Its settings look right; Cruise Control's metrics topic has nothing of it.

    Heard, the check is green.
    """
    told: dict[str, Any] = {}

    async def _says(wanted: str) -> bool:
        made = await client.plan({"type": "plan", "cluster": "lab", "options": OPTIONS})
        check_results = made["data"].get("check_results", ())
        told.update(
            next((v for v in check_results if v["title"] == "Cruise Control's reporter"), {})
        )
        print(told.get("ok"), told.get("seen"))
        return wanted in told.get("seen", "")

    await eventually(lambda: _says("brokers 33 have the reporter"), 90.0)
    assert not told["ok"]
    assert told["code"] == "REPORTER_MISSING"
    filled.restart("broker-33", {KEY: METRICS_TOPIC})
    await eventually(lambda: _says("every destination broker reports"), 90.0)
    assert told["ok"]
