"""The command line of the stand-in: `python -m deploy.lab.standin`.

The lab's supervisor starts it.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import ssl
from dataclasses import fields, replace
from pathlib import Path

from aiohttp import web

from agent.adapters.kafka.connection import KafkaConnection
from deploy.lab.standin import SERVER_NAME, SPOKEN_VERSION
from deploy.lab.standin.api import PREFIX, build_app
from deploy.lab.standin.clock import SystemClock
from deploy.lab.standin.kafka_cluster import KafkaCluster
from deploy.lab.standin.service import CruiseControl
from deploy.lab.standin.settings import Account, Role, Settings

log = logging.getLogger("deploy.lab.standin")

_NOT_ON_COMMAND_LINE = {"accounts"}


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="python -m deploy.lab.standin",
        description=f"{SERVER_NAME}. It serves the part of the REST API of {SPOKEN_VERSION} that "
        "this project calls, and moves real replicas through Kafka's own reassignment API. It is "
        "for the lab only.",
    )
    options.add_argument(
        "--bootstrap-servers", required=True, help="brokers of the cluster: HOST:PORT,..."
    )
    options.add_argument(
        "--port", type=int, required=True, help="port of the REST API; 0 chooses a free one"
    )
    options.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: loopback only)"
    )
    options.add_argument(
        "--zookeeper", help="accepted but not used, because the stand-in needs only brokers"
    )
    options.add_argument(
        "--accounts-file",
        type=Path,
        help="file of accounts in Jetty's form: one line `NAME: PASSWORD,ROLE` for each account",
    )
    options.add_argument(
        "--tls-certificate",
        type=Path,
        help="PEM file with key and certificate, with which the REST API uses HTTPS",
    )
    options.add_argument(
        "--kafka-username", help="user of the connection to Kafka, which then uses SASL_SSL"
    )
    options.add_argument(
        "--kafka-password-file", type=Path, help="file that holds nothing but the password"
    )
    options.add_argument("--kafka-sasl-mechanism", default="PLAIN")
    options.add_argument(
        "--kafka-ca-file",
        help="PEM file of the authority that signed the certificates of the brokers",
    )
    options.add_argument(
        "--account",
        action="append",
        default=[],
        metavar="NAME:PASSWORD:ROLE",
        help="account of basic authentication; ROLE is VIEWER, USER or ADMIN; may be repeated",
    )
    defaults = Settings()
    for field in fields(Settings):
        if field.name in _NOT_ON_COMMAND_LINE:
            continue
        default = getattr(defaults, field.name)
        flag = "--" + field.name.replace("_", "-")
        if isinstance(default, bool):
            options.add_argument(flag, action=argparse.BooleanOptionalAction, default=default)
        else:
            options.add_argument(
                flag, type=type(default), default=default, help=f"default {default}"
            )
    return options


def settings_from(options: argparse.Namespace) -> Settings:
    accounts = {}
    for account in options.account:
        name, password, role = account.split(":")
        accounts[name] = Account(password, Role(role.upper()))
    for line in (
        options.accounts_file.read_text(encoding="utf-8").splitlines()
        if options.accounts_file
        else ()
    ):
        name, _, rest = line.partition(":")
        password, _, role = rest.strip().rpartition(",")
        accounts[name.strip()] = Account(password, Role(role.strip().upper()))
    named = {
        f.name: getattr(options, f.name)
        for f in fields(Settings)
        if f.name not in _NOT_ON_COMMAND_LINE
    }
    return Settings(accounts=accounts, **named)


async def serve(options: argparse.Namespace) -> None:
    service = CruiseControl(
        KafkaCluster(_connection(options)), settings_from(options), SystemClock()
    )
    runner = web.AppRunner(build_app(service), shutdown_timeout=1.0)
    await runner.setup()
    site = web.TCPSite(
        runner, options.host, options.port, ssl_context=_tls(options.tls_certificate)
    )
    await site.start()
    log.info("%s, speaking %s, at %s%s", SERVER_NAME, SPOKEN_VERSION, runner.addresses[0], PREFIX)
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await stopped.wait()
    log.info("Stopping. Kafka continues the moves that it was told to make.")
    await runner.cleanup()


def _connection(options: argparse.Namespace) -> KafkaConnection:
    plain = KafkaConnection(bootstrap_servers=options.bootstrap_servers)
    if options.kafka_username is None:
        return plain
    return replace(
        plain,
        security_protocol="SASL_SSL",
        sasl_mechanism=options.kafka_sasl_mechanism,
        username=options.kafka_username,
        password=options.kafka_password_file.read_text(encoding="utf-8").strip(),
        ssl_cafile=options.kafka_ca_file,
    )


def _tls(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    for noisy in ("kafka", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(parser().parse_args()))


if __name__ == "__main__":
    main()
