"""HTTP with connections that are kept, proxies, private certificates, redirects, and bodies whose size is bounded.

On the standard library: a client library would cost each command more to import than the request takes.
"""

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Self
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from airdock.errors import RegistryError, UnreachableError
from airdock.record import positional
from airdock.remote.base import RemoteSettings

__all__ = ["Body", "Http", "Response", "is_loopback"]

_CHUNK: Final = 1 << 20
_PIECE: Final = 256 << 10
_DOCUMENT_S: Final = 120.0
"""How long a manifest or a token may take: each wait is bounded too, but drops can come for ever."""
_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_DRAIN: Final = 64 << 10
"""What is left of an answer is read up to here to keep its connection; a longer rest costs more than a new one."""

_FAILURES: Final = (OSError, http.client.HTTPException, ValueError)
"""What the standard library raises for anything that the other side sends."""


@positional
class Body:
    """What is sent: `file` from where it stands, `size` bytes of it."""

    file: BinaryIO
    size: int


class Response:
    """An answer. Use it as a context: what isn't read to its end closes the connection."""

    def __init__(self, http_: "Http", key: "_Key", connection: http.client.HTTPConnection,
                 answer: http.client.HTTPResponse, url: str) -> None:  # fmt: skip
        self._http = http_
        self._key = key
        self._connection = connection
        self._answer = answer
        self.url = url
        self.status = answer.status
        self.headers = answer.headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def all_headers(self, name: str) -> list[str]:
        """Every header of that name."""
        return self._answer.headers.get_all(name) or []

    def read(self, at_most: int) -> bytes:
        """The whole body; RegistryError when it's longer than `at_most` bytes, or takes minutes to come."""
        pieces, left = [], at_most
        deadline = time.monotonic() + _DOCUMENT_S
        for piece in self._take(self._answer.read1):  # comes back with what there is, however little
            left -= len(piece)
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"expected a document within {_DOCUMENT_S:g} s, found {at_most - left} bytes of it", where=self.url
                )
            if left < 0:
                raise RegistryError(f"expected at most {at_most} bytes, found more", where=self.url)
            pieces.append(piece)
        self._answer.read()  # read1 doesn't notice an end that a length foretold; the connection is kept only then
        return b"".join(pieces)

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. Raises UnreachableError when it breaks off."""
        return self._take(self._answer.read)

    def _take(self, read: Callable[[int], bytes]) -> Iterator[bytes]:
        expected = self._answer.length
        got = 0
        while True:
            try:
                piece = read(_PIECE)
            except _FAILURES as error:
                raise _broken(error, self.url) from error
            if not piece:
                break
            got += len(piece)
            yield piece
        if expected is not None and got < expected:
            raise UnreachableError(f"expected {expected} bytes, found that it breaks off after {got}", where=self.url)

    def close(self) -> None:
        """Give the connection back if all was read, else close it."""
        if self._connection is None:
            return
        connection, self._connection = self._connection, None  # type: ignore[assignment]
        try:
            if not self._answer.isclosed() and (self._answer.length or _DRAIN + 1) <= _DRAIN:
                self._answer.read(_DRAIN)
            is_whole = self._answer.isclosed() and not self._answer.will_close
        except _FAILURES:
            is_whole = False
        self._answer.close()
        if is_whole:
            self._http.keep(self._key, connection)
        else:
            connection.close()


@positional
class _Key:
    """What connections are kept by."""

    scheme: str
    host: str
    port: int
    proxy: str


@dataclass(slots=True)
class _Pool:
    lock: threading.Lock = field(default_factory=threading.Lock)
    idle: dict[_Key, list[http.client.HTTPConnection]] = field(default_factory=dict)


class Http:
    """Requests, from any thread. `close` when done."""

    def __init__(self, settings: RemoteSettings) -> None:
        self._settings = settings
        self._pool = _Pool()
        self._contexts: dict[str, ssl.SSLContext] = {}

    def close(self) -> None:
        """Close the connections that are kept."""
        with self._pool.lock:
            idle, self._pool.idle = self._pool.idle, {}
        for connection in (one for each in idle.values() for one in each):
            connection.close()

    def keep(self, key: _Key, connection: http.client.HTTPConnection) -> None:
        """Keep a connection for the next request."""
        with self._pool.lock:
            self._pool.idle.setdefault(key, []).append(connection)

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Body | bytes | None = None
    ) -> Response:
        """Send and give the answer's head, whatever its status; redirects of GET and HEAD are followed.

        `Authorization` goes no further than to the host that it's for. Raises UnreachableError.
        """
        sent = {"User-Agent": "airdock", "Accept-Encoding": "identity", **(headers or {})}
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._send(method, url, sent, body)
            target = response.headers.get("Location")
            if method not in ("GET", "HEAD") or response.status not in _REDIRECTS or not target:
                return response
            response.close()
            before, url = url, _join(url, target)
            if _origin(before)[0] == "https" and not self._may_be_plain(_split(url)):
                raise RegistryError(
                    f"expected a redirect to https, found one to {url}",
                    where=before,
                    hint=f"if that is meant, add {_split(url).netloc} to registries.insecure",
                )
            if _origin(before) != _origin(url):
                sent = {name: value for name, value in sent.items() if name.lower() != "authorization"}
        raise RegistryError(f"expected at most {_MOST_REDIRECTS} redirects, found more", where=url)

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: Body | bytes | None) -> Response:
        parts = _split(url)
        key = _Key(parts.scheme, parts.hostname or "", _port(parts), self._proxy_for(parts))
        start = body.file.tell() if isinstance(body, Body) else 0
        while True:
            connection, is_fresh = self._connection(key)
            try:
                self._write(connection, key, method, parts, headers, body)
                return Response(self, key, connection, connection.getresponse(), url)
            except _FAILURES as error:
                connection.close()
                # A connection that was kept may have been closed by the other side meanwhile: that's no failure.
                if is_fresh or isinstance(error, TimeoutError):
                    raise _broken(error, url) from error
                if isinstance(body, Body):
                    body.file.seek(start)

    def _write(
        self,
        connection: http.client.HTTPConnection,
        key: _Key,
        method: str,
        parts: SplitResult,
        headers: Mapping[str, str],
        body: Body | bytes | None,
    ) -> None:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if key.proxy and key.scheme == "http":
            path = f"http://{parts.netloc}{path}"
            if authorization := _proxy_authorization(key.proxy):
                headers = {**headers, "Proxy-Authorization": authorization}
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if isinstance(body, Body):
            connection.putheader("Content-Length", str(body.size))
            connection.endheaders()
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have answered before it hung up: too large
                _send_file(connection, body)
        else:
            if body is not None or method in ("POST", "PUT", "PATCH"):
                connection.putheader("Content-Length", str(len(body or b"")))
            connection.endheaders(body or None)

    def _connection(self, key: _Key) -> tuple[http.client.HTTPConnection, bool]:
        with self._pool.lock:
            idle = self._pool.idle.get(key)
            if idle:
                return idle.pop(), False
        return self._connect(key), True

    def _connect(self, key: _Key) -> http.client.HTTPConnection:
        timeout_s = self._settings.timeout_s
        through = urlsplit(key.proxy) if key.proxy else None
        host, port = (through.hostname or "", through.port or 3128) if through else (key.host, key.port)
        if key.scheme == "http":
            return _Plain(host, port, timeout=timeout_s, blocksize=_CHUNK)
        context = self._context(f"{key.host}:{key.port}")
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context, blocksize=_CHUNK)
        if through:
            authorization = _proxy_authorization(key.proxy)
            connection.set_tunnel(
                key.host, key.port, headers={"Proxy-Authorization": authorization} if authorization else {}
            )
        return connection

    def _context(self, address: str) -> ssl.SSLContext:
        if address not in self._contexts:
            names = {address, address.removesuffix(":443")}
            try:
                context = ssl.create_default_context()
                if names & self._settings.insecure:
                    context.check_hostname = False
                    context.verify_mode = ssl.CERT_NONE
                for folder in self._settings.certificates:
                    for name in names:
                        _load_certificates(context, folder / name)
            except (OSError, ssl.SSLError) as error:
                raise RegistryError(f"expected certificates that can be read, found: {error}", where=address) from error
            self._contexts[address] = context
        return self._contexts[address]

    def _may_be_plain(self, parts: SplitResult) -> bool:
        return parts.scheme == "https" or is_loopback(parts.hostname or "") or parts.netloc in self._settings.insecure

    def _proxy_for(self, parts: SplitResult) -> str:
        proxy = self._settings.proxies.get(f"{parts.scheme}_proxy", "")
        host = parts.hostname or ""
        if not proxy or is_loopback(host) or _is_direct(host, _port(parts), self._settings.proxies.get("no_proxy", "")):
            return ""
        return proxy if "://" in proxy else f"http://{proxy}"


class _Plain(http.client.HTTPConnection):
    """Sends without waiting for acknowledgements of small pieces."""

    def connect(self) -> None:
        super().connect()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def is_loopback(host: str) -> bool:
    """Whether nobody else can listen in."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _send_file(connection: http.client.HTTPConnection, body: Body) -> None:
    """Over plain HTTP the kernel moves the bytes; through TLS they pass by here."""
    if not isinstance(connection.sock, ssl.SSLSocket):
        sent = connection.sock.sendfile(body.file, body.file.tell(), body.size)
        if sent != body.size:
            raise ValueError(f"expected {body.size} bytes in the file, found {sent}")
        return
    left = body.size
    while left:
        piece = body.file.read(min(left, _CHUNK))
        if not piece:
            raise ValueError(f"expected {left} more bytes in the file, found its end")
        connection.send(piece)
        left -= len(piece)


def _load_certificates(context: ssl.SSLContext, folder: Path) -> None:
    """`*.crt` are authorities, `NAME.cert` with `NAME.key` are our own. Source: Docker, verify repository client."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".crt":
            context.load_verify_locations(path)
        elif path.suffix == ".cert" and path.with_suffix(".key").exists():
            context.load_cert_chain(path, path.with_suffix(".key"))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise RegistryError(f"expected a web address, found {url!r}: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise RegistryError(f"expected a web address, found {url!r}")
    return parts


def _join(base: str, target: str) -> str:
    try:
        return urljoin(base, target)
    except ValueError as error:
        raise RegistryError(f"expected a web address to go on to, found {target!r}", where=base) from error


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _origin(url: str) -> tuple[str, str, int]:
    parts = _split(url)
    return parts.scheme, parts.hostname or "", _port(parts)


def _proxy_authorization(proxy: str) -> str:
    parts = urlsplit(proxy)
    if parts.username is None:
        return ""
    import base64  # few proxies ask for a password

    said = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return "Basic " + base64.b64encode(said).decode()


def _is_direct(host: str, port: int, exceptions: str) -> bool:
    """Whether NO_PROXY names a host: itself, a domain above it, its address, or a network that it's in."""
    for entry in filter(None, (part.strip().lower() for part in exceptions.split(","))):
        name, colon, number = entry.rpartition(":") if entry.count(":") == 1 else (entry, "", "")
        if colon and number.isdigit() and int(number) != port:
            continue
        name = name or entry
        bare = name.lstrip("*").lstrip(".")
        if name == "*" or host == bare or (bare and host.endswith(f".{bare}")):
            return True
        try:
            if ipaddress.ip_address(host) in ipaddress.ip_network(name, strict=False):
                return True
        except ValueError:
            continue
    return False


def _broken(error: Exception, url: str) -> UnreachableError:
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc}"
    if isinstance(error, ssl.SSLCertVerificationError):
        name = parts.netloc
        return UnreachableError(
            f"expected a certificate that this machine trusts, found: {error.verify_message}",
            where=where,
            hint=f"put its authority's certificate to /etc/docker/certs.d/{name}/ca.crt or name it in SSL_CERT_FILE; "
            f"or, for a registry that need not be trusted, add {name} to registries.insecure",
        )
    if isinstance(error, ssl.SSLError):
        return UnreachableError(
            f"expected TLS, found: {error.reason or error}",
            where=where,
            hint=f"if it speaks plain HTTP: add {parts.netloc} to registries.insecure",
        )
    if isinstance(error, socket.gaierror):
        return UnreachableError(
            f"expected a host named {parts.hostname}, found none: {error.strerror}",
            where=where,
            hint="check the name; behind a proxy, set HTTPS_PROXY",
        )
    if isinstance(error, TimeoutError):
        return UnreachableError("expected an answer, found none in time", where=where, hint="see registries.timeout_s")
    if isinstance(error, OSError):
        return UnreachableError(f"expected an answer, found: {error.strerror or error}", where=where)
    return UnreachableError(f"expected an answer by HTTP, found: {str(error) or type(error).__name__}", where=where)
