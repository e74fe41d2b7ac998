"""`kafka-migration acls`: prints or creates the Kafka ACLs that each user needs.

Registered by app.py.
"""

import os
from typing import Annotated, NoReturn

import typer

from agent import rights
from agent.cli.connection import JsonOption, Servers, TopicPrefix, lab_settings
from agent.cli.terminal import Exit, fail, out, print_json
from agent.config.errors import SettingsError
from agent.config.settings import Settings

MaybeCluster = Annotated[
    str | None,
    typer.Argument(
        help="A cluster of clusters.yaml, for the rights on its Kafka; when left out, the rights "
        "on the control Kafka."
    ),
]
Grants = Annotated[
    list[str] | None,
    typer.Option(
        "--grant",
        metavar="ROLE=PRINCIPAL",
        help="Who gets a role, such as operator=User:alice; may be given several times.",
    ),
]
Apply = Annotated[
    bool,
    typer.Option(
        help="Create the ACLs instead of printing them, with the credentials of the settings, "
        "which must be an admin's."
    ),
]
CommandConfig = Annotated[
    str, typer.Option(help="The file of the admin's client settings, for the printed commands.")
]


def acls(
    cluster: MaybeCluster = None,
    grant: Grants = None,
    apply: Apply = False,
    command_config: CommandConfig = "admin.properties",
    as_json: JsonOption = False,
    servers: Servers = None,
    prefix: TopicPrefix = None,
) -> None:
    """Print the Kafka ACLs that the agent, operators, observers and senders of metrics need, as
    `kafka-acls` commands.

    `kafka-migration acls --grant operator=User:alice --grant agent=User:migration`

    `kafka-migration acls orders --grant agent=User:migration --apply`

    Without --grant, each role is granted to a user of the same name.
    """
    try:
        if not servers:
            os.environ.update(lab_settings("admin"))  # when a lab runs here
        settings = Settings.read(bootstrap_servers=servers) if servers else Settings.read()
        connection = settings.clusters()[cluster] if cluster else None
        kafka = (
            connection.security.connection(connection.bootstrap_servers)
            if connection
            else settings.connection()
        )
    except KeyError:
        fail(Exit.USAGE, f"no cluster {cluster!r} in {settings.clusters_file}", as_json=as_json)
    except (SettingsError, OSError) as error:
        fail(Exit.USAGE, f"the settings cannot be used: {error}", as_json=as_json)
    roles = (
        rights.cluster()
        if cluster
        else rights.control(prefix or settings.topic_prefix, settings.app_id)
    )
    principals = _principals(grant, roles, as_json=as_json)
    if not apply:
        lines = rights.commands(roles, principals, kafka.bootstrap_servers, command_config)
        print_json(lines) if as_json else print("\n".join(lines))
        return
    from kafka.errors import KafkaError

    from agent.adapters.kafka import acls as kafka_acls
    from agent.adapters.kafka.admin_requests import connect

    try:
        admin = connect(kafka)
        try:
            count = kafka_acls.create(admin, roles, principals)
        finally:
            admin.close()
    except (KafkaError, OSError) as error:
        fail(Exit.UNREACHABLE, f"{kafka.bootstrap_servers}: {error}", as_json=as_json)
    print_json({"created": count}) if as_json else out.print(f"{count} ACLs are in force")


def _principals(
    grant: list[str] | None, roles: dict[str, tuple[rights.Grant, ...]], *, as_json: bool
) -> dict[str, list[str]]:
    """Returns the principals of each role. Ends with exit code 2 for an unknown role."""
    if not grant:
        return {role: [f"User:{role}"] for role in roles}
    found: dict[str, list[str]] = {}
    for text in grant:
        role, _, principal = text.partition("=")
        if role not in roles or not principal.startswith("User:"):
            _wrong(text, sorted(roles), as_json=as_json)
        found.setdefault(role, []).append(principal)
    return found


def _wrong(text: str, roles: list[str], *, as_json: bool) -> NoReturn:
    fail(
        Exit.USAGE,
        f"--grant {text}: write ROLE=User:NAME with one of the roles {', '.join(roles)}",
        as_json=as_json,
    )
