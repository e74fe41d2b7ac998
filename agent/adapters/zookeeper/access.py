"""Login and TLS of a ZooKeeper connection, as arguments of kazoo."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.secrets import newest


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooKeeperAccess:
    """Credentials and TLS: SASL DIGEST-MD5, as in Kafka's own `Client` login, and certificates.

    By default the connection is plain and without a login.
    """

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None  # read for each session
    tls: bool = False
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    check_hostname: bool = True

    def for_kazoo(self) -> dict[str, Any]:
        """Return keyword arguments for KazooClient.

        With a login, only this user may change the znodes that the client creates; all may read
        them.
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
            # everyone may see who holds the lease
            given["default_acl"] = [*CREATOR_ALL_ACL, *READ_ACL_UNSAFE]
        return given
