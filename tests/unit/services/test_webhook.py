"""The webhook as a real HTTP server on loopback, with the metrics topic in memory behind it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from agent.config.errors import SettingsError
from agent.services import pages
from agent.services.webhook.server import Webhook
from agent.services.webhook.settings import WebhookSettings
from deploy.lab.cluster.ports import free_ports
from tests.fakes.metrics_topic import MetricsTopicFake

TOKEN = "a-token-of-32-characters-or-more"
PLAIN = {"cluster": "lab", "name": "checkout-slow", "status": "firing"}


def managed(
    status: str = "firing", fingerprint: str = "1a30ba71cca2921f", **labels: str
) -> dict[str, Any]:
    """An alert in Alertmanager's message, as its documentation shows it."""
    return {
        "status": status,
        "labels": {
            "alertname": "Produce Latency",
            "cluster": "lab",
            "severity": "critical",
            **labels,
        },
        "annotations": {"summary": "p99 is 900 ms", "runbook_url": "https://example.org"},
        "startsAt": "2023-02-06T13:08:45.828Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2023-02-06T13:18:45.828Z",
        "generatorURL": "http://prometheus.example.org:9090/graph?g0.expr=up",
        "fingerprint": fingerprint,
    }


def message(*alerts: dict[str, Any]) -> dict[str, Any]:
    """Alertmanager's whole message."""
    return {
        "receiver": "kafka-migration",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example.org:9093",
        "version": "4",
        "groupKey": "{}:{}",
        "truncatedAlerts": 0,
    }


class Door:
    """A webhook that listens, a client of it, and the topic behind it."""

    def __init__(self, client: httpx.AsyncClient, topic: MetricsTopicFake) -> None:
        self.topic = topic
        self.client = client

    async def post(self, path: str, body: Any, token: str | None = TOKEN) -> httpx.Response:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.client.post(path, content=content, headers=headers)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """Knows the clusters lab and orders; bodies up to 5,000 bytes."""
    topic = MetricsTopicFake()
    settings = WebhookSettings(token=TOKEN, port=free_ports(1)[0], body_bytes_max=5_000)
    webhook = Webhook(settings, topic, frozenset({"lab", "orders"}))
    base = f"http://{settings.host}:{settings.port}"
    async with (
        pages.served(webhook.application(), settings.host, settings.port),
        httpx.AsyncClient(base_url=base, trust_env=False) as client,
    ):
        yield Door(client, topic)


async def test_alertmanagers_alert_becomes_one_of_ours(door: Door) -> None:
    """Labels name cluster and severity, the annotation is the summary, startsAt is the time."""
    answer = await door.post("/alertmanager", message(managed(broker="11")))
    assert (answer.status_code, answer.json()) == (200, {"published": 1})
    (alert,) = door.topic.alerts
    assert (alert.cluster, alert.state, alert.severity, alert.action) == (
        "lab",
        "firing",
        "critical",
        "pause",
    )
    assert alert.name == "Produce_Latency:1a30ba71"
    assert alert.labels["broker"] == "11"
    assert alert.summary == "p99 is 900 ms"
    assert alert.time.isoformat() == "2023-02-06T13:08:45.828000+00:00"


async def test_resolved_has_the_time_of_its_end_and_the_same_name(door: Door) -> None:
    """What fires and what is resolved meet under one name, in the order in which they happened."""
    await door.post("/alertmanager", message(managed()))
    await door.post("/alertmanager", message(managed("resolved")))
    fired, resolved = door.topic.alerts
    assert fired.name == resolved.name
    assert (resolved.state, resolved.time > fired.time) == ("resolved", True)


async def test_one_brokers_end_does_not_lift_anothers_alert(door: Door) -> None:
    """The same rule firing for two brokers makes two alerts, also where the monitor sends no
    fingerprints.
    """
    await door.post(
        "/alertmanager",
        message(managed(fingerprint="", broker="11"), managed(fingerprint="", broker="12")),
    )
    assert len({alert.name for alert in door.topic.alerts}) == 2


async def test_a_repeat_is_the_same_message(door: Door) -> None:
    """Alertmanager sends a firing alert again every few hours: the CloudEvents id stays."""
    for _ in range(2):
        await door.post("/alertmanager", message(managed()))
    assert len(set(door.topic.identities)) == 1


@pytest.mark.parametrize(
    ("labels", "severity", "action"),
    [
        ({"severity": "warning"}, "warning", "slow"),
        ({"severity": "Info"}, "info", "notify"),
        ({"severity": "page"}, "critical", "pause"),
        ({"severity": "never heard of"}, "critical", "pause"),
        ({"severity": "critical", "kafka_migration_action": "notify"}, "critical", "notify"),
        ({"severity": "info", "kafka_migration_action": "explode"}, "info", "notify"),
    ],
)
async def test_severity_says_what_is_done_unless_the_label_does(
    door: Door, labels: dict[str, str], severity: str, action: str
) -> None:
    """critical pauses, warning slows, info notifies; what is unknown counts as critical; the
    label overrules.
    """
    await door.post("/alertmanager", message(managed(**labels)))
    (alert,) = door.topic.alerts
    assert (alert.severity, alert.action) == (severity, action)


async def test_a_plain_alert_needs_three_fields(door: Door) -> None:
    """cluster, name and status are enough; it then is critical and pauses, now."""
    answer = await door.post("/alert", PLAIN)
    assert answer.status_code == 200
    (alert,) = door.topic.alerts
    assert (alert.cluster, alert.name, alert.state) == ("lab", "checkout-slow", "firing")
    assert (alert.severity, alert.action) == ("critical", "pause")
    assert alert.time.tzinfo is not None


@pytest.mark.parametrize(
    "token", [None, "wrong", TOKEN + "x", TOKEN[:-1], "tökens-are-not-always-ascii"]
)
async def test_who_has_no_token_gets_nothing(door: Door, token: str | None) -> None:
    """401 before the body is looked at, and nothing is published."""
    if token is not None and not token.isascii():
        headers = [(b"Authorization", f"Bearer {token}".encode())]
        answer = await door.client.post("/alert", content=json.dumps(PLAIN), headers=headers)
    else:
        answer = await door.post("/alert", PLAIN, token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in answer.text
    assert door.topic.messages == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({**PLAIN, "status": "broken"}, "status"),
        ({**PLAIN, "name": "no spaces please"}, "name"),
        ({"cluster": "lab", "status": "firing"}, "name"),
        ({**PLAIN, "colour": "red"}, "colour"),
        ({**PLAIN, "cluster": "nobody's"}, "cluster"),
        ([], "the body"),
    ],
)
async def test_a_wrong_plain_alert_is_told_field_by_field(
    door: Door, body: Any, field: str
) -> None:
    """400 names the field and what is wrong with it; nothing is published."""
    answer = await door.post("/alert", body)
    assert answer.status_code == 400
    assert [w["field"] for w in answer.json()["wrong"]] == [field]
    assert door.topic.messages == []


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null"])
async def test_what_is_no_json_is_400(door: Door, body: bytes) -> None:
    """Never an error of ours."""
    for path in ("/alert", "/alertmanager"):
        assert (await door.post(path, body)).status_code == 400
    assert door.topic.messages == []


async def test_what_can_be_read_is_published_beside_what_cannot(door: Door) -> None:
    """An alert is not lost because another one in the same message names no cluster: 400 tells
    of that one.
    """
    nameless = managed()
    del nameless["labels"]["cluster"]
    answer = await door.post(
        "/alertmanager", message(nameless, managed(), {"status": "firing"}, managed(cluster="x"))
    )
    assert answer.status_code == 400
    assert answer.json()["published"] == 1
    assert [w["field"] for w in answer.json()["wrong"]] == [
        "alerts[0].labels",
        "alerts[2].labels",
        "alerts[2].startsAt",
        "cluster",
    ]
    assert len(door.topic.alerts) == 1


async def test_a_body_too_large_is_413(door: Door) -> None:
    """The limit is told; nothing is published."""
    answer = await door.post("/alert", {**PLAIN, "summary": "x" * 6_000})
    assert answer.status_code == 413
    assert "5000" in answer.text
    assert door.topic.messages == []


async def test_when_kafka_does_not_take_it_the_sender_asks_again(door: Door) -> None:
    """503 with Retry-After, which Alertmanager obeys; /ready says why; the next one gets
    through.
    """
    door.topic.down = True
    answer = await door.post("/alertmanager", message(managed()))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    ready = await door.client.get("/ready")
    assert (ready.status_code, "broker:9092" in ready.json()["trouble"]) == (503, True)
    door.topic.down = False
    assert (await door.post("/alertmanager", message(managed()))).status_code == 200
    assert (await door.client.get("/ready")).status_code == 200


async def test_metrics_are_shown(door: Door) -> None:
    """/metrics counts what came, by cluster."""
    await door.post("/alert", {**PLAIN, "cluster": "orders"})
    page = (await door.client.get("/metrics")).text
    assert 'kafka_migration_webhook_alerts_total{cluster="orders",state="firing"}' in page


def test_without_a_token_it_does_not_start(tmp_path: Path) -> None:
    """Nobody opens this door by forgetting a setting; a token that can be guessed is none."""
    with pytest.raises(ValidationError, match="token_file"):
        WebhookSettings()
    with pytest.raises(SettingsError, match="shorter"):
        WebhookSettings(token="short").secret()
    with pytest.raises(SettingsError, match="cannot be read"):
        WebhookSettings(token_file=tmp_path / "none").secret()
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert WebhookSettings(token_file=tmp_path / "token").secret() == TOKEN.encode()
