"""Which Python versions a DAG file may ask for on this machine.

Part of every task's start, so it does without pathlib, which takes longer to import than all of this folder.
"""

import os
import re
from typing import Final

from airdock.dag.environ import PYTHONS_VARIABLE

__all__ = ["find_pythons"]

_NAME: Final = re.compile(r"python(3\.\d+)")


def find_pythons() -> tuple[str, ...]:
    """Versions like "3.9", oldest first, for which `@task(python=…)` finds an interpreter."""
    told = os.environ.get(PYTHONS_VARIABLE)
    if told is not None:
        versions = {each.strip() for each in told.split(",") if each.strip()}
    else:
        folders = [each for each in os.environ.get("PATH", "").split(os.pathsep) if os.path.isdir(each)]  # noqa: PTH112  see above
        names = (name for folder in folders for name in os.listdir(folder))  # noqa: PTH208  see above
        versions = {match[1] for name in names if (match := _NAME.fullmatch(name))}
    return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))
