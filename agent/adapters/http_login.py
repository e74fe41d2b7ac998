"""Who we are at an HTTP service: httpx asks before each request. Used by every client of one.

Secrets and keys change while we run: each request bears what its file holds then, and a new
certificate counts for the next connection.
"""

import base64
import ssl
from collections.abc import Callable, Generator
from pathlib import Path

import httpx

from agent.config.secrets import newest


class HttpLogin(httpx.Auth):
    """A login that follows its files.

    Raises OSError or ssl.SSLError when a file of TLS cannot be read at first.
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
        """How httpx shall check the other side."""
        return self._context or True

    def by_password(self, username: str, password: str | None, file: Path | None) -> None:
        """Basic authentication; `password` is what the file held at first."""

        def value() -> str:
            pair = f"{username}:{newest(password, file) or ''}"
            return "Basic " + base64.b64encode(pair.encode()).decode()

        self._header, self._value = "Authorization", value

    def by_token(
        self, token: str, file: Path | None, header: str = "Authorization", prefix: str = "Bearer "
    ) -> None:
        """A token; `token` is what the file held at first."""
        self._header, self._value = header, lambda: f"{prefix}{newest(token, file) or ''}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """What httpx asks for."""
        if self._context is not None and (stamps := self._stamps()) != self._seen:
            try:
                self._load(self._context)
            except (OSError, ssl.SSLError):
                # half written, or a certificate without its key yet: looked at again before the
                # next request
                pass
            else:
                self._seen = stamps
        if self._header:
            request.headers[self._header] = self._value()
        yield request

    def _stamps(self) -> tuple[int, ...]:
        """Changes with each of the files of TLS; 0: it is not there, or cannot be seen."""
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
