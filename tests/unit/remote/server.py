"""A small registry on loopback that keeps to the distribution specification until it's told to misbehave.

`Server.fault` makes it fail once or several times: see `answer`, `cut`, `endless`, `hang_up` and `raw`.
"""

import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Act = Callable[["Handler"], None]
_BLOB = re.compile(r"/v2/(.+)/blobs/(sha256:[0-9a-f]{64})")
_MANIFEST = re.compile(r"/v2/(.+)/manifests/(.+)")
_UPLOADS = re.compile(r"/v2/(.+)/blobs/uploads/")
_UPLOAD = re.compile(r"/v2/(.+)/blobs/uploads/([0-9]+)")
_TAGS = re.compile(r"/v2/(.+)/tags/list")


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Fault:
    method: str
    pattern: str
    act: Act
    times: int


@dataclass
class Server:
    """The registry's state, and what was asked of it. `auth` is "", "basic" or "bearer"."""

    auth: str = ""
    username: str = "somebody"
    password: str = "a secret"
    identity_token: str = ""
    early: int = 0
    """A status with which uploads end after 1 MiB of their body, without the rest being read."""
    takes_get: bool = True
    """Whether the token server answers GET, or takes forms only."""
    mounts: bool = True
    elsewhere: str = ""
    """Where blobs really are: GETs of them are redirected there."""
    warning: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    owners: set[tuple[str, str]] = field(default_factory=set)
    """Which repository has which blob."""
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(default_factory=dict)
    uploads: dict[str, bytearray] = field(default_factory=dict)
    begun: int = 0
    requests: list[Request] = field(default_factory=list)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    """What each token that was given allows, as `repository:NAME:ACTION`."""
    grants: Callable[[str], bool] = lambda access: True
    token_lasts_s: int = 300
    faults: list[Fault] = field(default_factory=list)
    address: str = ""
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add_blob(self, content: bytes, repository: str = "team/app") -> str:
        digest = sha256(content)
        self.blobs[digest] = content
        self.owners.add((repository, digest))
        return digest

    def add_manifest(self, content: bytes, media_type: str, tag: str = "", repository: str = "team/app") -> str:
        digest = sha256(content)
        for reference in filter(None, (digest, tag)):
            self.manifests[repository, reference] = (media_type, content)
        return digest

    def fault(self, pattern: str, act: Act, *, method: str = "GET", times: int = 1) -> None:
        """Have the next requests whose path matches end by `act`."""
        self.faults.append(Fault(method, pattern, act, times))

    def asked(self, method: str = "", pattern: str = "") -> list[Request]:
        """The requests so far, those that match."""
        return [one for one in self.requests if one.method.startswith(method) and re.search(pattern, one.path)]

    def take_fault(self, method: str, path: str) -> Act | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault.act
        return None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are sent apart
    state: Server

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""

    def do(self) -> None:
        parts = urlsplit(self.path)
        if self.state.early and self.command in ("PUT", "PATCH"):
            left = int(self.headers["Content-Length"])
            left -= len(self.rfile.read(min(left, 1 << 20)))
            self.refuse(self.state.early, "", "too large", Connection="close")
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.rfile.read(min(left, 1 << 20))  # closed at once, the kernel would take the answer back
            self.close_connection = True
            return
        body = b"" if self.headers.get("Expect-No-Body") else self._read_body()
        request = Request(self.command, parts.path, parse_qs(parts.query), dict(self.headers.items()), body)
        with self.state.lock:
            self.state.requests.append(request)
        act = self.state.take_fault(self.command, parts.path)
        if act is not None:
            act(self)
        elif parts.path == "/token":
            self._token(request)
        elif self._may(request):
            self._serve(request)

    def _read_body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", "0")))

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        if self.state.warning:
            self.send_header("Warning", f'299 - "{self.state.warning}"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, message: str, **headers: str) -> None:
        errors = {"errors": [{"code": code, "message": message}]}
        self.reply(status, json.dumps(errors).encode(), Content_Type="application/json", **headers)

    # who may

    def _may(self, request: Request) -> bool:
        said = request.headers.get("Authorization", "")
        if not self.state.auth:
            return True
        if self.state.auth == "basic":
            if said == _basic(self.state.username, self.state.password):
                return True
            self.refuse(401, "UNAUTHORIZED", "who are you?", WWW_Authenticate='Basic realm="tests"')
            return False
        wanted = _accesses(request)
        if wanted and wanted <= self.state.tokens.get(said.removeprefix("Bearer "), set()):
            return True
        if not wanted and said.removeprefix("Bearer ") in self.state.tokens:
            return True
        name = next(iter(wanted)).split(":")[1] if wanted else ""
        actions = ",".join(sorted(access.rpartition(":")[2] for access in wanted if access.split(":")[1] == name))
        scope = f',scope="repository:{name}:{actions}"' if wanted else ""
        self.refuse(
            401,
            "UNAUTHORIZED",
            "authentication required",
            WWW_Authenticate=f'Bearer realm="http://{self.state.address}/token",service="tests, all of them"{scope}',
        )
        return False

    def _token(self, request: Request) -> None:
        state = self.state
        if request.method == "GET":
            if not state.takes_get:
                self.refuse(405, "UNSUPPORTED", "forms only")
                return
            scopes = request.query.get("scope", [])
            said = request.headers.get("Authorization", "")
            known = not said or said == _basic(state.username, state.password)
        else:
            form = {key: value[0] for key, value in parse_qs(request.body.decode()).items()}
            scopes = form.get("scope", "").split()
            if form.get("grant_type") == "refresh_token":
                known = bool(state.identity_token) and form.get("refresh_token") == state.identity_token
            else:
                known = (form.get("username"), form.get("password")) == (state.username, state.password)
        if not known:
            self.refuse(401, "UNAUTHORIZED", "wrong password")
            return
        token = f"token-{len(self.state.requests)}"
        asked = {
            f"{kind_name}:{action}"
            for scope in scopes
            for kind_name, _, actions in [scope.rpartition(":")]
            for action in actions.split(",")
        }
        state.tokens[token] = {access for access in asked if state.grants(access)}
        answer: dict[str, Any] = {"access_token": token, "expires_in": state.token_lasts_s}
        if state.identity_token:
            answer["refresh_token"] = state.identity_token
        self.reply(200, json.dumps(answer).encode(), Content_Type="application/json")

    # what is there

    def _serve(self, request: Request) -> None:
        for pattern, serve in (
            (_UPLOADS, self._begin),
            (_UPLOAD, self._upload),
            (_BLOB, self._blob),
            (_MANIFEST, self._manifest),
            (_TAGS, self._tags),
        ):
            if match := pattern.fullmatch(request.path):
                serve(request, *match.groups())
                return
        if request.path == "/v2/":
            self.reply(200, b"{}")
        else:
            self.refuse(404, "NOT_FOUND", "no such page")

    def _blob(self, request: Request, repository: str, digest: str) -> None:
        if (repository, digest) not in self.state.owners:
            self.refuse(404, "BLOB_UNKNOWN", "blob unknown to registry")
            return
        if self.state.elsewhere and request.method == "GET":
            self.reply(307, Location=f"http://{self.state.elsewhere}{request.path}")
            return
        content = self.state.blobs[digest]
        match = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        if match and int(match[1]) < len(content):
            start = int(match[1])
            place = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.reply(206, content[start:], Content_Range=place, Docker_Content_Digest=digest)
            return
        self.reply(200, content, Docker_Content_Digest=digest)

    def _manifest(self, request: Request, repository: str, reference: str) -> None:
        state = self.state
        if request.method == "PUT":
            media_type = request.headers["Content-Type"]
            missing = [digest for digest in _parts(request.body) if (repository, digest) not in state.owners]
            if missing and "config" in json.loads(request.body):
                self.refuse(400, "MANIFEST_BLOB_UNKNOWN", f"{missing[0]} isn't here")
                return
            digest = sha256(request.body)
            for name in {digest, reference}:
                state.manifests[repository, name] = (media_type, request.body)
            self.reply(201, Location=f"/v2/{repository}/manifests/{digest}", Docker_Content_Digest=digest)
            return
        found = state.manifests.get((repository, reference))
        if found is None:
            self.refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
            return
        self.reply(200, found[1], Content_Type=found[0], Docker_Content_Digest=sha256(found[1]))

    def _tags(self, request: Request, repository: str) -> None:
        tags = sorted(name for owner, name in self.state.manifests if owner == repository and ":" not in name)
        if not tags:
            self.refuse(404, "NAME_UNKNOWN", "no such repository")
            return
        last, count = request.query.get("last", [""])[0], int(request.query.get("n", ["1000"])[0])
        rest = [tag for tag in tags if tag > last]
        more = {"Link": f'</v2/{repository}/tags/list?n={count}&last={rest[:count][-1]}>; rel="next"'}
        body = json.dumps({"name": repository, "tags": rest[:count]}).encode()
        self.reply(200, body, **(more if len(rest) > count else {}))

    def _begin(self, request: Request, repository: str) -> None:
        state = self.state
        digest = request.query.get("mount", [""])[0]
        source = request.query.get("from", [""])[0]
        if digest and state.mounts and (source, digest) in state.owners:
            state.owners.add((repository, digest))
            self.reply(201, Location=f"/v2/{repository}/blobs/{digest}")
            return
        with state.lock:
            number = str(state.begun)
            state.begun += 1
            state.uploads[number] = bytearray()
        self.reply(202, Location=f"/v2/{repository}/blobs/uploads/{number}?state=kept", Range="0-0")

    def _upload(self, request: Request, repository: str, number: str) -> None:
        state = self.state
        held = state.uploads.get(number)
        if held is None or (request.method != "DELETE" and request.query.get("state") != ["kept"]):
            self.refuse(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
            return
        place = {"Location": self.path.partition("&digest=")[0], "Range": f"0-{max(len(held) - 1, 0)}"}
        if request.method == "GET":
            self.reply(204, **place)
        elif request.method == "DELETE":
            del state.uploads[number]
            self.reply(204)
        elif request.method == "PATCH":
            said = request.headers.get("Content-Range", f"{len(held)}-")
            if int(said.partition("-")[0]) != len(held):
                self.refuse(416, "BLOB_UPLOAD_INVALID", f"expected bytes from {len(held)} on")
                return
            held += request.body
            self.reply(202, Location=place["Location"], Range=f"0-{max(len(held) - 1, 0)}")
        else:
            held += request.body
            expected = request.query["digest"][0]
            del state.uploads[number]
            if sha256(bytes(held)) != expected:
                self.refuse(400, "DIGEST_INVALID", "provided digest did not match uploaded content")
                return
            state.add_blob(bytes(held), repository)
            self.reply(201, Location=f"/v2/{repository}/blobs/{expected}", Docker_Content_Digest=expected)


for _method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
    setattr(Handler, f"do_{_method}", Handler.do)


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _accesses(request: Request) -> set[str]:
    match = re.fullmatch(r"/v2/(.+)/(?:blobs|manifests|tags)/.*", request.path)
    if match is None:
        return set()
    name = match[1]
    actions = ["pull"] if request.method in ("GET", "HEAD") and "/uploads/" not in request.path else ["pull", "push"]
    found = {f"repository:{name}:{action}" for action in actions}
    if source := request.query.get("from"):
        found.add(f"repository:{source[0]}:pull")
    return found


def _parts(manifest: bytes) -> list[str]:
    document = json.loads(manifest)
    return [part["digest"] for part in [*document.get("layers", []), *filter(None, [document.get("config")])]]


# ways to fail


def answer(status: int, body: bytes = b"", **headers: str) -> Act:
    """Say this and nothing else."""
    return lambda handler: handler.reply(status, body, **headers)


def cut(after: int) -> Act:
    """Promise the whole blob, send `after` bytes of what was asked for, hang up."""

    def act(handler: Handler) -> None:
        match = _BLOB.fullmatch(urlsplit(handler.path).path)
        assert match is not None
        content = handler.state.blobs[match[2]]
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        handler.send_response(206 if asked else 200)
        if asked:
            handler.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : start + after])
        handler.close_connection = True

    return act


def endless(status: int = 200, most: int = 1 << 30) -> Act:
    """Send zeros without a length until the other side has enough, or `most` bytes."""

    def act(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        sent = 0
        with suppress(OSError):
            while sent < most:
                sent += handler.wfile.write(bytes(1 << 16))

    return act


def trickle(pause_s: float) -> Act:
    """Send one byte after the other, without an end, until the other side has enough."""

    def act(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        with suppress(OSError):
            while True:
                handler.wfile.write(b" ")
                time.sleep(pause_s)

    return act


def raw(content: bytes) -> Act:
    """Send exactly these bytes, hang up."""

    def act(handler: Handler) -> None:
        handler.close_connection = True
        with suppress(OSError):
            handler.wfile.write(content)

    return act


hang_up: Act = raw(b"")


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is what many tests are about."""


@contextmanager
def serve(state: Server | None = None, context: Any = None) -> Iterator[Server]:
    """A registry on a free port of loopback; `context` makes it speak TLS."""
    state = state or Server()
    handler = type("BoundHandler", (Handler,), {"state": state})
    server = _Quiet(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
