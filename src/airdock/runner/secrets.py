"""Which of the answers to a task are secrets, and how they are kept out of its log."""

import dataclasses
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from airdock.model.outcome import Ending, Failed, Skipped

__all__ = ["SHOWN", "Mask", "find_secrets", "is_sensitive"]

SHOWN: Final = "***"
_LEAST: Final = 5
"""Characters of a secret that is hidden: shorter ones stand in too many words."""
_WORDS: Final = (
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "keyfile_dict",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "service_account",
    "token",
)


def is_sensitive(name: str) -> bool:
    """Whether what has this name is a secret, as Airflow judges it."""
    lowered = name.strip().lower()
    return any(word in lowered for word in _WORDS)


def find_secrets(request: Mapping[str, Any], value: Any) -> Iterator[str]:
    """The secrets in the answer to a request, or in the request itself where a task asks for something to be hidden."""
    match request.get("op"):
        case "mask":
            yield from _texts(request.get("secret"))
        case "variable" if isinstance(value, str):
            if is_sensitive(str(request.get("name"))):
                yield value
            yield from _within(_read(value))
        case "connection" if isinstance(value, Mapping):
            yield from _texts(value.get("password"))
            extra = value.get("extra")
            yield from _within(_read(extra) if isinstance(extra, str) else extra)


def _within(value: Any, *, sensitive: bool = False) -> Iterator[str]:
    """The texts below sensitive names."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _within(each, sensitive=sensitive or is_sensitive(str(name)))
    elif isinstance(value, list):
        for each in value:
            yield from _within(each, sensitive=sensitive)
    elif sensitive:
        yield from _texts(value)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


class Mask:
    """Hides what it was given, in lines and in what a task says of its end. Any thread may add."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._pattern: re.Pattern[bytes] | None = None

    def add(self, secrets: Iterable[str]) -> None:
        """Hide these from now on: as they are, line by line, and as URLs, JSON and Python write them."""
        lines = {line for secret in secrets for line in secret.splitlines()}
        written = {form for line in lines for form in _forms(line) if len(line) >= _LEAST}
        if written <= self._known:
            return
        known = self._known | written
        longest = sorted(known, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(re.escape(each.encode("utf-8", "surrogatepass")) for each in longest))
        self._known = known

    def line(self, line: bytes) -> bytes:
        return line if self._pattern is None else self._pattern.sub(SHOWN.encode(), line)

    def text(self, text: str) -> str:
        return self.line(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def ending(self, ending: Ending) -> Ending:
        """The ending with its reason as it may be shown."""
        if self._pattern is None or not isinstance(ending, Failed | Skipped):
            return ending
        return dataclasses.replace(ending, reason=self.text(ending.reason))


def _forms(text: str) -> set[str]:
    return {text, quote(text), quote(text, safe=""), json.dumps(text)[1:-1], repr(text)[1:-1]}
