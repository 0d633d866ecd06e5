"""One blob on its way to a registry: in one piece, or in smaller ones where that is too large for somebody on the way.

Source: distribution-spec, pushing blobs.
"""

from collections.abc import Callable, Collection, Mapping
from typing import BinaryIO, Final, Protocol
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from airdock.errors import RegistryError
from airdock.oci.descriptor import Descriptor
from airdock.remote.base import RemoteSettings, Tell, Transfer
from airdock.remote.http import Body, Response

__all__ = ["Ask", "Upload", "upload_location"]

_LOST: Final = frozenset({400, 404, 416})
"""What a registry answers that can't go on with an upload."""
_TOO_LARGE: Final = 413
_LEAST_CHUNK: Final = 256 << 10
_SMALLER: Final = 8
"""By how much a piece shrinks that was too large: from 64 MiB it takes three tries to the 1 MiB that nginx lets by."""
_BYTES: Final = {"Content-Type": "application/octet-stream"}


class Ask(Protocol):
    """`Repository._ask`: one request, with a login where it's asked for."""

    def __call__(
        self,
        method: str,
        path: str,
        *,
        asked: str,
        ok: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Body | bytes | None = None,
        writes: bool = False,
    ) -> Response: ...


class Upload:
    """Sends one blob. `pause` waits before another try, or raises what can't be mended by one."""

    def __init__(
        self,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        moved: Callable[[int], None],
        *,
        ask: Ask,
        pause: Callable[[RegistryError, int], None],
        settings: RemoteSettings,
        tell: Tell,
    ) -> None:
        self._descriptor = descriptor
        self._asked = f"blob {descriptor.digest}"
        self._open = open_blob
        self._moved = moved
        self._ask = ask
        self._pause = pause
        self._settings = settings
        self._tell = tell
        self._location = ""
        self._least = _LEAST_CHUNK
        self._chunk = 0

    def send(self) -> None:
        """Send it until it's there. Raises RegistryError."""
        attempt = 0
        while True:
            is_resumed = bool(self._location)
            try:
                with self._open() as file:
                    if is_resumed:
                        self._go_on(file, self._ask_where())
                    else:
                        self._begin()
                        self._go_on(file, 0)
                return
            except RegistryError as error:
                if error.status == _TOO_LARGE and self._shrink():
                    self._location = ""
                    continue
                attempt += 1
                is_lost = is_resumed and error.status in _LOST
                if not is_lost or attempt > self._settings.retries:
                    self._pause(error, attempt)
                if error.status:  # it answered: what it has may be anything
                    self._location = ""

    def _shrink(self) -> bool:
        """Send smaller pieces from now on; false where they are as small as can be."""
        before = self._chunk or self._descriptor.size
        after = max(min(before // _SMALLER, self._settings.chunk_bytes), self._least)
        if after >= before:
            return False
        self._chunk = after
        text = f"a body of {before:,} bytes was too large; again in pieces of {after:,}"
        self._tell(Transfer(state="retry", text=text))
        return True

    def _begin(self) -> None:
        with self._ask("POST", "blobs/uploads/", asked=self._asked, ok={202}, writes=True) as response:
            self._location = upload_location(response)
            least = response.headers.get("OCI-Chunk-Min-Length", "")
            if least.isascii() and least.isdigit() and len(least) < 12:
                self._least = max(int(least), 1)

    def _ask_where(self) -> int:
        """How many bytes the registry has of an upload that broke off."""
        with self._ask("GET", self._location, asked=self._asked, ok={204, 202}, writes=True) as response:
            said = response.headers.get("Range", "")
            if response.headers.get("Location"):
                self._location = upload_location(response)
        _, dash, last = said.removeprefix("bytes=").partition("-")
        start = int(last) + 1 if dash and last.isdigit() and said != "0-0" else 0
        if not 0 < start < self._descriptor.size:
            message = f"expected to go on with {self._asked}, found it at {said!r}"
            raise RegistryError(message, status=416)
        self._moved(start)
        return start

    def _go_on(self, file: BinaryIO, start: int) -> None:
        """Send what is behind `start`, and close the upload."""
        size = self._descriptor.size
        while start < size and (start or self._chunk):
            end = min(start + (self._chunk or size), size)
            file.seek(start)
            headers = {**_BYTES, "Content-Range": f"{start}-{end - 1}"}
            body = Body(file, end - start)
            where = self._location
            with self._ask(
                "PATCH", where, asked=self._asked, ok={202}, headers=headers, body=body, writes=True
            ) as response:
                self._location = upload_location(response)
            start = end
            self._moved(start)
        parts = urlsplit(self._location)
        query = "&".join(filter(None, [parts.query, urlencode({"digest": str(self._descriptor.digest)})]))
        url = urlunsplit(parts._replace(query=query))
        file.seek(start)
        rest = Body(file, size - start) if start < size else b""
        with self._ask("PUT", url, asked=self._asked, ok={201, 204}, headers=_BYTES, body=rest, writes=True):
            self._moved(size)


def upload_location(response: Response) -> str:
    """Where an upload goes on. Raises RegistryError where it isn't said."""
    location = response.headers.get("Location")
    if not location:
        raise RegistryError("expected to hear where to send it, found no Location", where=response.url)
    return urljoin(response.url, location)
