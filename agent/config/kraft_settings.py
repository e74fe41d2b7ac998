"""Settings of the way from ZooKeeper to KRaft: section `kraft` of a cluster in clusters.yaml."""

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
    """A KRaft controller that the cluster gets."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int = Field(ge=0, description="Its node.id; no broker may have it")
    address: str = Field(
        pattern=r"^[^\s:/]+:\d+$", description="host:port of its controller listener"
    )
    metrics_url: str = Field(
        pattern=r"^https?://\S+$",
        description="The page of its metrics for Prometheus (JMX exporter)",
    )


class KraftSettings(BaseModel):
    """How this cluster goes from ZooKeeper to KRaft."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    controllers: Annotated[tuple[KraftControllerSettings, ...], Field(min_length=1, max_length=9)]
    controller_listener_name: str = "CONTROLLER"
    controller_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = (
        "PLAINTEXT"
    )
    inter_broker_listener_name: str = Field(
        default="PLAINTEXT", description="The same as that of the brokers"
    )
    restart_by: Literal["manual", "lab", "webhook"] = Field(
        default="manual",
        description=(
            "Who restarts nodes: people who read events, the lab, or a tool that gets a POST"
        ),
    )
    lab_directory: Path | None = Field(default=None, description="With `lab`: its folder")
    webhook_url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="With `webhook`"
    )
    webhook_token_file: Path | None = Field(
        default=None, description="A file that holds nothing but a bearer token"
    )
    gates: Literal["manual", "auto"] = Field(
        default="manual",
        description="auto: enters the next phase when the signals hold, except `finalize`",
    )
    soak_seconds: float = Field(
        default=604_800.0, ge=0, description="Kafka's documentation advises one or two weeks"
    )
    write_behind_records_max: int = Field(
        default=0, ge=0, description="Largest ZkWriteBehindLag that still counts as none"
    )
    voter_seconds_behind_max: float = Field(
        default=10.0,
        ge=1,
        description="A controller that is further behind the quorum's leader counts as missing",
    )
    restart_patience_seconds: float = Field(
        default=300.0, gt=0, description="After this long without a restart, it is requested again"
    )
    stuck_seconds: float = Field(
        default=60.0,
        ge=1,
        description="During a rollback: how long the partitions of a broker may take to recover, "
        "before the next broker follows",
    )
    look_seconds: float = Field(default=2.0, ge=0.2, le=60)

    @model_validator(mode="after")
    def _performer_is_whole(self) -> Self:
        if self.restart_by == "lab" and self.lab_directory is None:
            raise ValueError("restart_by: lab needs lab_directory")
        if self.restart_by == "webhook" and self.webhook_url is None:
            raise ValueError("restart_by: webhook needs webhook_url")
        return self

    def restarts(self) -> RestartsPort:
        """Who restarts nodes.

        Raises OSError when the token's file cannot be read, SettingsError when the lab is to do
        it and is not installed.
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
        """The options of the core."""
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


# Settings that the core has by the same name.
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
