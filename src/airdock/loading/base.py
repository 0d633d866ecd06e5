"""The contract of where a DAG file is run in order to be read."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from airdock.model.mount import Mount

__all__ = ["Load"]


class Load(Protocol):
    """Runs `argv` with `env` over ours where a DAG file may run, and gives its exit code.

    `place` is what it sees of where the DAG file lies, `output` the folder it may write to; `inside(output)` is the
    latter's path as it sees it. Every line that it prints is told to `tell`. Raises TimeoutError after `limit_s`, with
    everything of it killed.
    """

    def inside(self, output: Path) -> str: ...

    def clear(self, output: Path) -> None:
        """Remove the folder, whatever the file's code made in it."""

    def __call__(
        self,
        argv: list[str],
        *,
        env: Mapping[str, str],
        place: Sequence[Mount],
        output: Path,
        tell: Callable[[str], None],
        limit_s: float,
    ) -> int: ...
