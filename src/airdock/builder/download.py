"""One file of a web server, to a file: what ADD and contexts fetch."""

import email.utils
import hashlib
import time
from collections.abc import Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Final
from urllib.error import HTTPError, URLError
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from airdock.builder.access import http_hint
from airdock.builder.remotes import remote_host
from airdock.errors import BuildError
from airdock.images.unpack import MAX_BYTES
from airdock.record import record

__all__ = ["Downloaded", "download"]

_CHUNK: Final = 1 << 20
_TIMEOUT_S: Final = 60
_PAUSES_S: Final = (0.5, 2.0)
"""Between one try and the next."""
_REFUSED: Final = frozenset({401, 403})
_PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})


@record
class Downloaded:
    """A file that was fetched. `mtime_s` is what Last-Modified said, None where it said nothing."""

    path: Path
    digest: str
    mtime_s: int | None


def download(
    url: str, target: Path, *, headers: Mapping[str, str] | None = None, checksum: str = "", limit: int = MAX_BYTES
) -> Downloaded:
    """Fetch a file; tries again where that may help. `headers` go to the first server only, not where it sends us.

    Raises `BuildError` for what can't be had, is larger than `limit` bytes, or isn't what `checksum` (`sha256:…`) says.
    """
    for pause in (*_PAUSES_S, None):
        try:
            found = _try(url, target, headers or {}, limit)
            break
        except HTTPError as error:
            error.close()
            reason = f"{error.code} {error.reason}"
            if error.code not in _PASSING or pause is None:
                hint = http_hint(remote_host(url)) if error.code in _REFUSED else ""
                raise BuildError(f"expected the file {url}, found: {reason}", hint=hint) from error
        except (URLError, HTTPException, OSError) as error:
            if pause is None:
                raise BuildError(f"expected to fetch {url}, found: {_reason(error)}") from error
        time.sleep(pause or 0)
    if checksum and found.digest != checksum:
        target.unlink()
        raise BuildError(f"expected {url} to have the checksum {checksum}, found {found.digest}")
    return found


def _reason(error: Exception) -> str:
    return str(error.reason) if isinstance(error, URLError) else str(error) or type(error).__name__


def _try(url: str, target: Path, headers: Mapping[str, str], limit: int) -> Downloaded:
    request = Request(url, headers={"User-Agent": "airdock", "Accept-Encoding": "identity"})  # noqa: S310 - the opener knows no other schemes
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    digest = hashlib.sha256()
    size = 0
    with _opener().open(request, timeout=_TIMEOUT_S) as answer, target.open("wb") as file:
        expected = answer.headers.get("Content-Length")
        while piece := answer.read(_CHUNK):
            size += len(piece)
            if size > limit:
                raise BuildError(f"expected a file of at most {limit:,} bytes at {url}, found more")
            digest.update(piece)
            file.write(piece)
        if expected is not None and expected.isdecimal() and int(expected) != size:
            raise URLError(f"it broke off after {size:,} of {int(expected):,} bytes")
        modified = _modified(answer)
    return Downloaded(path=target, digest=f"sha256:{digest.hexdigest()}", mtime_s=modified)


def _modified(answer: HTTPResponse) -> int | None:
    try:
        return max(0, int(email.utils.parsedate_to_datetime(answer.headers["Last-Modified"]).timestamp()))
    except (TypeError, ValueError, OverflowError):
        return None


def _opener() -> OpenerDirector:
    """Web servers and nothing else: a redirection may not lead to a file of this machine."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler,
        HTTPHandler,
        HTTPSHandler,
        HTTPDefaultErrorHandler,
        HTTPRedirectHandler,
        HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener
