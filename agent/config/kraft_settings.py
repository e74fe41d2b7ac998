"""Settings of the migration from ZooKeeper to KRaft: the section `kraft` of a cluster."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.adapters.node_restarts import ManualRestarts, WebhookRestarts
from agent.config.errors import SettingsError
from agent.config.extensions import RESTARTS, NotInstalledError, extension
from agent.core.kraft.options import Gates, KraftController, KraftOptions, RestartBy
from agent.performer.ports import RestartsPort
from agent.secrets import secret


class KraftControllerSettings(BaseModel):
    """One of the KRaft controllers that the cluster will have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int = Field(ge=0, description="Its node.id, which no broker may have")
    address: str = Field(
        pattern=r"^[^\s:/]+:\d+$", description="host:port of its controller listener"
    )
    metrics_url: str = Field(
        pattern=r"^https?://\S+$",
        description="The URL at which its JMX exporter serves metrics for Prometheus",
    )


class KraftSettings(BaseModel):
    """How this cluster migrates from ZooKeeper to KRaft."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    controllers: Annotated[tuple[KraftControllerSettings, ...], Field(min_length=1, max_length=9)]
    controller_listener_name: str = "CONTROLLER"
    controller_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        "PLAINTEXT"
    )
    inter_broker_listener_name: str = Field(
        default="PLAINTEXT", description="The brokers' own inter.broker.listener.name"
    )
    restart_by: Literal["manual", "lab", "webhook"] = Field(
        default="manual",
        description="Who restarts nodes. manual: people, who read the events; lab: the lab; "
        "webhook: a tool that the agent sends a POST to",
    )
    lab_directory: Path | None = Field(
        default=None, description="The lab's folder, for restart_by `lab`"
    )
    webhook_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Where to send the POST, for restart_by `webhook`",
    )
    webhook_token_file: Path | None = Field(
        default=None, description="A file that holds nothing but a bearer token"
    )
    gates: Literal["manual", "auto"] = Field(
        default="manual",
        description="manual: each phase waits for `advance`; auto: the next phase begins as soon "
        "as every signal holds, except for `finalize`, which always waits for the command",
    )
    soak_seconds: float = Field(
        default=604_800.0,
        ge=0,
        description="How long every signal must hold before `finalize`; Kafka's documentation "
        "advises one or two weeks",
    )
    write_behind_records_max: int = Field(
        default=0, ge=0, description="The largest ZkWriteBehindLag that still counts as no lag"
    )
    voter_seconds_behind_max: float = Field(
        default=10.0,
        ge=1,
        description="A controller that lags behind the quorum's leader for longer counts as "
        "missing",
    )
    restart_patience_seconds: float = Field(
        default=300.0,
        gt=0,
        description="A restart that has not come after this long is asked for again",
    )
    stuck_seconds: float = Field(
        default=60.0,
        ge=1,
        description="During a rollback: how long the agent waits for the partitions of a "
        "restarted broker to recover before it goes on with the next broker",
    )
    look_seconds: float = Field(
        default=2.0, ge=0.2, le=60, description="Time between two checks of the signals"
    )

    @model_validator(mode="after")
    def _restart_by_is_complete(self) -> Self:
        if self.restart_by == "lab" and self.lab_directory is None:
            raise ValueError("restart_by: lab needs lab_directory")
        if self.restart_by == "webhook" and self.webhook_url is None:
            raise ValueError("restart_by: webhook needs webhook_url")
        return self

    def restarts(self) -> RestartsPort:
        """Returns the adapter that restarts nodes.

        Raises OSError when the token file cannot be read, and SettingsError when restart_by is
        `lab` and the lab is not installed.
        """
        if self.restart_by == "lab" and self.lab_directory:
            try:
                made: RestartsPort = extension(RESTARTS, self.restart_by)(self.lab_directory)
            except NotInstalledError as error:
                raise SettingsError(f"restart_by: lab cannot be used: {error}") from error
            return made
        if self.restart_by == "webhook" and self.webhook_url:
            return WebhookRestarts(
                self.webhook_url,
                secret(None, self.webhook_token_file),
                token_file=self.webhook_token_file,
            )
        return ManualRestarts()

    def options(self, zookeeper: str) -> KraftOptions:
        """Returns these settings as the core's options; `zookeeper` is host:port,..."""
        return KraftOptions(
            controllers=tuple(
                KraftController(node_id=c.id, address=c.address, metrics_url=c.metrics_url)
                for c in self.controllers
            ),
            zookeeper=zookeeper,
            restart_by=RestartBy(self.restart_by),
            gates=Gates(self.gates),
            **self.model_dump(include=_AS_IN_CORE),
        )


# The settings that have the same name in the core.
_AS_IN_CORE = {
    "controller_listener_name",
    "controller_security_protocol",
    "inter_broker_listener_name",
    "soak_seconds",
    "write_behind_records_max",
    "voter_seconds_behind_max",
    "restart_patience_seconds",
    "stuck_seconds",
    "look_seconds",
}
