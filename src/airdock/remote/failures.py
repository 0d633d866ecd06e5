"""What a registry answers that isn't what was asked for, as errors that say whose fault it is and what to do.

Source: distribution-spec, error codes.
"""

import json
from typing import Any, Final

from airdock.errors import DeniedError, NotInRegistryError, RegistryError
from airdock.remote.http import Response

__all__ = ["failure_of", "read_warnings"]

_LARGEST: Final = 64 << 10
_LONGEST: Final = 300
_MISSING: Final = frozenset({"NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})


def failure_of(response: Response, *, registry: str, asked: str, has_login: bool) -> RegistryError:
    """The error for an answer with a status that says no. `asked` is what for: `manifest team/app:1`."""
    codes, said = _read(response)
    what = f"{response.status}{f' {said}' if said else ''}"
    if response.status in (401, 403) or codes & {"UNAUTHORIZED", "DENIED"}:
        hint = (
            f"the account of airdock image login {registry} may not; or there is no such repository"
            if has_login
            else f"airdock image login {registry}; or there is no such repository"
        )
        message = f"expected {registry} to allow {asked}, found that it doesn't: {what}"
        return DeniedError(message, where=response.url, hint=hint, status=response.status)
    if response.status == 404 and (codes & _MISSING or not codes):
        message = f"expected {asked} in {registry}, found none"
        return NotInRegistryError(message, where=response.url, hint="check name and tag", status=404)
    if response.status == 429:
        hint = "wait, or log in: an account of its own is often allowed more"
        message = f"expected {registry} to answer, found that it has enough of us for now: {what}"
        return RegistryError(message, where=response.url, hint=hint, status=429)
    return RegistryError(
        f"expected {registry} to take {asked}, found: {what}", where=response.url, status=response.status
    )


def read_warnings(response: Response) -> list[str]:
    """What the registry wants its users to know. Source: distribution-spec, warnings."""
    found = []
    for header in response.all_headers("Warning"):
        code, _, rest = header.partition(" ")
        agent, _, text = rest.partition(" ")
        text = text.strip()
        if code == "299" and agent == "-" and text.startswith('"') and text.endswith('"') and text.isprintable():
            found.append(text[1:-1].replace('\\"', '"')[:_LONGEST])
    return found


def _read(response: Response) -> tuple[set[str], str]:
    """Codes and messages of the answer's body; the start of the text where it's another."""
    try:
        content = response.read(_LARGEST)
    except RegistryError:
        return set(), ""
    try:
        errors: Any = json.loads(content)["errors"]
        codes = {str(error.get("code", "")) for error in errors}
        said = "; ".join(_one(error) for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set(), _shown(content.decode(errors="replace"))
    return codes, _shown(said)


def _one(error: dict[str, Any]) -> str:
    message = str(error.get("message", ""))
    detail = error.get("detail")
    return f"{message} ({detail})" if isinstance(detail, str) and detail else message or str(error.get("code", ""))


def _shown(text: str) -> str:
    """On one line, and nothing that a terminal could take for orders."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:_LONGEST]
