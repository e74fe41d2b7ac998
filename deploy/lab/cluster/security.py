"""The secure lab (`lab up --secure`): TLS, SASL, ACLs, and secrets in files.

launch.py lays these settings over the plain ones. Every user has a random password of its own, in a
file that only the owner of the lab can read. The plain lab has no passwords.
"""

import secrets
import shutil
from pathlib import Path

from deploy.lab.cluster.config import HOST, CruiseControlKind, Kind, LabConfig, Node

# Both may do everything. Brokers use the first among themselves, and the lab uses the second.
BROKERS, ADMIN = "broker", "admin"
AGENT, CRUISE_CONTROL, OPERATOR, OBSERVER, METRICS, WATCHER = (
    "agent",
    "cruise-control",
    "operator",
    "observer",
    "metrics",
    "watcher",
)
STRANGER = "stranger"  # can log in but has no rights
CERTIFICATE = "certificate"  # TLS with a client certificate takes the place of a mechanism
PLAIN, SCRAM_256, SCRAM_512 = "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"
# Together these users try every way to log in.
ON_CLUSTER = {
    ADMIN: PLAIN,
    AGENT: SCRAM_512,
    CRUISE_CONTROL: SCRAM_512,
    WATCHER: SCRAM_256,
    STRANGER: PLAIN,
}
ON_CONTROL = {
    ADMIN: PLAIN,
    AGENT: SCRAM_512,
    OPERATOR: PLAIN,
    OBSERVER: SCRAM_256,
    METRICS: CERTIFICATE,
    STRANGER: SCRAM_512,
}
USERS = (BROKERS, *sorted({*ON_CLUSTER, *ON_CONTROL}))
PREFIX, APP_ID = "kafka-migration.", "kafka-migration"
_PLAIN_LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule"
_DIGEST_LOGIN = "org.apache.zookeeper.server.auth.DigestLoginModule"
Properties = dict[str, str]


class Vault:
    """Where a secure lab keeps its secrets."""

    def __init__(self, config: LabConfig) -> None:
        self.folder = config.directory.resolve() / "secrets"
        self.authority = self.folder / "ca.pem"
        self.jaas = self.folder / "zookeeper.jaas"
        self.keystore = self.folder / "server.p12"
        # The format is that of Jetty: `name: password,ROLE`.
        self.accounts = self.folder / "cruise-control.accounts"

    def password_file(self, user: str) -> Path:
        return self.folder / f"{user}.password"

    def password(self, user: str) -> str:
        return self.password_file(user).read_text(encoding="utf-8").strip()

    def certificate(self, name: str) -> Path:
        """The PEM file with the key and the certificate of a user."""
        return self.folder / f"{name}.pem"

    def make(self) -> None:
        """Create new secrets and certificates.

        Where the data of the last lab are kept, its passwords are kept too, since Kafka stores
        them.
        """
        from deploy.lab.cluster.certificates import Authority

        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        for user in (*USERS, "keystore"):
            if not self.password_file(user).exists():
                self.keep(self.password_file(user), secrets.token_urlsafe(24))
        authority = Authority()
        authority.write(self.authority)
        authority.issue(
            "server",
            self.certificate("server"),
            keystore=self.keystore,
            keystore_password=self.password("keystore"),
        )
        for user in (name for name, mechanism in ON_CONTROL.items() if mechanism == CERTIFICATE):
            authority.issue(user, self.certificate(user))
        accounts = [
            f"{AGENT}: {self.password(AGENT)},ADMIN",
            f"{WATCHER}: {self.password(WATCHER)},VIEWER",
        ]
        self.keep(self.accounts, "\n".join(accounts) + "\n")
        logins = " ".join(
            f'user_{user}="{self.password(user)}"'
            for user in (BROKERS, ADMIN, AGENT, CRUISE_CONTROL)
        )
        client = f'username="{BROKERS}" password="{self.password(BROKERS)}"'
        self.keep(
            self.jaas,
            (
                f"Server {{ {_DIGEST_LOGIN} required {logins}; }};\nClient {{ {_DIGEST_LOGIN} "
                f"required {client}; }};\n"
            ),
        )

    @staticmethod
    def keep(file: Path, text: str) -> None:
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")


def prepare(config: LabConfig) -> None:
    """Prepare the folder before anything starts. A lab that begins empty keeps nothing old."""
    vault = Vault(config)
    if not config.secure:
        # Otherwise programs would take the lab for a secure one.
        shutil.rmtree(vault.folder, ignore_errors=True)
        return
    if not config.keep_data:
        shutil.rmtree(vault.folder, ignore_errors=True)
    vault.make()
    for name in ("config", "logs"):  # settings contain passwords
        folder = config.directory.resolve() / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)


# ── settings of the nodes ─────────────────────────────────────────────────────────────────────────
def overlay(config: LabConfig, node: Node) -> Properties:
    """The settings that make this node a secure one; empty in a plain lab."""
    if not config.secure:
        return {}
    vault = Vault(config)
    if node.kind is Kind.ZOOKEEPER:
        return _zookeeper(vault, node)
    if node.kind is Kind.BROKER:
        return _broker(config, vault, node) | (
            _reporter(vault) if config.cruise_control_kind is CruiseControlKind.REAL else {}
        )
    if node.kind is Kind.CONTROL_KAFKA:
        return _control_kafka(config, vault, node)
    return _cruise_control(vault)


def removed(config: LabConfig, node: Node) -> dict[str, None]:
    """The settings of the plain node that would allow access without a login."""
    return (
        dict.fromkeys(("clientPort", "clientPortAddress"))
        if config.secure and node.kind is Kind.ZOOKEEPER
        else {}
    )


def java_options(config: LabConfig, node: Node) -> tuple[str, ...]:
    """The option with which ZooKeeper's JVM finds the file of its users."""
    if not config.secure or node.kind is Kind.CONTROL_KAFKA:
        return ()
    return (f"-Djava.security.auth.login.config={Vault(config).jaas}",)


def stand_in_options(config: LabConfig) -> list[str]:
    """The options of the Cruise Control stand-in. No secret is on its command line."""
    if not config.secure:
        return []
    vault = Vault(config)
    return [
        *(
            "--accounts-file",
            str(vault.accounts),
            "--tls-certificate",
            str(vault.certificate("server")),
        ),
        *(
            "--kafka-username",
            CRUISE_CONTROL,
            "--kafka-password-file",
            str(vault.password_file(CRUISE_CONTROL)),
        ),
        *(
            "--kafka-sasl-mechanism",
            ON_CLUSTER[CRUISE_CONTROL],
            "--kafka-ca-file",
            str(vault.authority),
        ),
    ]


def _stores(vault: Vault, prefix: str = "") -> Properties:
    return {
        f"{prefix}ssl.keystore.type": "PEM",
        f"{prefix}ssl.keystore.location": str(vault.certificate("server")),
        f"{prefix}ssl.truststore.type": "PEM",
        f"{prefix}ssl.truststore.location": str(vault.authority),
    }


def _zookeeper(vault: Vault, node: Node) -> Properties:
    return {
        "secureClientPort": str(node.port),
        "secureClientPortAddress": HOST,
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        "ssl.keyStore.location": str(vault.certificate("server")),
        "ssl.keyStore.type": "PEM",
        "ssl.trustStore.location": str(vault.authority),
        "ssl.trustStore.type": "PEM",
        "ssl.clientAuth": "none",  # the digest tells which user it is
        "authProvider.1": "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
        "sessionRequireClientSASLAuth": "true",
    }


def _listeners(vault: Vault, users: dict[str, str]) -> Properties:
    """The settings of SASL for the listener SASL_SSL.

    Users of PLAIN are listed there, and users of SCRAM are created once the brokers run.
    """
    known = " ".join(
        f'user_{u}="{vault.password(u)}"'
        for u in (BROKERS, *(n for n, m in users.items() if m == PLAIN))
    )
    own = f'username="{BROKERS}" password="{vault.password(BROKERS)}"'
    return {
        **_stores(vault),
        "sasl.enabled.mechanisms": f"{PLAIN},{SCRAM_256},{SCRAM_512}",
        "sasl.mechanism.inter.broker.protocol": PLAIN,
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_PLAIN_LOGIN} required {own} {known};",
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{_SCRAM_LOGIN} required;",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{_SCRAM_LOGIN} required;",
        "security.inter.broker.protocol": "SASL_SSL",
        "super.users": f"User:{BROKERS};User:{ADMIN}",
        "allow.everyone.if.no.acl.found": "false",
    }


def _broker(config: LabConfig, vault: Vault, node: Node) -> Properties:
    trust = {
        name.removeprefix("ssl."): value
        for name, value in _stores(vault).items()
        if "trust" in name
    }
    return {
        "listeners": f"SASL_SSL://{node.address}",
        "advertised.listeners": f"SASL_SSL://{node.address}",
        **_listeners(vault, ON_CLUSTER),
        "authorizer.class.name": "kafka.security.authorizer.AclAuthorizer",
        "zookeeper.connect": config.zookeeper.address,
        "zookeeper.set.acl": "true",
        "zookeeper.ssl.client.enable": "true",
        "zookeeper.clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        **{f"zookeeper.ssl.{name}": value for name, value in trust.items()},
    }


def _control_kafka(config: LabConfig, vault: Vault, node: Node) -> Properties:
    """The control Kafka. Its own controller uses SASL_SSL too.

    Users who log in with a certificate have a port of their own.
    """
    return {
        "listeners": f"SASL_SSL://{node.address},CONTROLLER://{HOST}:{config.control_quorum_port},"
        f"SSL://{HOST}:{config.control_certificate_port}",
        "advertised.listeners": f"SASL_SSL://{node.address},SSL://{HOST}:{config.control_certificate_port}",
        "listener.security.protocol.map": "SASL_SSL:SASL_SSL,CONTROLLER:SASL_SSL,SSL:SSL",
        **_listeners(vault, ON_CONTROL),
        "sasl.mechanism.controller.protocol": PLAIN,
        "listener.name.controller.sasl.enabled.mechanisms": PLAIN,
        "listener.name.controller.plain.sasl.jaas.config": f"{_PLAIN_LOGIN} required "
        f'username="{BROKERS}" password="{vault.password(BROKERS)}" '
        f'user_{BROKERS}="{vault.password(BROKERS)}";',
        "listener.name.ssl.ssl.client.auth": "required",
        "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    }


def _client(vault: Vault, user: str, mechanism: str, prefix: str = "") -> Properties:
    login = _PLAIN_LOGIN if mechanism == PLAIN else _SCRAM_LOGIN
    return {
        f"{prefix}security.protocol": "SASL_SSL",
        f"{prefix}sasl.mechanism": mechanism,
        f"{prefix}sasl.jaas.config": (
            f'{login} required username="{user}" password="{vault.password(user)}";'
        ),
        f"{prefix}ssl.truststore.type": "PEM",
        f"{prefix}ssl.truststore.location": str(vault.authority),
    }


def _reporter(vault: Vault) -> Properties:
    return _client(vault, BROKERS, PLAIN, "cruise.control.metrics.reporter.")


def _cruise_control(vault: Vault) -> Properties:
    """A real Cruise Control, both as a client of the cluster and as a web server."""
    return {
        **_client(vault, CRUISE_CONTROL, ON_CLUSTER[CRUISE_CONTROL]),
        "webserver.security.enable": "true",
        "webserver.auth.credentials.file": str(vault.accounts),
        "webserver.ssl.enable": "true",
        "webserver.ssl.keystore.type": "PKCS12",
        "webserver.ssl.keystore.location": str(vault.keystore),
        "webserver.ssl.keystore.password": vault.password("keystore"),
        "webserver.ssl.key.password": vault.password("keystore"),
    }
