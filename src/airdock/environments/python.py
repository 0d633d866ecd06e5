"""The Pythons of this machine: where they are, and what each says of itself.

What an interpreter said is remembered under its file's identity, so that it is asked once and not by every command.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from airdock.errors import EnvironmentFailedError
from airdock.files import save_json
from airdock.record import record

__all__ = ["PROBE", "Interpreter", "Pythons", "parse_version"]

PROBE: Final = (
    "import sys,json;print(json.dumps({'path':getattr(sys,'_base_executable',None) or sys.executable,"
    "'version':list(sys.version_info[:3]),'prefix':sys.base_prefix,"
    "'abi':sys.implementation.cache_tag+getattr(sys,'abiflags','')}))"
)
"""What an interpreter is asked; runs on every Python from 3.3 up."""

_PROBE_S: Final = 20
_NAME: Final = re.compile(r"python3\.\d+")
_VERSION: Final = re.compile(r"3(\.\d+){1,2}")
_HOMES: Final = (".pyenv/versions/*/bin", ".local/share/uv/python/*/bin", ".local/bin", ".asdf/installs/python/*/bin")
_SYSTEM: Final = ("/usr/bin", "/usr/local/bin", "/opt/python/*/bin")


@record
class Interpreter:
    """One installed Python. `path` is the real program, never a virtual environment's; `prefix` holds its library."""

    path: str
    version: tuple[int, int, int]
    prefix: str
    abi: str

    @property
    def series(self) -> str:
        """Its version as people ask for it: "3.9"."""
        return f"{self.version[0]}.{self.version[1]}"

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """The answer to `PROBE`. ValueError for anything else."""
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"expected an object, found {text!r}")
        return cls.from_dict(value)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        major, minor, micro = value["version"]
        return cls(
            path=value["path"],
            version=(major, minor, micro),
            prefix=value["prefix"].rstrip("/") or "/",
            abi=value["abi"],
        )

    @classmethod
    def current(cls) -> Self:
        """The Python that runs this process."""
        return cls(
            path=os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
            version=sys.version_info[:3],
            prefix=sys.base_prefix,
            abi=(sys.implementation.cache_tag or "") + getattr(sys, "abiflags", ""),
        )


def parse_version(text: str) -> tuple[int, ...]:
    """The version that `python=` asks for: "3.9" or "3.9.18". EnvironmentFailedError for anything else."""
    if not _VERSION.fullmatch(text):
        raise EnvironmentFailedError(
            f"expected python to be a version such as '3.9', found {text!r}", hint="python='3.9'"
        )
    return tuple(int(part) for part in text.split("."))


class Pythons:
    """Looks for interpreters: on PATH, in `search`, where pyenv, uv and asdf put them, and in the system's folders.

    `memory` is a file of remembered answers. A folder in `search` may hold programs, an installation, or several.
    """

    def __init__(self, *, memory: Path, home: Path, path: str, search: Sequence[str] = ()) -> None:
        self._memory = memory
        self._home = home
        self._path = path
        self._search = search
        self._known: dict[str, Any] | None = None
        self._is_changed = False

    def find(self, version: str) -> Interpreter:
        """The first interpreter of that version ("3.9" or "3.9.18"). EnvironmentFailedError if there is none."""
        wanted = parse_version(version)
        series = f"python{wanted[0]}.{wanted[1]}"
        own = Interpreter.current()
        if own.version[: len(wanted)] == wanted:
            return own
        try:
            for program in self._programs(series):
                found = self._ask(program)
                if found is not None and found.version[: len(wanted)] == wanted:
                    return found
            others = ", ".join(sorted({each.series for each in self.all()}, key=parse_version))
        finally:
            self._save()
        raise EnvironmentFailedError(
            f"expected a Python {version} on this machine, found {others or 'none'}",
            hint="install it, or name its folder in environments.python_search",
        )

    def all(self) -> list[Interpreter]:
        """One interpreter of each series, the oldest first; the server's own is the one of its series."""
        found = {(own := Interpreter.current()).series: own}
        try:
            for program in self._programs("python3.*"):
                if _NAME.fullmatch(program.name) and program.name.removeprefix("python") not in found:
                    interpreter = self._ask(program)
                    if interpreter is not None and interpreter.version >= (3, 7):
                        found.setdefault(interpreter.series, interpreter)
        finally:
            self._save()
        return sorted(found.values(), key=lambda interpreter: interpreter.version)

    def _programs(self, name: str) -> Iterator[Path]:
        seen: set[Path] = set()
        for folder in self._folders():
            if folder not in seen and folder.name != "shims":  # slow scripts; what they stand for is found beside them
                seen.add(folder)
                yield from _glob(folder, name)

    def _folders(self) -> Iterator[Path]:
        yield from (Path(folder) for folder in self._path.split(os.pathsep) if folder.startswith("/"))
        for text in self._search:
            yield from (Path(text), Path(text) / "bin", *_glob(Path(text), "*/bin"))
        for pattern in _HOMES:
            yield from _glob(self._home, pattern)
        for pattern in _SYSTEM:
            yield from _glob(Path("/"), pattern.lstrip("/"))

    def _ask(self, program: Path) -> Interpreter | None:
        """What the program says of itself; None where it isn't a Python that runs here."""
        try:
            status = program.stat()
        except OSError:
            return None
        identity = [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns]
        known = self._load().get(str(program))
        if known and known[0] == identity:
            return Interpreter.from_dict(known[1]) if known[1] else None
        found = _probe(program)
        self._load()[str(program)] = [identity, found.to_dict() if found else None]
        self._is_changed = True
        return found

    def _load(self) -> dict[str, Any]:
        if self._known is None:
            try:
                self._known = json.loads(self._memory.read_bytes())
            except (OSError, ValueError):
                self._known = {}
        assert self._known is not None
        return self._known

    def _save(self) -> None:
        if self._is_changed:
            self._is_changed = False
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            save_json(self._memory, self._known, durable=False)


def _glob(folder: Path, pattern: str) -> list[Path]:
    """What is there, as far as this account may look."""
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []


def _probe(program: Path) -> Interpreter | None:
    try:
        answer = subprocess.run(
            [program, "-I", "-S", "-c", PROBE], capture_output=True, timeout=_PROBE_S, check=True, env={}
        )
        found = Interpreter.parse(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError):
        return None
    # What answered may be a script, or a link, or a virtual environment.
    return Interpreter.from_dict({**found.to_dict(), "path": os.path.realpath(found.path)})
