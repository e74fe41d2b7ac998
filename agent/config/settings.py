"""Settings of the agent: environment variables (KAFKA_MIGRATION_...), secrets from files, and
clusters.yaml.

Every field says what it is, its unit, and why its default. Errors name the file, the cluster and
the field.
"""

import socket
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from agent.adapters.cruise_control.client import CruiseControlConnection
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.node_restarts import ManualRestarts, WebhookRestarts
from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.config.discovery_settings import ConsulSettings
from agent.config.extensions import RESTARTS, NotInstalledError, extension
from agent.config.rule_settings import RULES_MAX, LimitsSettings, RuleSettings
from agent.config.secrets import secret
from agent.core.kraft.options import Gates, KraftController, KraftOptions, RestartBy
from agent.core.planning.options import Policy
from agent.performer.ports import RestartsPort


class SettingsError(Exception):
    """The settings cannot be used; the text says which field of which file, and what it should
    be.
    """


class KafkaSecurity(BaseModel):
    """How to connect to a Kafka cluster.

    Passwords: from `password_file`, or by environment for the control Kafka.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description=("A file that holds nothing but the password")
    )
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(
                f"security_protocol {self.security_protocol} and sasl_mechanism "
                "do not fit each other"
            )
        if self.sasl_mechanism and not (self.username and (self.password or self.password_file)):
            raise ValueError("SASL needs username and password_file")
        return self

    def connection(
        self, bootstrap_servers: str, request_timeout_seconds: float = 10.0
    ) -> KafkaConnection:
        """As the adapters want it. Raises OSError when the password's file cannot be read."""
        return KafkaConnection(
            bootstrap_servers=bootstrap_servers,
            request_timeout_seconds=request_timeout_seconds,
            security_protocol=self.security_protocol,
            sasl_mechanism=self.sasl_mechanism,
            username=self.username,
            password=secret(self.password, self.password_file),
            password_file=self.password_file,
            ssl_cafile=self.ssl_cafile,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
            ssl_check_hostname=self.ssl_check_hostname,
        )


class ZooKeeperSecurity(BaseModel):
    """How to connect to a cluster's ZooKeeper:

    SASL DIGEST-MD5, TLS, a client certificate, or none of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str | None = Field(
        default=None, description=("As in the section `Client` of a broker's JAAS file")
    )
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description=("A file that holds nothing but the password")
    )
    tls: bool = Field(
        default=False, description=("Where brokers have zookeeper.ssl.client.enable=true")
    )
    ca_file: str | None = None
    certificate_file: str | None = Field(default=None, description="PEM; may hold the key too")
    key_file: str | None = None
    check_hostname: bool = True

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.username and not (self.password or self.password_file):
            raise ValueError("username needs password_file")
        if (self.ca_file or self.certificate_file) and not self.tls:
            raise ValueError("ca_file and certificate_file need tls: true")
        return self

    def access(self) -> ZooKeeperAccess:
        """As the adapter wants it. Raises OSError when the password's file cannot be read."""
        return ZooKeeperAccess(
            username=self.username,
            password=secret(self.password, self.password_file),
            **self.model_dump(
                include={
                    "password_file",
                    "tls",
                    "ca_file",
                    "certificate_file",
                    "key_file",
                    "check_hostname",
                }
            ),
        )


class CruiseControlSettings(BaseModel):
    """Where a cluster's Cruise Control is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        # it is told to anyone in errors: no password stands in it
        pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
        description=(
            "With or without /kafkacruisecontrol; user name and password have fields of their own"
        ),
    )
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    token_file: Path | None = Field(
        default=None, description=("A file that holds nothing but a bearer token")
    )
    timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Recorded answers took 0.2 s; a proxy may add"
    )
    ca_file: str | None = None
    certificate_file: str | None = Field(
        default=None, description=("A client certificate, PEM; may hold the key too")
    )
    key_file: str | None = None

    def connection(self) -> CruiseControlConnection:
        """As the adapter wants it. Raises OSError when a secret's file cannot be read."""
        return CruiseControlConnection(
            url=self.url,
            username=self.username,
            password=secret(self.password, self.password_file),
            password_file=self.password_file,
            token=secret(None, self.token_file),
            token_file=self.token_file,
            timeout_seconds=self.timeout_seconds,
            ca_file=self.ca_file,
            certificate_file=self.certificate_file,
            key_file=self.key_file,
        )


class PolicySettings(BaseModel):
    """Overrides of core's Policy, by the same names; what is left out keeps its default there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slow_bytes_per_second: Annotated[int, Field(ge=1_000)] | None = None
    busy_retry_seconds: Annotated[float, Field(gt=0)] | None = None
    unreachable_retry_seconds: Annotated[float, Field(gt=0)] | None = None
    busy_patience_seconds: Annotated[float, Field(gt=0)] | None = None
    recheck_seconds: Annotated[float, Field(gt=0)] | None = None
    resume_delay_seconds: Annotated[float, Field(ge=0)] | None = None
    grace_seconds: Annotated[float, Field(ge=0)] | None = None
    attempts_without_progress: Annotated[int, Field(ge=1)] | None = None
    settle_seconds: Annotated[float, Field(ge=0)] | None = None
    stall_seconds: Annotated[float, Field(gt=0)] | None = None
    verify_patience_seconds: Annotated[float, Field(gt=0)] | None = None
    quiet_seconds: Annotated[float, Field(ge=0)] | None = None
    progress_seconds: Annotated[float, Field(gt=0)] | None = None
    rules: Annotated[tuple[RuleSettings, ...], Field(max_length=RULES_MAX)] | None = None
    limits: LimitsSettings | None = None
    hold_off_seconds: Annotated[float, Field(ge=0)] | None = None
    flaps_max: Annotated[int, Field(ge=1, le=20)] | None = None
    flap_window_seconds: Annotated[float, Field(gt=0)] | None = None
    adapt_seconds: Annotated[float, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _each_rule_once(self) -> Self:
        names = [r.name for r in self.rules or ()]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"rules: {twice} named twice")
        return self

    def overrides(self) -> dict[str, Any]:
        """What is given, as fields of the core's Policy."""
        given = self.model_dump(exclude_none=True, exclude={"rules", "limits"})
        limits = {"limits": self.limits.core()} if self.limits else {}
        return given | {"rules": tuple(r.core() for r in self.rules or ()), **limits}


BrokerIds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=500)]


class KraftControllerSettings(BaseModel):
    """A KRaft controller to come."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: int = Field(ge=0, description="Its node.id; no broker may have it")
    address: str = Field(
        pattern=r"^[^\s:/]+:\d+$", description=("host:port of its controller listener")
    )
    metrics_url: str = Field(
        pattern=r"^https?://\S+$", description="Its metrics as a page for Prometheus (JMX exporter)"
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
        default="PLAINTEXT", description=("As the brokers have it")
    )
    restart_by: Literal["manual", "lab", "webhook"] = Field(
        default="manual",
        description=(
            "Who restarts nodes: people told by events, the lab, or a tool told by a POST"
        ),
    )
    lab_directory: Path | None = Field(default=None, description="With `lab`: its folder")
    webhook_url: str | None = Field(
        default=None, pattern=r"^https?://\S+$", description="With `webhook`"
    )
    webhook_token_file: Path | None = Field(
        default=None, description=("A file that holds nothing but a bearer token")
    )
    gates: Literal["manual", "auto"] = Field(
        default="manual",
        description=("auto: goes on by itself when the signals hold; never past `finalize`"),
    )
    soak_seconds: float = Field(
        default=604_800.0, ge=0, description=("Kafka's own advice: a week or two")
    )
    write_behind_records_max: int = Field(
        default=0, ge=0, description=("ZkWriteBehindLag that counts as none")
    )
    voter_seconds_behind_max: float = Field(
        default=10.0,
        ge=1,
        description=("A controller that is further behind the quorum's leader counts as away"),
    )
    restart_patience_seconds: float = Field(
        default=300.0, gt=0, description=("Then a restart is asked for again")
    )
    stuck_seconds: float = Field(
        default=60.0,
        ge=1,
        description=("On the way back: a broker whose partitions do not heal for so long is next"),
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
        """As the core reads it."""
        return KraftOptions(
            controllers=tuple(
                KraftController(node_id=c.id, address=c.address, metrics_url=c.metrics_url)
                for c in self.controllers
            ),
            zookeeper=zookeeper,
            restart_by=RestartBy(self.restart_by),
            gates=Gates(self.gates),
            **self.model_dump(include=_KRAFT_AS_THEY_ARE),
        )


_KRAFT_AS_THEY_ARE = {
    "controller_listener_name", "controller_security_protocol", "inter_broker_listener_name", "soak_seconds",  # noqa: E501
    "write_behind_records_max", "voter_seconds_behind_max", "restart_patience_seconds", "stuck_seconds", "look_seconds",  # noqa: E501
}  # fmt: skip


class ClusterSettings(BaseModel):
    """One cluster of clusters.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str
    security: KafkaSecurity = KafkaSecurity()
    zookeeper: str | None = Field(
        default=None,
        description=("host:port,...; empty on KRaft: then the lock is a group of its Kafka"),
    )
    zookeeper_security: ZooKeeperSecurity = ZooKeeperSecurity()
    cruise_control: CruiseControlSettings
    consul: ConsulSettings | None = Field(
        default=None, description=("Where clients find brokers in a Consul service")
    )
    source_broker_ids: BrokerIds = Field(
        default=(), description=("What modes `full` and `az` move from")
    )
    destination_broker_ids: BrokerIds = Field(default=(), description="And to")
    policy: PolicySettings = PolicySettings()
    kraft: KraftSettings | None = Field(
        default=None, description="The way from ZooKeeper to KRaft, where it is to come"
    )

    @model_validator(mode="after")
    def _each_broker_once(self) -> Self:
        named = [*self.source_broker_ids, *self.destination_broker_ids]
        if twice := sorted({b for b in named if named.count(b) > 1}):
            raise ValueError(
                f"source_broker_ids, destination_broker_ids: {twice} named twice; "
                "a broker has one side"
            )
        return self

    @model_validator(mode="after")
    def _clients_find_each_broker(self) -> Self:
        named = (*self.source_broker_ids, *self.destination_broker_ids)
        if self.consul and (lacking := self.consul.without(named)):
            raise ValueError(f"consul.endpoints: none for brokers {', '.join(map(str, lacking))}")
        return self

    def core_policy(self) -> Policy:
        """The standing orders as the core reads them."""
        return Policy(
            source_broker_ids=self.source_broker_ids,
            destination_broker_ids=self.destination_broker_ids,
            **self.policy.overrides(),
            discovery=self.consul is not None,
            discovery_grace_seconds=self.consul.grace_seconds
            if self.consul
            else Policy().discovery_grace_seconds,
            kraft=self.kraft.options(self.zookeeper or "") if self.kraft else KraftOptions(),
        )


class Settings(BaseSettings):
    """The agent's own settings."""

    model_config = SettingsConfigDict(
        env_prefix="KAFKA_MIGRATION_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    bootstrap_servers: str = Field(
        default="localhost:9092", description=("The control Kafka: commands, events, state")
    )
    security: KafkaSecurity = Field(
        default=KafkaSecurity(),
        description=("Of the control Kafka: KAFKA_MIGRATION_SECURITY__PASSWORD_FILE and so on"),
    )
    clusters_file: Path = Field(
        default=Path("clusters.yaml"), description=("The clusters this agent drives")
    )
    topic_prefix: str = Field(default="kafka-migration.", description="Before each topic's name")
    topic_partitions: int = Field(
        default=4, ge=1, le=100, description=("4: a dozen clusters over a few workers")
    )
    topic_replication_factor: int = Field(
        default=3, ge=1, le=5, description="3 on a real cluster; the lab has one broker"
    )
    app_id: str = Field(
        default="kafka-migration", description=("Consumer group and prefix of Faust's own topics")
    )
    instance_id: str = Field(
        default_factory=socket.gethostname,
        description="Static group membership: a worker that comes back with the same id owns "
        "its clusters at once. "
        "Two workers must not share one; a StatefulSet's host names are right",
    )
    # After kill -9 (measured) the same instance is back in 2 s, whatever this is; another one waits
    # for this first.
    session_timeout_seconds: float = Field(
        default=10.0, ge=6, le=60, description="10: a take-over within 15 s"
    )
    stuck_seconds: float = Field(
        default=120.0,
        ge=5,
        description="A worker that has no share of the clusters for so long ends, to be "
        "started anew; a rebalance or a "
        "recovery takes seconds",
    )
    web_host: str = Field(
        default="127.0.0.1",
        description=("For /ready and /metrics; Faust's own default is every address"),
    )
    web_port: int = Field(default=6066, ge=1, le=65535)
    data_folder: Path = Field(
        default=Path("build/agent"), description=("Faust's scratch files; the state is in Kafka")
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = Field(
        default="text", description=("json: one object a line, for collectors")
    )

    @classmethod
    def read(cls, **given: Any) -> Self:
        """From the environment, and what is given before it.

        Raises SettingsError that names each wrong variable.
        """
        try:
            return cls(**given)
        except ValidationError as error:
            # What was given is not shown: it may be a secret.
            wrong = "; ".join(
                f"KAFKA_MIGRATION_{'__'.join(map(str, e['loc'])).upper()}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(wrong) from None

    def clusters(self) -> dict[str, ClusterSettings]:
        """The clusters by name. Raises SettingsError."""
        return read_clusters(self.clusters_file)

    def connection(self) -> KafkaConnection:
        """The control Kafka."""
        return self.security.connection(self.bootstrap_servers)


# A name is a message key, a part of ids, and a part of the `reason` that Cruise Control gives back.
_CLUSTER_NAME: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
)


def _without_the_text(error: yaml.YAMLError) -> str:
    """What is wrong and where; its own words quote the line, in which a secret may stand."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


def read_clusters(path: Path) -> dict[str, ClusterSettings]:
    """Read clusters.yaml. Raises SettingsError that names file, cluster and field."""
    try:
        raw: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "name it in KAFKA_MIGRATION_CLUSTERS_FILE"
        raise SettingsError(f"{path} cannot be read: {error.strerror}; {hint}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {_without_the_text(error)}") from None
    entries = raw.get("clusters") if isinstance(raw, dict) else None
    if not isinstance(entries, dict) or not entries:
        raise SettingsError(
            f"{path}: it must have a mapping `clusters`, from each cluster's name to its settings"
        )
    clusters: dict[str, ClusterSettings] = {}
    for name, entry in entries.items():
        try:
            clusters[_CLUSTER_NAME.validate_python(str(name))] = ClusterSettings.model_validate(
                entry
            )
        except ValidationError as error:
            wrong = "; ".join(
                f"{'.'.join(map(str, e['loc'])) or 'the entry'}: {e['msg']}"
                for e in error.errors(include_url=False, include_input=False)
            )
            raise SettingsError(f"{path}, cluster {name}: {wrong}") from None
    return clusters
