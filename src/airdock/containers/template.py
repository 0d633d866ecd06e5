"""Which monitor others come out of, so that a thousand of them share the memory of one.

AIRDOCK_HOME/run/
  template      a link to the id of the container whose monitor is forked for new ones; the first that finds none there

A fork inherits more than memory: ids, limits, cgroup, namespaces, code. So only a command in the same circumstances as
the template's own gets a fork of it, and any other a process of its own.
"""

import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

import airdock

__all__ = ["circumstances", "load_template", "save_template"]

_FILE: Final = "template"
_FACTS: Final = ("cgroup", "oom_score_adj", "loginuid")


def circumstances() -> dict[str, Any]:
    """What a fork of this process would inherit, as JSON."""
    code = Path(airdock.__file__)
    limits = [getattr(resource, name) for name in sorted(dir(resource)) if name.startswith("RLIMIT_")]
    return {
        "code": [sys.executable, str(code), airdock.__version__, _newest(code.parent)],
        "ids": [*os.getresuid(), *os.getresgid(), *sorted(os.getgroups())],
        "facts": [_read(f"/proc/self/{name}") for name in _FACTS],
        "namespaces": [_link(str(path)) for path in sorted(Path("/proc/self/ns").iterdir())],
        "limits": [list(resource.getrlimit(limit)) for limit in limits],
        "nice": os.nice(0),
        "root": _link("/proc/self/root"),
    }


def load_template(run: Path) -> Path | None:
    """The folder of the container whose monitor is to be forked; None where there is none."""
    try:
        folder = run / "containers" / run.joinpath(_FILE).readlink()
    except OSError:
        return None
    return folder if folder.is_dir() else None


def save_template(run: Path, container_id: str) -> None:
    """Have others come out of the monitor of this container."""
    temporary = run / f"{_FILE}-{os.getpid()}"
    temporary.symlink_to(container_id)
    temporary.rename(run / _FILE)


def _newest(folder: Path) -> int:
    """When the code of monitors was last changed, in nanoseconds: what they load late must go with what they have."""
    folders = [os.scandir(folder / name) for name in ("containers", "runtime", "networks")]
    return max(entry.stat().st_mtime_ns for entries in folders for entry in entries if entry.name != "__pycache__")


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
