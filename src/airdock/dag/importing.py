"""Imports a DAG file: when it is loaded, and again in the container of each task that needs it.

Part of every task's start, so paths are text here: pathlib takes longer to import than all of this folder.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType
from zlib import crc32

from airdock.dag.dag import DAG
from airdock.dag.scope import take_registered
from airdock.errors import DagError

__all__ = ["add_import_folder", "dags_of", "find_dag", "import_dag_file", "module_name"]


def module_name(path: str) -> str:
    """The name that the module of a DAG file has everywhere, so that what it pickles can be read again."""
    stem = path.rpartition("/")[2].removesuffix(".py")
    stem = "".join(character if character.isalnum() else "_" for character in stem)
    return f"dag_{crc32(path.encode()):08x}_{stem}"


def import_dag_file(path: str) -> tuple[ModuleType, list[DAG]]:
    """Run the file and give its module and its DAGs: those opened by `with` or @dag, and those in its variables.

    Its folder can be imported from, as in Airflow, and so can `plugins` in it. Whatever the file raises comes through.
    """
    name = module_name(path)
    loader = SourceFileLoader(name, path)
    spec = spec_from_loader(name, loader)
    if spec is None:
        raise DagError(f"{path} can't be imported", where=path)
    module = module_from_spec(spec)
    take_registered()
    sys.modules[name] = module
    with _no_bytecode():
        add_import_folder(path.rpartition("/")[0])
        loader.exec_module(module)
    dags = dags_of(module)
    for each in dags:
        each.fileloc = path  # also where a function of another file made it
    return module, dags


def add_import_folder(folder: str) -> None:
    """Let DAG files import what lies in a folder, and in `plugins` there."""
    plugins = f"{folder}/plugins"
    if plugins not in sys.path and os.path.isdir(plugins):  # noqa: PTH112  see the module
        sys.path.insert(0, plugins)
    if folder not in sys.path:
        sys.path.insert(0, folder)


def dags_of(module: ModuleType) -> list[DAG]:
    """The DAGs that the file defines, each once."""
    found = take_registered()
    for value in vars(module).values():
        if isinstance(value, DAG) and not any(value is each for each in found):
            found.append(value)
    return found


def find_dag(dags: list[DAG], dag_id: str, path: str) -> DAG:
    """The one with this id."""
    for each in dags:
        if each.dag_id == dag_id:
            return each
    raise DagError(f"{path} has no DAG {dag_id!r}", where=path,
                   hint=f"it has {', '.join(each.dag_id for each in dags) or 'none'}")  # fmt: skip


@contextmanager
def _no_bytecode() -> Iterator[None]:
    """DAG folders are bound read-only, and belong to the user: no __pycache__ is written there."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = before
