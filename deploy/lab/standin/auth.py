"""Basic authentication with Cruise Control's three roles, and the refusals of Jetty."""

import base64
import binascii

from aiohttp import web

from deploy.lab.standin.settings import Account, Role, Settings

_RANK = {Role.VIEWER: 0, Role.USER: 1, Role.ADMIN: 2}
_SERVLET = "com.linkedin.kafka.cruisecontrol.servlet.ServletRequestHandler-71f0b72e"


def account_of(settings: Settings, authorization: str | None) -> Account | None:
    """The account whose name and password are in the header."""
    kind, _, credentials = (authorization or "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    account = settings.accounts.get(name)
    return account if account is not None and account.password == password else None


def may(account: Account, role: Role) -> bool:
    return _RANK[account.role] >= _RANK[role]


def unauthorized(path: str) -> web.Response:
    return _jetty_error(
        path, 401, "Unauthorized", {"WWW-Authenticate": 'basic realm="DefaultLoginService"'}
    )


def forbidden(path: str) -> web.Response:
    return _jetty_error(path, 403, "!role", {})


def _jetty_error(path: str, status: int, message: str, headers: dict[str, str]) -> web.Response:
    headers |= {"Cache-Control": "must-revalidate,no-cache,no-store"}
    body = {"servlet": _SERVLET, "message": message, "url": path, "status": str(status)}
    return web.json_response(body, status=status, headers=headers)
