"""The client of an HTTP service: its URL, the trusted certificates, and our credentials.

Used by every adapter that speaks HTTP. Secrets and keys may change while the agent runs: each
request carries what its secret file holds at that time, and a new certificate is used from the next
connection on.
"""

import base64
import ssl
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import httpx

from agent.secrets import newest


class HttpLogin(httpx.Auth):
    """Credentials and certificates that are read again when their files change.

    The constructor raises OSError or ssl.SSLError when a TLS file cannot be read.
    """

    def __init__(
        self,
        ca_file: str | None = None,
        certificate_file: str | None = None,
        key_file: str | None = None,
    ) -> None:
        self._ca_file, self._certificate_file, self._key_file = ca_file, certificate_file, key_file
        self._header = ""
        self._value: Callable[[], str] = str
        self._context: ssl.SSLContext | None = None
        if ca_file or certificate_file:
            self._context = ssl.create_default_context(cafile=ca_file)
            self._seen = self._stamps()
            self._load(self._context)

    @property
    def verify(self) -> ssl.SSLContext | bool:
        """The value of httpx's `verify`: a TLS context, or True for httpx's own certificates."""
        return self._context or True

    def by_password(self, username: str, password: str | None, file: Path | None) -> None:
        """Use basic authentication; `password` is the content of `file` at the start."""

        def value() -> str:
            pair = f"{username}:{newest(password, file) or ''}"
            return "Basic " + base64.b64encode(pair.encode()).decode()

        self._header, self._value = "Authorization", value

    def by_token(
        self, token: str, file: Path | None, header: str = "Authorization", prefix: str = "Bearer "
    ) -> None:
        """Send a token in `header`; `token` is the content of `file` at the start."""
        self._header, self._value = header, lambda: f"{prefix}{newest(token, file) or ''}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the current credentials to a request; httpx calls this before it sends each one."""
        if self._context is not None and (stamps := self._stamps()) != self._seen:
            try:
                self._load(self._context)
            except (OSError, ssl.SSLError):
                # A file is half written, or a certificate still lacks its key: the files are read
                # again before the next request.
                pass
            else:
                self._seen = stamps
        if self._header:
            request.headers[self._header] = self._value()
        yield request

    def _stamps(self) -> tuple[int, ...]:
        """When each TLS file last changed, in epoch nanoseconds; 0 for one that is not readable."""
        found = []
        for file in (self._ca_file, self._certificate_file, self._key_file):
            try:
                found.append(Path(file).stat().st_mtime_ns if file else 0)
            except OSError:
                found.append(0)
        return tuple(found)

    def _load(self, context: ssl.SSLContext) -> None:
        if self._ca_file:
            context.load_verify_locations(cafile=self._ca_file)
        if self._certificate_file:
            context.load_cert_chain(self._certificate_file, self._key_file)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConnection:
    """The URL of a service and our credentials there: a password, a token or a certificate."""

    url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    password_file: Path | None = None  # read for each request, as is token_file
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    timeout_seconds: float = 10.0

    auth_header: ClassVar[str] = "Authorization"
    auth_prefix: ClassVar[str] = "Bearer "

    def client(
        self,
        transport: httpx.AsyncBaseTransport | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.AsyncClient:
        """Return a client that connects when it is first used; `transport` is for tests.

        Raises OSError or ssl.SSLError when a TLS file cannot be read.
        """
        login = HttpLogin(self.ca_file, self.certificate_file, self.key_file)
        if self.username is not None:
            login.by_password(self.username, self.password, self.password_file)
        elif self.token is not None:
            login.by_token(self.token, self.token_file, self.auth_header, self.auth_prefix)
        return httpx.AsyncClient(
            auth=login,
            headers=headers,
            timeout=self.timeout_seconds,
            transport=transport,
            verify=login.verify,
        )
