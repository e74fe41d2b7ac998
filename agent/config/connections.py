"""Settings of the connections to a Kafka cluster, its ZooKeeper and its Cruise Control.

Passwords and tokens should come from files, which are read again for each new connection.
"""

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from agent.adapters.cruise_control.client import CruiseControlConnection
from agent.adapters.kafka.connection import KafkaConnection
from agent.adapters.zookeeper.access import ZooKeeperAccess
from agent.secrets import secret


class KafkaSecurity(BaseModel):
    """How to connect to a Kafka cluster.

    The password comes from `password_file` or, for the control Kafka, from the environment.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    username: str | None = None
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description="A file that holds nothing but the password"
    )
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True

    @model_validator(mode="after")
    def _sasl_is_complete(self) -> Self:
        if self.security_protocol.startswith("SASL") != (self.sasl_mechanism is not None):
            raise ValueError(
                f"security_protocol {self.security_protocol} and sasl_mechanism do not match"
            )
        if self.sasl_mechanism and not (self.username and (self.password or self.password_file)):
            raise ValueError("SASL needs username and password_file")
        return self

    def connection(
        self, bootstrap_servers: str, request_timeout_seconds: float = 10.0
    ) -> KafkaConnection:
        """Returns what the Kafka adapters need to connect.

        Raises OSError when the password file cannot be read.
        """
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
    """How to connect to a cluster's ZooKeeper: with SASL DIGEST-MD5, TLS, both or neither.

    With TLS, a client certificate is optional.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str | None = Field(
        default=None,
        description="The user name in the section `Client` of the brokers' JAAS file",
    )
    password: SecretStr | None = Field(default=None, description="Prefer password_file")
    password_file: Path | None = Field(
        default=None, description="A file that holds nothing but the password"
    )
    tls: bool = Field(
        default=False,
        description="Set this when the brokers have zookeeper.ssl.client.enable=true",
    )
    ca_file: str | None = None
    certificate_file: str | None = Field(
        default=None, description="A client certificate (PEM); it may hold the key too"
    )
    key_file: str | None = None
    check_hostname: bool = True

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.username and not (self.password or self.password_file):
            raise ValueError("username needs password_file")
        if (self.ca_file or self.certificate_file) and not self.tls:
            raise ValueError("ca_file and certificate_file need tls: true")
        return self

    def access(self) -> ZooKeeperAccess:
        """Returns what the ZooKeeper adapter needs to connect.

        Raises OSError when the password file cannot be read.
        """
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
    """Where a cluster's Cruise Control is, and how to authenticate to it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(
        # Errors show the URL, so it must not hold a password.
        pattern=r"^https?://[^/@?#\s]+(/[^?#\s]*)?$",
        description="The base URL, with or without /kafkacruisecontrol, and without user name and "
        "password",
    )
    username: str | None = None
    password: SecretStr | None = None
    password_file: Path | None = None
    token_file: Path | None = Field(
        default=None, description="A file that holds nothing but a bearer token"
    )
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Timeout of one request; answers take about 0.2 s, longer through a proxy",
    )
    ca_file: str | None = None
    certificate_file: str | None = Field(
        default=None, description="A client certificate (PEM); it may hold the key too"
    )
    key_file: str | None = None

    def connection(self) -> CruiseControlConnection:
        """Returns what the Cruise Control adapter needs to connect.

        Raises OSError when the file of a secret cannot be read.
        """
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
