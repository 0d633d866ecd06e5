"""Loads each of the example files as the server does, in a process of its own, several at a time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Loaded", "load_all"]

_LIMIT_S: Final = 60
_NO_DAG: Final = "defines no DAG"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What came of a file: `dags` maps ids to numbers of tasks; `error` is "" where it loaded."""

    name: str
    dags: dict[str, int] = field(default_factory=dict)
    error: str = ""

    @property
    def tasks(self) -> int:
        return sum(self.dags.values())


def load_all(files: Sequence[Path]) -> list[Loaded]:
    """One answer for each file, in their order."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(_load, files))


def _load(file: Path) -> Loaded:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "dags.json")
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "airdock.dag.load", str(file), "--output", str(output)],
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                cwd=folder,
            )
        except subprocess.TimeoutExpired:
            return Loaded(name=file.stem, error=f"not loaded within {_LIMIT_S} s")
        if not output.exists():
            return Loaded(name=file.stem, error=f"crashed: {done.stderr.strip().splitlines()[-1:]}")
        answer: dict[str, Any] = json.loads(output.read_text())
    error = (answer["error"] or {}).get("message", "")
    if _NO_DAG in error:
        error = ""  # which is what some files mean to do where a package is missing
    return Loaded(
        name=file.stem,
        dags={dag["dag_id"]: len(dag["tasks"]) for dag in answer["dags"]},
        error=error.splitlines()[0] if error else "",
    )
