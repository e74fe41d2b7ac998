"""Turns the alerts of a monitoring system into messages of the metrics topic.

It reads Alertmanager's webhook, version 4 (Grafana sends the same), and a plain form. Each field
that cannot be read is reported, together with what would be right. Pure; called by server.py.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agent.services.webhook.settings import Action, WebhookSettings
from schemas.metrics import Alert

ACTION_LABEL = "kafka_migration_action"
ALERTS_MAX = 1_000
NAME_MAX, SUMMARY_MAX, LABELS_MAX = 100, 500, 50
_MARK_LENGTH = 8
# The severities that monitoring systems use, mapped to the three of an Alert. An unknown severity
# counts as critical, since one pause too many does less harm than one too few.
_SEVERITIES: Mapping[str, Literal["info", "warning", "critical"]] = {
    **dict.fromkeys(("info", "information", "none", "debug", "low", "p4", "p5"), "info"),
    **dict.fromkeys(("warning", "warn", "medium", "minor", "p3"), "warning"),
    **dict.fromkeys(
        ("critical", "crit", "error", "high", "page", "major", "emergency", "p1", "p2"), "critical"
    ),
}
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class Wrong:
    """A field that could not be read: its path in the body, and how to correct it."""

    field: str
    problem: str


class _Incoming(BaseModel):
    # Monitoring systems add fields of their own.
    model_config = ConfigDict(extra="ignore", frozen=True)


class ManagedAlert(_Incoming):
    """One alert in a message of Alertmanager."""

    status: Literal["firing", "resolved"]
    labels: dict[str, str] = Field(max_length=200)
    annotations: dict[str, str] = Field(default_factory=dict, max_length=200)
    startsAt: datetime  # noqa: N815 - Alertmanager's own name
    endsAt: datetime | None = None  # noqa: N815
    fingerprint: str = Field(default="", max_length=64)


class PlainAlert(_Incoming):
    """An alert in the plain form, for any program that can send JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: str = Field(min_length=1, max_length=100)
    name: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,100}$")
    status: Literal["firing", "resolved"]
    severity: Severity = "critical"
    action: Action | None = None
    labels: dict[str, str] = Field(default_factory=dict, max_length=LABELS_MAX)
    summary: str = Field(default="", max_length=SUMMARY_MAX)
    time: datetime | None = None


def read_plain(
    body: Any, settings: WebhookSettings, now: datetime
) -> tuple[list[Alert], list[Wrong]]:
    """Reads an alert in the plain form; `now` is the time of an alert that has none.

    Returns either the alert, or what is wrong with it.
    """
    try:
        plain = PlainAlert.model_validate(body)
    except ValidationError as error:
        return [], _wrong(error)
    alert = Alert(
        type="alert",
        cluster=settings.cluster_names.get(plain.cluster, plain.cluster),
        name=plain.name,
        state=plain.status,
        severity=plain.severity,
        action=plain.action or settings.actions.get(plain.severity, "pause"),
        labels=plain.labels,
        summary=plain.summary,
        time=_aware(plain.time or now),
    )
    return [alert], []


def read_alertmanager(body: Any, settings: WebhookSettings) -> tuple[list[Alert], list[Wrong]]:
    """Reads a message of Alertmanager.

    Returns every alert that can be read, and what is wrong with the others.
    """
    if (
        not isinstance(body, dict)
        or body.get("version", "4") != "4"
        or not isinstance(body.get("alerts"), list)
    ):
        return [], [
            Wrong(
                "alerts",
                "not a message of Alertmanager's webhook, version 4, "
                'which has `version` "4" and a list `alerts`',
            )
        ]
    if len(body["alerts"]) > ALERTS_MAX:
        return [], [
            Wrong(
                "alerts",
                f"more than {ALERTS_MAX} alerts: set max_alerts in Alertmanager's webhook_config",
            )
        ]
    alerts: list[Alert] = []
    wrong: list[Wrong] = []
    for index, entry in enumerate(body["alerts"]):
        place = f"alerts[{index}]"
        try:
            managed = ManagedAlert.model_validate(entry)
        except ValidationError as error:
            wrong += _wrong(error, place)
            continue
        cluster = _cluster(managed.labels, settings)
        if cluster is None:
            labels = ", ".join(settings.cluster_labels)
            fix = "add it to the alert's rule, or set KAFKA_MIGRATION_WEBHOOK_CLUSTER"
            wrong.append(
                Wrong(f"{place}.labels", f"none of {labels} names the Kafka cluster: {fix}")
            )
        elif not managed.labels.get("alertname"):
            wrong.append(
                Wrong(f"{place}.labels.alertname", "it is missing, but every alert needs a name")
            )
        else:
            alerts.append(_alert(managed, cluster, settings))
    return alerts, wrong


def _alert(managed: ManagedAlert, cluster: str, settings: WebhookSettings) -> Alert:
    labels = managed.labels
    severity = _SEVERITIES.get(labels.get("severity", "critical").lower(), "critical")
    ended = managed.status == "resolved" and managed.endsAt is not None and managed.endsAt.year > 1
    annotations = managed.annotations
    text = (
        annotations.get("summary")
        or annotations.get("description")
        or annotations.get("message")
        or ""
    )
    return Alert(
        type="alert",
        cluster=cluster,
        name=_name(managed),
        state=managed.status,
        severity=severity,
        action=_action(labels, severity, settings),
        labels=dict(sorted(labels.items())[:LABELS_MAX]),
        summary=text[:SUMMARY_MAX],
        time=_aware(managed.endsAt if ended and managed.endsAt is not None else managed.startsAt),
    )


def _name(managed: ManagedAlert) -> str:
    """Returns the alert's name with a hash of its labels.

    Without the hash, a `resolved` for broker 12 would end the pause that broker 11 has caused.
    """
    mark = managed.fingerprint[:_MARK_LENGTH]
    if not re.fullmatch(r"[0-9a-f]{4,}", mark):
        text = "\n".join(f"{name}={value}" for name, value in sorted(managed.labels.items()))
        mark = hashlib.sha256(text.encode()).hexdigest()[:_MARK_LENGTH]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", managed.labels["alertname"])
    return f"{name[: NAME_MAX - 1 - _MARK_LENGTH]}:{mark}"


def _cluster(labels: Mapping[str, str], settings: WebhookSettings) -> str | None:
    found = next(
        (labels[label] for label in settings.cluster_labels if labels.get(label)), settings.cluster
    )
    return None if found is None else settings.cluster_names.get(found, found)[:100]


def _action(labels: Mapping[str, str], severity: Severity, settings: WebhookSettings) -> Action:
    match labels.get(ACTION_LABEL):
        case "pause" | "slow" | "notify" as asked:
            return asked
    return settings.actions.get(severity, "pause")


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _wrong(error: ValidationError, place: str = "") -> list[Wrong]:
    return [
        Wrong(".".join(filter(None, (place, *map(str, e["loc"])))) or "the body", e["msg"])
        for e in error.errors(include_url=False, include_input=False)
    ]


def identity(alert: Alert) -> str:
    """Returns the CloudEvents id of an alert.

    It is the same for each repeat: Alertmanager sends a firing alert again every few hours.
    """
    return f"{alert.cluster}/{alert.name}/{alert.state}/{alert.time.isoformat()}"
