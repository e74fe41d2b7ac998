"""Who restarts a node is told all that he needs, and a tool that did not understand is not
taken for one that did.
"""

import json

import httpx
import pytest

from agent.adapters.node_restarts import ManualRestarts, WebhookRestarts
from agent.core.kraft.node_config import NodeChange, NodeMode
from agent.performer.ports import PortError

CHANGE = NodeChange(
    node_id=11,
    is_controller=False,
    target=NodeMode.KRAFT,
    set=(("node.id", "11"), ("process.roles", "broker")),
    remove=("broker.id", "zookeeper.connect"),
    before=(("broker.id", "11"), ("zookeeper.connect", "zk:2181")),
)


async def test_the_webhook_gets_the_whole_change() -> None:
    """One POST, with the bearer token: keys to set and to remove, the diff, the patch, and
    words for people.
    """
    got: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(request)
        return httpx.Response(202)

    webhook = WebhookRestarts("https://ops.example/restart", "s3cret", httpx.MockTransport(answer))
    await webhook.restart("kraft-1", CHANGE)
    await webhook.close()
    (request,) = got
    body = json.loads(request.content)
    assert request.headers["authorization"] == "Bearer s3cret"
    assert (body["kraft_id"], body["node_id"], body["target"]) == ("kraft-1", 11, "kraft")
    assert body["set"] == {"node.id": "11", "process.roles": "broker"}
    assert body["remove"] == ["broker.id", "zookeeper.connect"]
    assert body["properties_diff"].splitlines() == [
        "-broker.id=11", "-zookeeper.connect=zk:2181", "+node.id=11", "+process.roles=broker",
    ]  # fmt: skip
    env = body["kubernetes_patch"]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "KAFKA_BROKER_ID", "$patch": "delete"} in env
    assert body["instructions"].startswith("restart broker 11 in mode kraft; set node.id=11")


@pytest.mark.parametrize("status", [301, 401, 500])
async def test_another_answer_than_2xx_is_trouble(status: int) -> None:
    """It is told with its status, and the token is not part of what is told."""
    webhook = WebhookRestarts(
        "https://ops.example/restart",
        "s3cret",
        httpx.MockTransport(lambda _r: httpx.Response(status)),
    )
    with pytest.raises(PortError, match=str(status)) as caught:
        await webhook.restart("kraft-1", CHANGE)
    await webhook.close()
    assert "s3cret" not in str(caught.value)


async def test_a_webhook_that_is_away_is_trouble() -> None:
    """No answer is no restart."""

    def refuse(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    webhook = WebhookRestarts("https://ops.example/restart", None, httpx.MockTransport(refuse))
    with pytest.raises(PortError, match="does not answer"):
        await webhook.restart("kraft-1", CHANGE)
    await webhook.close()


async def test_by_hand_the_event_is_enough() -> None:
    """Nobody is called: the event that follows tells people."""
    restarts = ManualRestarts()
    await restarts.restart("kraft-1", CHANGE)
    await restarts.close()
