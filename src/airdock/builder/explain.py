"""Why a step wasn't cached: what went into it, held against what went into it when the same Dockerfile was built last.

cache/inputs/<key of Dockerfile and target>    JSON: stage → position in it → name of an input → value

Files are remembered by short digests, so that it can be said which of them changed.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from airdock.builder.cache import keep_newest
from airdock.files import save_json

__all__ = ["Journal"]

_SHOWN: Final = 3
_LONGEST: Final = 60
_MOST_FILES: Final = 20_000
_MOST_RECORDS: Final = 200


class Journal:
    """The inputs of one build's steps; safe for its threads. `name` says which builds are compared."""

    def __init__(self, *, folder: Path, name: str) -> None:
        self._path = folder / hashlib.sha256(name.encode()).hexdigest()
        self._before: dict[str, dict[str, Any]] | None = None
        self._now: dict[str, dict[str, Any]] = {}
        self._changed = False
        self._lock = threading.Lock()

    def begin(self, stage: str, *, base: str, layers: list[str]) -> None:
        """A stage begins on a base."""
        with self._lock:
            self._now.setdefault(stage, {})["0"] = {"base": base, "layers": layers}

    def note(self, stage: str, position: int, inputs: Mapping[str, Any], *, hit: bool) -> None:
        """A step's inputs, as JSON values, and whether it was known."""
        files = inputs.get("files")
        if files is not None and len(files) > _MOST_FILES:
            inputs = {**inputs, "files": None}
        with self._lock:
            self._changed |= not hit
            self._now.setdefault(stage, {})[str(position)] = json.loads(json.dumps(inputs))

    def save(self) -> None:
        """Remember it all for the next build; nothing to do where everything was known."""
        if not self._changed:
            return
        self._load()  # what other stages had stays, as another target may need it
        self._path.parent.mkdir(parents=True, exist_ok=True)
        save_json(self._path, {**(self._before or {}), **self._now}, durable=False)
        keep_newest(self._path.parent, _MOST_RECORDS)

    def reasons(self, stage: str, position: int) -> list[str]:
        """Why a step that was noted has to be done, in words."""
        with self._lock:
            before = self._load().get(stage, {})
            now = self._now.get(stage, {})
        old, new = before.get(str(position)), now.get(str(position), {})
        if old is None:
            return ["nothing is known of an earlier build of this step"]
        return list(_compare(old, new, before.get("0", {}), now.get("0", {}))) or [
            "its layer is no longer in the cache, or the cache wasn't asked"
        ]

    def _load(self) -> dict[str, dict[str, Any]]:
        if self._before is None:
            try:
                found = json.loads(self._path.read_bytes())
            except (OSError, ValueError):
                found = {}
            self._before = found if isinstance(found, dict) else {}
        return self._before


def _compare(
    old: Mapping[str, Any], new: Mapping[str, Any], old_base: Mapping[str, Any], new_base: Mapping[str, Any]
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        match name:
            case "files":
                yield from _files(before or {}, after or {})
            case "env":
                yield from _variables(before or [], after or [])
            case "layers" if old_base != new_base:
                yield f"the base image {new_base.get('base', '')} changed"
            case "layers":
                yield "an earlier step of the stage made something else"
            case "argv":
                yield f"the command was {_show(before)}"
            case "source":
                yield f"the files of {new.get('from', 'the other stage')} changed"
            case _:
                yield f"{name} was {_show(before)}, is {_show(after)}"


def _files(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    said = {
        "changed": [path for path in after if path in before and before[path] != after[path]],
        "is new": [path for path in after if path not in before],
        "is gone": [path for path in before if path not in after],
    }
    for what, paths in said.items():
        for path in sorted(paths)[:_SHOWN]:
            yield f"/{path} {what}"
        if len(paths) > _SHOWN:
            yield f"and {len(paths) - _SHOWN} more that {what.replace('is', 'are')}"


def _variables(before: list[str], after: list[str]) -> Iterator[str]:
    old, new = (dict(entry.partition("=")[::2] for entry in entries) for entries in (before, after))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            yield f"{name} was {_show(old.get(name))}, is {_show(new.get(name))}"


def _show(value: Any) -> str:
    if value is None:
        return "not there"
    text = value if isinstance(value, str) else json.dumps(value)
    return repr(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!r}…"
