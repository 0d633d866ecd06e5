"""What a registry client is set up with, what it tells on the way, and what it needs of whoever keeps images."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.record import record

__all__ = [
    "LARGEST_MANIFEST",
    "Credentials",
    "Login",
    "RemoteSettings",
    "Shelf",
    "Tell",
    "Transfer",
    "ignore_transfer",
]

LARGEST_MANIFEST: Final = 4 << 20
"""Bytes of the largest manifest, index or configuration that is read. Source: distribution-spec, pushing manifests."""


@record
class RemoteSettings:
    """How registries are reached.

    `mirrors` are asked first, by the registry that they mirror. `insecure` are registries (`HOST[:PORT]`) that may
    speak plain HTTP or have a certificate that nobody vouches for; loopback may always. A request that fails for a
    passing reason is made `retries` times more; `timeout_s` bounds each wait for the other side. `at_once` blobs are
    moved at one time. `certificates` are folders with a folder per `HOST[:PORT]`, as Docker's `certs.d`. `proxies` are
    the variables HTTP_PROXY, HTTPS_PROXY and NO_PROXY in lower case. `chunk_bytes` is the largest piece that a blob is
    sent in once a registry, or a proxy before it, wouldn't take it whole.
    """

    mirrors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    insecure: frozenset[str] = frozenset()
    retries: int = 4
    timeout_s: float = 30.0
    at_once: int = 4
    certificates: Sequence[Path] = ()
    proxies: Mapping[str, str] = field(default_factory=dict)
    chunk_bytes: int = 64 << 20


@record
class Login:
    """What a registry knows an account by; with `identity_token`, which the token server takes, there's no password."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)


class Credentials(Protocol):
    """Logins by registry (`HOST[:PORT]`, `docker.io` for Docker's own); None where there is none."""

    def find(self, registry: str) -> Login | None: ...


@record
class Transfer:
    """How far a blob is, or a word about it all (`digest` is empty then).

    `state` is "waiting", "moving", "done" (moved), "exists" (nothing had to be moved), "mounted" (taken over from
    another repository of the registry), "retry" or "note"; `text` says why, or what. `done` and `total` are in bytes.
    """

    digest: str = ""
    state: str
    done: int = 0
    total: int = 0
    text: str = ""


Tell = Callable[[Transfer], None]
"""Takes one `Transfer` at a time, from any thread, and comes back at once."""


class Shelf(Protocol):
    """Where images are kept: the client's view of the image store."""

    def has_layer(self, descriptor: Descriptor, diff_id: Digest) -> bool:
        """Whether a layer needn't be moved; if so it stays until the image is whole."""
        ...

    def receive(self, descriptor: Descriptor, diff_id: Digest | None, read: Callable[[int], Iterator[bytes]]) -> None:
        """Take a blob in, verified; `read(offset)` gives its bytes from there on. A layer with its diff id is unpacked.

        Raises DigestError, ImageError; then nothing of it can be seen. What `read` raises comes through.
        """
        ...

    def open(self, descriptor: Descriptor) -> BinaryIO:
        """A blob that is there, as it is stored."""
        ...


def ignore_transfer(transfer: Transfer) -> None:
    """For whoever wants to hear nothing."""
