"""A content digest: algorithm and lowercase hex, as the OCI image spec's descriptor page defines it."""

import re
from typing import Self

from airdock.errors import DigestError

__all__ = ["ALGORITHMS", "Digest", "digest_bytes"]

ALGORITHMS: dict[str, int] = {"sha256": 64, "sha384": 96, "sha512": 128}
"""Registered algorithms and how many hex digits each has."""

_ENCODED = re.compile(r"[a-f0-9]+")


class Digest(str):
    """`algorithm:hex`. Make one from untrusted text with `parse`; the constructor checks nothing."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The digest that `text` spells; `DigestError` when it spells none we can verify."""
        algorithm, colon, encoded = text.partition(":")
        if not colon:
            raise DigestError(f"expected a digest like sha256:<64 hex digits>, found {text!r}")
        length = ALGORITHMS.get(algorithm)
        if length is None:
            raise DigestError(f"expected one of the digest algorithms {', '.join(ALGORITHMS)}, found {algorithm!r}")
        if len(encoded) != length or not _ENCODED.fullmatch(encoded):
            raise DigestError(f"expected {length} lowercase hex digits after {algorithm}:, found {encoded!r}")
        return cls(text)

    @property
    def algorithm(self) -> str:
        return self.partition(":")[0]

    @property
    def hex(self) -> str:
        return self.partition(":")[2]

    @property
    def short(self) -> str:
        """The first twelve hex digits, as people write image ids."""
        return self.hex[:12]


def digest_bytes(content: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of `content`."""
    import hashlib  # links OpenSSL, which takes a short command 3 ms

    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")
