"""One repository of a registry: manifests, blobs, tags, uploads. Source: distribution-spec 1.1."""

import hashlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import BinaryIO, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from airdock.errors import DigestError, RegistryError, UnreachableError
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import ALGORITHMS, Digest
from airdock.oci.document import load_object
from airdock.oci.media_types import DOCKER_TO_OCI, INDEX, MANIFEST, to_oci
from airdock.record import record
from airdock.remote.auth import Authorizer
from airdock.remote.base import LARGEST_MANIFEST, RemoteSettings, Tell, Transfer
from airdock.remote.challenge import parse_challenges
from airdock.remote.endpoints import Endpoint
from airdock.remote.failures import failure_of, read_warnings
from airdock.remote.http import Body, Http, Response
from airdock.remote.retry import TRANSIENT, pause_before, retry_after
from airdock.remote.upload import Upload, upload_location

__all__ = ["Document", "Repository"]

_Value = TypeVar("_Value")

_ACCEPTED: Final = ", ".join(
    [MANIFEST, INDEX, *(name for name, oci in DOCKER_TO_OCI.items() if oci in (MANIFEST, INDEX))]
)
_SCHEMA_1: Final = "application/vnd.docker.distribution.manifest.v1"
_TAGS_AT_ONCE: Final = 1000
_MOST_TAGS: Final = 1_000_000
_OK: Final = frozenset({200})
_NO_MOUNT: Final = frozenset({400, 401, 403, 404, 405})


@record
class Document:
    """A manifest or an index, as the bytes it came as."""

    content: bytes
    media_type: str
    digest: Digest


class Repository:
    """One repository at one endpoint; usable from several threads."""

    def __init__(
        self,
        *,
        registry: str,
        name: str,
        endpoint: Endpoint,
        http: Http,
        authorizer: Authorizer,
        settings: RemoteSettings,
        tell: Tell,
    ) -> None:
        self.registry = registry
        self.name = name
        self._remote_name = f"{endpoint.prefix}/{name}" if endpoint.prefix else name
        self._endpoint = endpoint
        self._http = http
        self._authorizer = authorizer
        self._settings = settings
        self._tell = tell
        self._lock = threading.Lock()
        self._base = ""
        self._given_up: RegistryError | None = None
        """Why the endpoint can't be had, once that was tried as often as it should be."""
        self._warned: set[str] = set()

    def connect(self) -> None:
        """Find out what the endpoint speaks and which login it asks for; harmless when repeated.

        Raises UnreachableError, RegistryError.
        """
        with self._lock:
            if self._base:
                return
            if self._given_up is not None:
                raise self._given_up
            failure: RegistryError | None = None
            for scheme in self._endpoint.schemes:
                base = f"{scheme}://{self._endpoint.address}"
                try:
                    is_there = self._retry(lambda base=base: self._ping(base))  # type: ignore[misc]
                except RegistryError as error:
                    failure = failure or error
                    continue
                if is_there:
                    self._base = base
                    return
            self._given_up = failure or RegistryError(
                "expected a registry, found another server: /v2/ isn't there", where=self._endpoint.address
            )
            raise self._given_up

    # reading

    def manifest(self, reference: str, *, expected: Digest | None = None) -> Document:
        """The manifest or index of a tag or digest. `expected` is what its digest has to be.

        Raises NotInRegistryError, DeniedError, DigestError.
        """
        asked = f"manifest {self.name}{'@' if ':' in reference else ':'}{reference}"
        path = f"manifests/{quote(reference, safe=':')}"

        def read() -> Document:
            with self._ask("GET", path, asked=asked, headers={"Accept": _ACCEPTED}) as response:
                self._warn(response)
                content = response.read(LARGEST_MANIFEST)
                media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
            return _document(content, media_type, expected, response.url)

        return self._retry(read)

    def manifest_digest(self, reference: str) -> Digest | None:
        """What a tag or digest stands for, without reading it; None where it isn't there or isn't said."""

        def look() -> Digest | None:
            path = f"manifests/{quote(reference, safe=':')}"
            with self._ask("HEAD", path, asked=reference, ok={200, 404}, headers={"Accept": _ACCEPTED}) as response:
                said = response.headers.get("Docker-Content-Digest") if response.status == 200 else None
                return Digest.parse(said) if said else None

        return self._retry(look)

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether a blob is there."""

        def look() -> bool:
            path = f"blobs/{descriptor.digest}"
            with self._ask("HEAD", path, asked=f"blob {descriptor.digest}", ok={200, 404}) as response:
                return response.status == 200

        return self._retry(look)

    def blob(self, descriptor: Descriptor, start: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `start` on, never more than the descriptor says; a broken download goes on.

        Whoever takes them checks the digest.
        """
        at, attempt = start, 0
        while at < descriptor.size:
            before = at
            try:
                for piece in self._blob_from(descriptor, at):
                    at += len(piece)
                    if at > descriptor.size:
                        raise DigestError(f"expected {descriptor.size} bytes of {descriptor.digest}, found more")
                    yield piece
                if at < descriptor.size:
                    raise UnreachableError(
                        f"expected {descriptor.size} bytes of {descriptor.digest}, found that it breaks off after {at}",
                        where=self._base,
                    )
            except RegistryError as error:
                attempt = 1 if at > before else attempt + 1
                self._pause(error, attempt)

    def tags(self) -> Sequence[str]:
        """All tags of the repository, in the registry's order."""
        found: list[str] = []
        path = f"tags/list?n={_TAGS_AT_ONCE}"
        while path and len(found) < _MOST_TAGS:
            page, path = self._retry(lambda path=path: self._tags(path))  # type: ignore[misc]
            found += page
        return found

    # writing

    def mount(self, descriptor: Descriptor, source: str) -> bool:
        """Take a blob over from another repository of the registry; false where it has to be sent after all."""
        query = urlencode({"mount": str(descriptor.digest), "from": source})
        scopes = [*self._scopes(writes=True), f"repository:{source}:pull"]

        def ask() -> bool:
            asked = f"blob {descriptor.digest}"
            with self._ask("POST", f"blobs/uploads/?{query}", asked=asked, ok={201, 202}, scopes=scopes) as response:
                if response.status == 202:
                    self._cancel(response)
                return response.status == 201

        try:
            return self._retry(ask)
        except RegistryError as error:
            if error.status in _NO_MOUNT:  # the other repository is none of ours, or the registry knows no such thing
                return False
            raise

    def upload(self, descriptor: Descriptor, open_blob: Callable[[], BinaryIO], moved: Callable[[int], None]) -> None:
        """Send a blob; what a broken connection cut off goes on where the registry says it is.

        `moved` hears how many bytes are there.
        """
        Upload(
            descriptor, open_blob, moved, ask=self._ask, pause=self._pause, settings=self._settings, tell=self._tell
        ).send()

    def put_manifest(self, reference: str, content: bytes, media_type: str) -> Digest:
        """Store a manifest under a tag or its digest, once all that it names is there."""
        digest = Digest(f"sha256:{hashlib.sha256(content).hexdigest()}")

        def put() -> None:
            path = f"manifests/{quote(reference, safe=':')}"
            asked = f"manifest {self.name}:{reference}"
            headers = {"Content-Type": media_type}
            with self._ask("PUT", path, asked=asked, ok={201, 202, 200}, headers=headers, body=content) as response:
                self._warn(response)
                said = response.headers.get("Docker-Content-Digest")
            if said and said != digest:
                raise DigestError(f"expected the registry to store {digest}, found {said}", where=response.url)

        self._retry(put)
        return digest

    # inside

    def _tags(self, path: str) -> tuple[list[str], str]:
        with self._ask("GET", path, asked=f"tags of {self.name}") as response:
            document = load_object(response.read(LARGEST_MANIFEST), "tags")
            link = response.headers.get("Link", "")
        tags = document.get("tags") or []
        if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
            raise RegistryError("expected a list of tags, found something else", where=response.url)
        following = ""
        if link.startswith("<") and 'rel="next"' in link and tags:
            following = "tags/list?" + urlsplit(link[1:].partition(">")[0]).query
        return tags, following

    def _blob_from(self, descriptor: Descriptor, start: int) -> Iterator[bytes]:
        headers = {"Range": f"bytes={start}-"} if start else {}
        asked = f"blob {descriptor.digest} of {self.name}"
        with self._ask("GET", f"blobs/{descriptor.digest}", asked=asked, ok={200, 206}, headers=headers) as response:
            skip = start if response.status == 200 else 0
            if response.status == 206:
                said = response.headers.get("Content-Range", "")
                if not said.startswith(f"bytes {start}-"):
                    raise RegistryError(f"expected bytes from {start} on, found {said!r}", where=response.url)
            for piece in response.pieces():
                if skip >= len(piece):
                    skip -= len(piece)
                    continue
                yield piece[skip:] if skip else piece
                skip = 0

    def _cancel(self, response: Response) -> None:
        """Give up an upload that was begun instead of a mount; that it fails is the registry's to clear up."""
        try:
            location = upload_location(response)
            with self._ask("DELETE", location, asked="an upload", ok={200, 202, 204, 404, 405}, writes=True):
                pass
        except RegistryError:
            pass

    def _ping(self, base: str) -> bool:
        with self._http.request("GET", f"{base}/v2/") as response:
            if response.status in TRANSIENT:
                raise self._transient(response)
            if response.status == 401:
                self._authorizer.expect(parse_challenges(response.all_headers("WWW-Authenticate")))
            return response.status in (200, 401)

    def _scopes(self, *, writes: bool) -> Sequence[str]:
        return [f"repository:{self._remote_name}:{'pull,push' if writes else 'pull'}"]

    def _ask(
        self,
        method: str,
        path: str,
        *,
        asked: str,
        ok: Collection[int] = _OK,
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        writes: bool = False,
        scopes: Sequence[str] = (),
    ) -> Response:
        """One request, with a login where it's asked for; any status but those in `ok` is an error."""
        self.connect()
        url = path if "://" in path else f"{self._base}/v2/{self._remote_name}/{path}"
        wanted = scopes or self._scopes(writes=writes or method == "PUT")
        is_ours = urlsplit(url).netloc == urlsplit(self._base).netloc
        said = self._authorizer.header(wanted) if is_ours else None
        start = body.file.tell() if isinstance(body, Body) else 0
        for _ in range(2):
            sent = {**(headers or {}), **({"Authorization": said} if said else {})}
            response = self._http.request(method, url, headers=sent, body=body)
            if response.status in ok:
                return response
            if response.status != 401 or not is_ours:
                break
            said = self._take_challenge(response, wanted, said)
            if said is None:
                break
            response.close()
            if isinstance(body, Body):
                body.file.seek(start)
        with response:
            if response.status in TRANSIENT:
                raise self._transient(response)
            where = self.registry if not self._endpoint.is_mirror else self._endpoint.address
            has_login = self._authorizer.has_login
            raise failure_of(response, registry=where, asked=asked, has_login=has_login)

    def _take_challenge(self, response: Response, wanted: Sequence[str], said: str | None) -> str | None:
        """What to say after a 401, None where there is nothing else to say."""
        try:
            challenges = parse_challenges(response.all_headers("WWW-Authenticate"))
            return self._authorizer.challenged(challenges, wanted, said)
        except BaseException:
            response.close()  # nobody else will
            raise

    def _transient(self, response: Response) -> RegistryError:
        error = failure_of(response, registry=self.registry, asked="an answer", has_login=True)
        wanted_s = retry_after(response.headers.get("Retry-After"))
        return _PassingError(error, wanted_s)

    def _retry(self, work: Callable[[], _Value]) -> _Value:
        attempt = 0
        while True:
            try:
                return work()
            except RegistryError as error:
                attempt += 1
                self._pause(error, attempt)

    def _pause(self, error: RegistryError, attempt: int) -> None:
        """Wait before another try, or raise what can't be mended by one."""
        if attempt > self._settings.retries or not isinstance(error, _PassingError | UnreachableError):
            raise error
        if isinstance(error.__cause__, ssl.SSLError | socket.gaierror):  # a wrong name or certificate stays wrong
            raise error
        is_new = not self._base
        if error is self._given_up or (is_new and isinstance(error.__cause__, ConnectionRefusedError)):
            raise error  # nobody is there; one who was there before may be starting again
        pause_s = pause_before(attempt, wanted_s=error.wanted_s if isinstance(error, _PassingError) else None)
        self._tell(Transfer(state="retry", text=f"{error.message}; again in {pause_s:.1f} s"))
        time.sleep(pause_s)

    def _warn(self, response: Response) -> None:
        for text in read_warnings(response):
            if text not in self._warned:
                self._warned.add(text)
                self._tell(Transfer(state="note", text=f"{self.registry} warns: {text}"))


class _PassingError(RegistryError):
    """The registry can't right now. `wanted_s` is how long it asks us to wait."""

    def __init__(self, error: RegistryError, wanted_s: float | None) -> None:
        super().__init__(error.message, where=error.where, hint=error.hint, status=error.status)
        self.wanted_s = wanted_s


def _document(content: bytes, media_type: str, expected: Digest | None, url: str) -> Document:
    algorithm = expected.algorithm if expected is not None else "sha256"
    if algorithm not in ALGORITHMS:
        raise DigestError(f"expected one of the digest algorithms {', '.join(ALGORITHMS)}, found {expected}")
    digest = Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
    if expected is not None and digest != expected:
        raise DigestError(f"expected the manifest {expected}, found {digest}", where=url)
    inside = load_object(content, "manifest").get("mediaType")
    found = inside if isinstance(inside, str) and inside else media_type
    if found.startswith(_SCHEMA_1) or (not inside and json.loads(content).get("schemaVersion") == 1):
        raise RegistryError(
            "expected an OCI or Docker schema 2 manifest, found Docker's schema 1, which is no longer safe",
            where=url,
            hint="push the image again with a tool of this decade",
        )
    if to_oci(found) not in (MANIFEST, INDEX):
        raise RegistryError(f"expected the manifest of an image, found {found or 'no media type'}", where=url)
    return Document(content=content, media_type=found, digest=digest)
