"""Imports a DAG file: when it is loaded, and again in the container of each task that needs it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType
from zlib import crc32

from airdock.dag.dag import DAG
from airdock.dag.scope import take_registered
from airdock.errors import DagError

__all__ = ["dags_of", "find_dag", "import_dag_file", "module_name"]


def module_name(path: Path) -> str:
    """The name that the module of a DAG file has everywhere, so that what it pickles can be read again."""
    stem = "".join(character if character.isalnum() else "_" for character in path.stem)
    return f"dag_{crc32(str(path).encode()):08x}_{stem}"


def import_dag_file(path: Path | str) -> tuple[ModuleType, list[DAG]]:
    """Run the file and give its module and its DAGs: those opened by `with` or @dag, and those in its variables.

    Its folder can be imported from, as in Airflow. Whatever the file raises comes through as it is.
    """
    path = Path(path)
    name = module_name(path)
    loader = SourceFileLoader(name, str(path))
    spec = spec_from_loader(name, loader)
    if spec is None:
        raise DagError(f"{path} can't be imported", where=str(path))
    module = module_from_spec(spec)
    take_registered()
    sys.modules[name] = module
    with _no_bytecode():
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        loader.exec_module(module)
    return module, dags_of(module)


def dags_of(module: ModuleType) -> list[DAG]:
    """The DAGs that the file defines, each once."""
    found = take_registered()
    for value in vars(module).values():
        if isinstance(value, DAG) and not any(value is each for each in found):
            found.append(value)
    return found


def find_dag(dags: list[DAG], dag_id: str, path: Path | str) -> DAG:
    """The one with this id."""
    for each in dags:
        if each.dag_id == dag_id:
            return each
    raise DagError(f"{path} has no DAG {dag_id!r}", where=str(path),
                   hint=f"it has {', '.join(each.dag_id for each in dags) or 'none'}")  # fmt: skip


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """DAG folders are bound read-only, and belong to the user: no __pycache__ is written there."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
