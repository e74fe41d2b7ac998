"""Login and TLS of a ZooKeeper connection, as kazoo's arguments."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.secrets import newest


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperAccess:
    """SASL DIGEST-MD5 (what Kafka's own `Client` login is), TLS, a client certificate; none of
    them by default.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None  # read anew for each session
    tls: bool = False
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    check_hostname: bool = True

    def for_kazoo(self) -> dict[str, Any]:
        """Keyword arguments for KazooClient.

        Whatever it makes, only its maker may touch, if it has a name.
        """
        from kazoo.security import CREATOR_ALL_ACL, READ_ACL_UNSAFE

        given: dict[str, Any] = {}
        if self.username is not None:
            given["sasl_options"] = {
                "mechanism": "DIGEST-MD5",
                "username": self.username,
                "password": newest(self.password, self.password_file) or "",
            }
        if self.tls:
            given |= {
                "use_ssl": True,
                "ca": self.ca_file,
                "certfile": self.certificate_file,
                "keyfile": self.key_file or self.certificate_file,
                "verify_certs": True,
                "check_hostname": self.check_hostname,
            }
        if self.username is not None or self.certificate_file is not None:
            # who drives may be seen by all
            given["default_acl"] = [*CREATOR_ALL_ACL, *READ_ACL_UNSAFE]
        return given
