"""Decides who may view and who may send commands: tokens, sessions and CSRF tokens.

Called by server.py for each request. Pure except for random numbers and the clock.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

COOKIE = "km_session"
SESSIONS_MAX = 1_000
# After this many wrong tokens within TRY_SECONDS, from all clients together, no token is accepted.
TRIES_MAX = 10
TRY_SECONDS = 60.0


class Role(StrEnum):
    """What a session may do: a viewer only reads, an operator may send commands too."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Session:
    """A session of a signed-in user; `ends_at` is in seconds since the epoch.

    Each command must repeat `csrf` in a header. Pages of other sites cannot read it, so they cannot
    send commands in the user's name.
    """

    name: str
    role: Role
    csrf: str
    ends_at: float


class TooManyTriesError(Exception):
    """Too many wrong tokens were sent; for `seconds` no token is accepted, not even a right one."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong tokens: try again in {seconds:.0f} s")
        self.seconds = seconds


class Access:
    """Tokens and sessions. Sessions live in memory: after a restart everyone signs in again."""

    def __init__(
        self,
        operator_token: str,
        viewer_token: str | None,
        session_seconds: float,
        now: Callable[[], float],
    ) -> None:
        self._tokens = [(operator_token, Role.OPERATOR)] + (
            [(viewer_token, Role.VIEWER)] if viewer_token else []
        )
        self._session_seconds = session_seconds
        self._now = now
        self._sessions: dict[str, Session] = {}
        self._wrong: list[float] = []

    def role_of(self, token: str) -> Role | None:
        """Returns the role of a token; None for a wrong one.

        The comparison takes the same time for every token. Raises TooManyTriesError.
        """
        now = self._now()
        self._wrong = [at for at in self._wrong if at > now - TRY_SECONDS]
        if len(self._wrong) >= TRIES_MAX:
            raise TooManyTriesError(self._wrong[0] + TRY_SECONDS - now)
        given = token.encode()
        matches = [
            role for right, role in self._tokens if hmac.compare_digest(given, right.encode())
        ]
        if not matches:
            self._wrong.append(now)
        return matches[0] if matches else None

    def log_in(self, token: str, name: str) -> tuple[str, Session] | None:
        """Starts a session and returns its secret id with it; None for a wrong token.

        Raises TooManyTriesError.
        """
        role = self.role_of(token)
        if role is None:
            return None
        self._forget_old()
        session_id = secrets.token_urlsafe(32)
        session = Session(
            name, role, secrets.token_urlsafe(32), self._now() + self._session_seconds
        )
        self._sessions[session_id] = session
        return session_id, session

    def session(self, session_id: str) -> Session | None:
        """Returns the session with the id that a cookie holds; None when it has ended."""
        found = self._sessions.get(session_id)
        return found if found and found.ends_at > self._now() else None

    def log_out(self, session_id: str) -> None:
        """Ends the session, if there is one with this id."""
        self._sessions.pop(session_id, None)

    def _forget_old(self) -> None:
        now = self._now()
        self._sessions = {i: s for i, s in self._sessions.items() if s.ends_at > now}
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))


def is_same(given: str | None, right: str) -> bool:
    """Whether a given secret is the right one; compares them in constant time."""
    return given is not None and hmac.compare_digest(given.encode(), right.encode())
