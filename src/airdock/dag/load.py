"""Loads a DAG file and writes what it defines: `python -m airdock.dag.load FILE --output OUT.json [--root FOLDER]`.

Runs in a container of its own, because it runs what a user wrote; whoever starts it bounds its time. The file may
import from FOLDER too. OUT.json is `{"dags": [SerializedDag, …], "error": null}`, or has no DAGs and the error as
AirdockError.to_dict() gives it. What the file prints goes to standard error. Standard input may have what it asks for:
`{"variables": {name: text}, "environment": {NAME: text}, "connections": {id: fields}}`.
"""

import importlib
import json
import os
import sys
import traceback
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from airdock.dag.context import set_load_time_answers
from airdock.dag.dag import DAG, DagFunction
from airdock.dag.importing import add_import_folder, import_dag_file
from airdock.dag.pythons import find_pythons
from airdock.dag.serialize import arguments_without_effect, serialize_dag
from airdock.dag.serialized import SerializedDag
from airdock.errors import AirdockError, DagError, DagFileError
from airdock.files import save_json

__all__ = ["answer", "find_dag_file", "load_dag_file", "main", "what_was_given"]

_BROUGHT: Final = ("babel", "httpx", "requests", "yaml")
"""Libraries of the extra `airflow`."""
_COMPAT: Final = "airdock.compat"
"""Airflow's names. The layer above this folder, so it is plugged in by name: without it Airdock's own still work."""
_SCHEDULER: Final = "airdock.scheduler.timetables"
"""What a timetable means, likewise: a schedule that nothing can be made of is the file's mistake."""


def load_dag_file(path: Path, *, root: Path | None = None) -> list[SerializedDag]:
    """The DAGs of a file, or of the one DAG file of a folder, in the order in which they were written.

    What lies in `root`, or in the file's folder, can be imported, and what lies in `plugins` there.
    Raises DagFileError when the file can't be read or run, and the other DagErrors for what it defines.
    """
    file = find_dag_file(path.absolute())
    importlib.import_module(_COMPAT).install()
    if root is not None:
        add_import_folder(str(root))
    module, dags = _import(file)
    if not dags:
        raise _no_dag(file, vars(module))
    _check_ids(dags)
    for each in dags:
        for sentence in arguments_without_effect(each):
            sys.stderr.write(sentence + "\n")
    return [_serialize(each, file) for each in dags]


def find_dag_file(path: Path) -> Path:
    """The file itself, or the only one in the folder whose text has "dag" and airdock or airflow in it."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise DagFileError(f"there is no DAG file {path}", where=str(path))
    found = [each for each in sorted(path.glob("*.py")) if _looks_like_dag_file(each)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise DagFileError(f"expected one DAG file in {path}, found none", where=str(path),
                           hint="a DAG file ends in .py and imports airdock or airflow")  # fmt: skip
    raise DagFileError(f"expected one DAG file in {path}, found {len(found)}: "
                       + ", ".join(each.name for each in found),
                       where=str(path), hint=f"name the file: {found[0]}")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; exit code 1 when the file couldn't be loaded."""
    parser = ArgumentParser(prog="python -m airdock.dag.load")
    parser.add_argument("file", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--root", type=Path)
    options = parser.parse_args(arguments)
    result = answer(options.file, root=options.root)
    save_json(options.output, result, durable=False)
    return 1 if result["error"] else 0


def answer(path: Path, *, root: Path | None) -> dict[str, Any]:
    """What OUT.json is to have."""
    try:
        with what_was_given():
            return {"dags": [each.to_dict() for each in load_dag_file(path, root=root)], "error": None}
    except AirdockError as error:
        return {"dags": [], "error": error.to_dict()}


def _serialize(dag: DAG, file: Path) -> SerializedDag:
    serialized = serialize_dag(dag, loader=_loader(file))
    try:
        importlib.import_module(_SCHEDULER).check_timetable(serialized.timetable)
    except DagError as error:
        raise DagError(f"the schedule of DAG {dag.dag_id!r}: {error.message}", where=dag.where,
                       hint=error.hint or error.where) from error  # fmt: skip
    return serialized


@contextmanager
def what_was_given() -> Iterator[None]:
    """Let the file ask for what standard input has."""
    set_load_time_answers(_answer)
    try:
        yield
    finally:
        set_load_time_answers(None)


def _answer(op: str, **asked: str) -> Any:
    """What standard input has of variables and connections; it is read when the file asks for the first."""
    given = _given()
    if op == "variable":
        name = asked["name"]
        return given.get("environment", {}).get(name.upper(), given.get("variables", {}).get(name))
    return given.get("connections", {}).get(asked["conn_id"])


@lru_cache(maxsize=1)
def _given() -> dict[str, Any]:
    text = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read()
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def _import(file: Path) -> tuple[Any, list[DAG]]:
    """Import the file; whatever it raises becomes a DagFileError that shows the file's own line."""
    try:
        return import_dag_file(str(file))
    except AirdockError as error:
        if not error.where:
            error.where = _place(error, file)[0]
        raise
    except SyntaxError as error:
        raise _syntax_error(error, file) from error
    except (Exception, SystemExit) as error:
        place, line = _place(error, file)
        name, text = type(error).__name__, str(error)
        raise DagFileError(
            f"{file.name} can't be loaded: {name}{': ' + text if text else ''}" + (f" (at `{line}`)" if line else ""),
            where=place,
            hint=_hint(error),
        ) from error


def _syntax_error(error: SyntaxError, file: Path) -> DagFileError:
    line = (error.text or "").rstrip()
    stripped = line.lstrip()
    column = max(0, (error.offset or 1) - 1 - (len(line) - len(stripped)))
    return DagFileError(
        f"syntax error: {error.msg}" + (f"\n    {stripped}\n    {' ' * column}^" if stripped else ""),
        where=f"{error.filename or file}:{error.lineno or 1}",
    )


def _place(error: BaseException, file: Path) -> tuple[str, str]:
    """`file:line` and the text of the last line of the DAG file that was running."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if each.filename == str(file)]
    return (f"{file}:{frames[-1].lineno}", frames[-1].line or "") if frames else (str(file), "")


def _hint(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in _BROUGHT:
        return f"Airflow brings {error.name} along; so does pip install 'airdock[airflow]'"
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith(("airflow", "airdock")):
        return (
            f"DAG files are loaded by the server's Python, {sys.executable}, which has no {error.name}; "
            "import it inside of the task's function and give the task requirements="
        )
    if isinstance(error, SystemExit):
        return "a DAG file is imported, so it mustn't exit"
    return ""


def _no_dag(file: Path, variables: dict[str, Any]) -> DagFileError:
    uncalled = [each for each in variables.values() if isinstance(each, DagFunction) and not each.called]
    if uncalled:
        name = uncalled[0].__name__
        return DagFileError(f"{file.name} defines no DAG: the @dag function {name!r} is never called",
                            where=uncalled[0].where, hint=f"add a line `{name}()` at the end of the file")  # fmt: skip
    return DagFileError(f"{file.name} defines no DAG", where=str(file),
                        hint="expected `with DAG(…):`, or a @dag function and a call of it")  # fmt: skip


def _check_ids(dags: list[DAG]) -> None:
    seen: dict[str, DAG] = {}
    for each in dags:
        if each.dag_id in seen:
            raise DagError(f"DAG id {each.dag_id!r} is used twice", where=each.where,
                           hint=f"the first is at {seen[each.dag_id].where}")  # fmt: skip
        seen[each.dag_id] = each


def _loader(file: Path) -> dict[str, Any]:
    """What the runner needs to import the file once more just as here."""
    paths = [str(Path(each).absolute()) for each in sys.path if each]
    return {"fileloc": str(file), "paths": paths, "pythons": ",".join(find_pythons())}


def _looks_like_dag_file(path: Path) -> bool:
    text = path.read_text(encoding="utf-8", errors="replace").lower()
    return "dag" in text and ("airdock" in text or "airflow" in text)


if __name__ == "__main__":
    os.dup2(2, 1)  # what the file and the programs that it starts print is for people, not for OUT.json's reader
    sys.exit(main())
