"""Who may view and who may send commands: tokens, sessions, and the proof that a request came from
the console's own page.

Called by server.py for each request. Pure but for random numbers and the clock.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

COOKIE = "km_session"
SESSIONS_MAX = 1_000
# after this many wrong tokens within TRY_SECONDS, of all clients together, none is accepted
TRIES_MAX = 10
TRY_SECONDS = 60.0


class Role(StrEnum):
    """What a session may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Session:
    """A session. `csrf` must come back in a header with each command: another site cannot read
    it.
    """

    name: str
    role: Role
    csrf: str
    ends_at: float


class TooManyTriesError(Exception):
    """Too many wrong tokens came; for `seconds` no token is accepted, not even a right one."""

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
        """What a token allows; None for a wrong one.

        Takes the same time for every token. Raises TooManyTriesError.
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
        """A new session and its secret id, or None for a wrong token. Raises TooManyTriesError."""
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
        """The session of a cookie, while it lasts."""
        found = self._sessions.get(session_id)
        return found if found and found.ends_at > self._now() else None

    def log_out(self, session_id: str) -> None:
        """Forget the session."""
        self._sessions.pop(session_id, None)

    def _forget_old(self) -> None:
        now = self._now()
        self._sessions = {i: s for i, s in self._sessions.items() if s.ends_at > now}
        while len(self._sessions) >= SESSIONS_MAX:
            self._sessions.pop(next(iter(self._sessions)))


def is_same(given: str | None, right: str) -> bool:
    """Compares secrets in constant time."""
    return given is not None and hmac.compare_digest(given.encode(), right.encode())
