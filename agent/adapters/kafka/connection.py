"""How to reach a Kafka cluster; both client libraries get their arguments from one value."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.secrets import newest


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaConnection:
    """The address of a cluster and our credentials there."""

    bootstrap_servers: str
    security_protocol: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL
    sasl_mechanism: str | None = None  # PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None  # read for each new client
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True
    request_timeout_seconds: float = 10.0

    def for_kafka_python(self) -> dict[str, Any]:
        """Return keyword arguments for the clients of kafka-python."""
        timeout_ms = int(self.request_timeout_seconds * 1_000)
        return {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "request_timeout_ms": timeout_ms,
            "bootstrap_timeout_ms": timeout_ms,
            **self._security(),
        }

    def for_aiokafka(self) -> dict[str, Any]:
        """Return keyword arguments for aiokafka's producer and consumer.

        Raises OSError or ssl.SSLError when a TLS file cannot be read.
        """
        given: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "request_timeout_ms": int(self.request_timeout_seconds * 1_000),
            "security_protocol": self.security_protocol,
        }
        if "SSL" in self.security_protocol:
            given["ssl_context"] = self.ssl_context()
        if self.sasl_mechanism:
            given |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": newest(self.password, self.password_file),
            }
        return given

    def ssl_context(self) -> ssl.SSLContext:
        """Return the TLS context. Raises OSError or ssl.SSLError when a file cannot be read."""
        context = ssl.create_default_context(cafile=self.ssl_cafile)
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile)
        return context

    def _security(self) -> dict[str, Any]:
        given: dict[str, Any] = {"security_protocol": self.security_protocol}
        if "SSL" in self.security_protocol:
            given |= {
                "ssl_cafile": self.ssl_cafile,
                "ssl_certfile": self.ssl_certfile,
                "ssl_keyfile": self.ssl_keyfile,
                "ssl_check_hostname": self.ssl_check_hostname,
            }
        if self.sasl_mechanism:
            given |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": newest(self.password, self.password_file),
            }
        return given
