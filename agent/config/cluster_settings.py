"""Settings of the clusters that the agent drives: clusters.yaml.

Errors name the file, the cluster and the field.
"""

from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from agent.config.connections import CruiseControlSettings, KafkaSecurity, ZooKeeperSecurity
from agent.config.discovery_settings import ConsulSettings
from agent.config.errors import SettingsError, wrong_fields
from agent.config.kraft_settings import KraftSettings
from agent.config.rule_settings import RULES_MAX, LimitsSettings, RuleSettings
from agent.core.kraft.options import KraftOptions
from agent.core.planning.policy import Policy
from schemas.options import options_model

BrokerIds = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(max_length=500)]


class PolicySettings(options_model(Policy)):  # type: ignore[misc] # made at run time
    """A cluster's policy: the fields that the core declares, the rules and the limits."""

    rules: Annotated[tuple[RuleSettings, ...], Field(max_length=RULES_MAX)] = ()
    limits: LimitsSettings = LimitsSettings()

    @model_validator(mode="after")
    def _each_rule_once(self) -> Self:
        names = [r.name for r in self.rules]
        if twice := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"rules: {twice} named twice")
        return self

    def core_fields(self) -> dict[str, Any]:
        """The fields of the core's Policy that clusters.yaml sets, those left out included."""
        numbers: dict[str, Any] = self.model_dump(exclude={"rules", "limits"})
        return numbers | {
            "rules": tuple(r.core() for r in self.rules),
            "limits": self.limits.core(),
        }


class ClusterSettings(BaseModel):
    """One cluster of clusters.yaml."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap_servers: str
    security: KafkaSecurity = KafkaSecurity()
    zookeeper: str | None = Field(
        default=None,
        description="ZooKeeper's host:port,...; leave it out on KRaft, where a consumer group "
        "serves as the lock",
    )
    zookeeper_security: ZooKeeperSecurity = ZooKeeperSecurity()
    cruise_control: CruiseControlSettings
    consul: ConsulSettings | None = Field(
        default=None,
        description="The Consul service in which clients find the brokers; leave it out if they "
        "use none",
    )
    source_broker_ids: BrokerIds = Field(
        default=(), description="The brokers that the modes `full` and `az` move replicas from"
    )
    destination_broker_ids: BrokerIds = Field(
        default=(), description="The brokers that the modes `full` and `az` move replicas to"
    )
    policy: PolicySettings = PolicySettings()
    kraft: KraftSettings | None = Field(
        default=None,
        description="How the cluster migrates from ZooKeeper to KRaft; leave it out if it does not",
    )

    @model_validator(mode="after")
    def _each_broker_once(self) -> Self:
        named = [*self.source_broker_ids, *self.destination_broker_ids]
        if twice := sorted({b for b in named if named.count(b) > 1}):
            raise ValueError(
                f"source_broker_ids, destination_broker_ids: {twice} named twice; a broker is "
                "either a source or a destination"
            )
        return self

    @model_validator(mode="after")
    def _clients_find_each_broker(self) -> Self:
        named = (*self.source_broker_ids, *self.destination_broker_ids)
        if self.consul and (lacking := self.consul.without(named)):
            raise ValueError(f"consul.endpoints: none for brokers {', '.join(map(str, lacking))}")
        return self

    def core_policy(self) -> Policy:
        """Returns these settings as the core's Policy."""
        return Policy(
            source_broker_ids=self.source_broker_ids,
            destination_broker_ids=self.destination_broker_ids,
            **self.policy.core_fields(),
            discovery=self.consul is not None,
            discovery_grace_seconds=self.consul.grace_seconds
            if self.consul
            else Policy().discovery_grace_seconds,
            kraft=self.kraft.options(self.zookeeper or "") if self.kraft else KraftOptions(),
        )


# A name is a message key, a part of ids, and a part of the `reason` that Cruise Control returns.
_CLUSTER_NAME: TypeAdapter[str] = TypeAdapter(
    Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]
)


def _without_the_text(error: yaml.YAMLError) -> str:
    """Returns what is wrong and where, without the text of the line, which may hold a secret."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{getattr(error, 'problem', None) or 'it cannot be read'}{where}"


def read_clusters(path: Path) -> dict[str, ClusterSettings]:
    """Reads clusters.yaml and returns its clusters by name.

    Raises SettingsError, which names the file, the cluster and the field.
    """
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
            f"{path} must have a mapping `clusters`, from each cluster's name to its settings"
        )
    clusters: dict[str, ClusterSettings] = {}
    for name, entry in entries.items():
        try:
            clusters[_CLUSTER_NAME.validate_python(str(name))] = ClusterSettings.model_validate(
                entry
            )
        except ValidationError as error:
            wrong = wrong_fields(error, "the entry")
            raise SettingsError(f"{path}, cluster {name}: {wrong}") from None
    return clusters
