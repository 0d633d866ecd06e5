"""Image names: `[registry/][namespace/]name[:tag][@digest]`, with Docker's short forms.

The grammar is the one of github.com/distribution/reference. `docker.io` is the registry of a name that has none, and
`library/` the namespace of its official images; both are left out when a name is shown (`familiar`).
"""

import re
from dataclasses import replace
from typing import Self

from airdock.errors import DigestError, InvalidReferenceError
from airdock.oci.digest import Digest
from airdock.oci.pattern import matches_pattern
from airdock.record import record

__all__ = [
    "DEFAULT_REGISTRY",
    "DEFAULT_TAG",
    "Reference",
    "parse_any_reference",
    "parse_exact_reference",
    "parse_reference",
    "render_reference",
]

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"

_LEGACY_REGISTRY = "index.docker.io"
_OFFICIAL = "library/"
_SHOWN = 300
_LONGEST_PATH = 255

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

_REFERENCE = re.compile(rf"((?:{_DOMAIN}/)?{_PATH})(?::({_TAG}))?(?:@({_DIGEST}))?")
_NAME = re.compile(rf"(?:({_DOMAIN})/)?({_PATH})")
_IS_TAG = re.compile(_TAG)
_IS_DIGEST = re.compile(_DIGEST)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


@record
class Reference:
    """The name of an image. `registry` is empty only when a name was read without Docker's defaults."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        return render_reference(self)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}" if self.registry else self.repository

    @property
    def familiar_name(self) -> str:
        """The name as people write it: no default registry, no `library/`."""
        if self.registry != DEFAULT_REGISTRY:
            return self.name
        short = self.repository.removeprefix(_OFFICIAL)
        return self.repository if "/" in short else short

    @property
    def familiar(self) -> str:
        """The whole reference as people write it."""
        return self.familiar_name + _suffix(self)

    def matches(self, pattern: str) -> bool:
        """Whether a shell pattern covers the familiar form, with or without tag and digest."""
        return matches_pattern(pattern, self.familiar) or matches_pattern(pattern, self.familiar_name)

    def with_tag(self, tag: str) -> Self:
        """The same image name with another tag."""
        if not _IS_TAG.fullmatch(tag):
            raise InvalidReferenceError(
                f"expected a tag of letters, digits, '_', '.' and '-', at most 128, found {tag!r}"
            )
        return replace(self, tag=tag)

    def with_digest(self, digest: Digest) -> Self:
        """The same image name pinned to a digest."""
        if not _IS_DIGEST.fullmatch(digest):
            raise InvalidReferenceError(f"expected a digest like sha256:<hex>, found {digest!r}")
        return replace(self, digest=digest)

    def with_default_tag(self) -> Self:
        """What Docker looks up: `latest` where nothing is said; a digest beats a tag."""
        if self.digest is not None:
            return replace(self, tag=None)
        return self if self.tag is not None else replace(self, tag=DEFAULT_TAG)


def parse_reference(text: str) -> Reference:
    """Read a name as Docker does: `alpine` is `docker.io/library/alpine`. The tag stays None where none is given."""
    if _IDENTIFIER.fullmatch(text):
        raise InvalidReferenceError(f"expected an image name, found {text!r}, which is an image id")
    registry, rest = _split_registry(text)
    if rest.partition(":")[0] != rest.partition(":")[0].lower():
        raise _invalid(text, "the repository has to be in lower case")
    return parse_exact_reference(f"{registry}/{rest}", shown=text)


def parse_exact_reference(text: str, *, shown: str | None = None) -> Reference:
    """Read a name by the grammar alone, with no defaults; errors quote `shown`."""
    shown = text if shown is None else shown
    match = _REFERENCE.fullmatch(text)
    if match is None:
        if not shown:
            raise InvalidReferenceError("expected an image name, found an empty text")
        if _REFERENCE.fullmatch(text.lower()):
            raise _invalid(shown, "the repository has to be in lower case")
        raise _invalid(shown, "this is no name[:tag][@digest]")
    name, tag, digest = match.groups()
    parts = _NAME.fullmatch(name)
    assert parts is not None
    if len(parts[2]) > _LONGEST_PATH:
        raise _invalid(shown, f"the repository is longer than {_LONGEST_PATH} characters")
    return Reference(registry=parts[1] or "", repository=parts[2], tag=tag, digest=_parse_digest(digest, shown))


def parse_any_reference(text: str) -> Reference | Digest:
    """Read a name, a digest, or 64 hex digits (the sha256 id of an image)."""
    if _IDENTIFIER.fullmatch(text):
        return Digest(f"sha256:{text}")
    try:
        return Digest.parse(text)
    except DigestError:
        return parse_reference(text)


def render_reference(reference: Reference) -> str:
    """The full text of a reference; `parse_reference` reads it back."""
    return reference.name + _suffix(reference)


def _suffix(reference: Reference) -> str:
    tag = f":{reference.tag}" if reference.tag is not None else ""
    digest = f"@{reference.digest}" if reference.digest is not None else ""
    return tag + digest


def _parse_digest(text: str | None, shown: str) -> Digest | None:
    if text is None:
        return None
    try:
        return Digest.parse(text)
    except DigestError as error:
        raise _invalid(shown, error.message) from error


def _split_registry(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_registry = slash and (first == "localhost" or any(sign in first for sign in ".:") or first != first.lower())
    if not is_registry:
        first, rest = DEFAULT_REGISTRY, text
    if first == _LEGACY_REGISTRY:
        first = DEFAULT_REGISTRY
    if first == DEFAULT_REGISTRY and "/" not in rest:
        rest = _OFFICIAL + rest
    return first, rest


def _invalid(text: str, reason: str) -> InvalidReferenceError:
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return InvalidReferenceError(
        f"expected an image name, found {shown!r}: {reason}",
        hint="write [registry/][namespace/]name[:tag][@digest], for example python:3.12-slim",
    )
