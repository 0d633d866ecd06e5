"""Takes a function out of its file, with what it names, so that it can run where the file isn't.

Along go the imports, constants, functions and classes of the module that the function names, directly or through one
another. Each stands in the same line as in its file, so tracebacks tell the truth. Type annotations stay in the text
but drag nothing along, save what classes look up in the standard library: the runner compiles with `annotations` from
the future.
"""

import ast
import builtins
import inspect
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from airdock.dag.plain import changed_since, computed_part
from airdock.dag.source_file import Binding, SourceFile, class_annotations, global_names, read_source
from airdock.errors import NotPortableError
from airdock.record import record

__all__ = ["STAND_IN", "Portable", "extract"]

STAND_IN: Final = frozenset(
    {
        "AirflowException",
        "AirflowFailException",
        "AirflowSensorTimeout",
        "AirflowSkipException",
        "AirflowTaskTerminated",
        "AirflowTaskTimeout",
        "Asset",
        "AssetAlias",
        "BaseHook",
        "Connection",
        "Context",
        "Dataset",
        "Metadata",
        "Variable",
        "get_current_context",
    }
)
"""The names of `airdock.sdk` and `airflow.sdk` that the runner brings into every image."""

_GIVEN: Final = frozenset({*dir(builtins), "__name__", "__doc__", "__builtins__", "__debug__"})
_OF_THE_FILE: Final = frozenset({"__file__", "__spec__", "__loader__", "__package__", "__path__", "__cached__"})
_OURS: Final = ("airdock", "airflow")


@record
class Portable:
    """`source` defines `function` when it is run as a module; line numbers are those of `file`."""

    source: str
    function: str
    file: str


def extract(function: Any, *, task_id: str, where: str, only_packages: bool = False) -> Portable:
    """The function and what it names. NotPortableError says which name can't travel, and what to do.

    `only_packages` says that the environment has packages and nothing else, so modules that lie beside the DAG file
    aren't there.
    """
    plain = inspect.unwrap(function)
    trip = _Trip(task_id, getattr(plain, "__name__", repr(plain)), where, only_packages)
    if not isinstance(plain, types.FunctionType):
        raise trip.refusal(f"it is a {type(plain).__name__}", where, "write a function that calls it")
    if plain.__name__ == "<lambda>":
        raise trip.refusal("it is a lambda", where, "write a function with def")
    if plain.__code__.co_freevars:
        name = plain.__code__.co_freevars[0]
        raise trip.refusal(
            f"it names {name!r}, a variable of the function around it",
            f"{plain.__code__.co_filename}:{plain.__code__.co_firstlineno}",
            f"pass {name} as an argument, or move it to the top of the file",
        )
    file = _read(plain, trip)
    found = file.find_function(plain.__code__.co_name, plain.__code__.co_firstlineno)
    if found is None:
        raise trip.refusal("its text can't be found in its file", where, "write it with def in the DAG file")
    return _pack(file, found[1], found[0], plain, trip)


class _Trip:
    """Who travels, for the messages."""

    def __init__(self, task_id: str, name: str, where: str, only_packages: bool) -> None:
        self.task_id = task_id
        self.name = name
        self.where = where
        self.only_packages = only_packages

    def refusal(self, reason: str, where: str, hint: str) -> NotPortableError:
        return NotPortableError(
            f"task {self.task_id!r}: the function {self.name!r} can't run in an image of its own: {reason}",
            where=where,
            hint=hint,
        )


@dataclass(slots=True)
class _Luggage:
    """Statements to take along: by identity, each with the statements around it, and which names of an import."""

    statements: dict[int, tuple[ast.stmt, tuple[ast.stmt, ...]]] = field(default_factory=dict)
    aliases: dict[int, list[ast.alias]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def add(self, binding: Binding) -> bool:
        """Whether the statement is new."""
        new = id(binding.statement) not in self.statements
        self.statements[id(binding.statement)] = (binding.statement, binding.around)
        if binding.alias is not None:
            taken = self.aliases.setdefault(id(binding.statement), [])
            if binding.alias not in taken:
                taken.append(binding.alias)
        return new


def _read(function: types.FunctionType, trip: _Trip) -> SourceFile:
    try:
        return read_source(Path(function.__code__.co_filename))
    except (OSError, SyntaxError) as error:
        raise trip.refusal("its file can't be read", trip.where, "write it with def in the DAG file") from error


def _pack(
    file: SourceFile, node: ast.FunctionDef, around: tuple[ast.stmt, ...], function: types.FunctionType, trip: _Trip
) -> Portable:
    luggage = _Luggage()
    packer = _Packer(file, luggage, function.__globals__, trip)
    packer.take(Binding("def", node, around))
    luggage.names.add(node.name)
    return Portable(source=packer.text(), function=node.name, file=str(file.path))


class _Packer:
    """Follows the names from statement to statement."""

    def __init__(self, file: SourceFile, luggage: _Luggage, variables: dict[str, Any], trip: _Trip) -> None:
        self.file = file
        self.luggage = luggage
        self.variables = variables
        self.trip = trip

    def take(self, binding: Binding) -> None:
        """Take a statement, and everything that it names."""
        waiting = [binding]
        while waiting:
            each = waiting.pop()
            if not self.luggage.add(each) or each.kind == "import":
                continue
            self._check_imports(each.statement)
            for name in sorted(global_names(self._travelling(each.statement))):
                waiting.extend(self._follow(name, each.statement))
            for name in sorted(class_annotations(each.statement)):
                waiting.extend(self._standard_imports(name))

    def text(self) -> str:
        """The statements in their lines."""
        lines = [""] * len(self.file.lines)
        for statement, around in sorted(self.luggage.statements.values(), key=lambda pair: pair[0].lineno):
            self._write(lines, statement, around)
        return "\n".join(lines).rstrip() + "\n"

    def _follow(self, name: str, user: ast.stmt) -> list[Binding]:
        """The statements that bind the name; nothing where it is taken already or comes with Python."""
        if name in self.luggage.names:
            return []
        self.luggage.names.add(name)
        bindings = self.file.bindings.get(name, [])
        if not bindings:
            self._check_unbound(name, user)
        for binding in bindings:
            self._check_binding(name, binding, user)
        if len(bindings) == 1 and bindings[0].kind == "value":
            self._check_unchanged(name, bindings[0], user)
        return bindings

    def _standard_imports(self, name: str) -> list[Binding]:
        """The imports of a name from the standard library, which is there in every image.

        Dataclasses tell ClassVar and InitVar from fields by looking the names in annotations up.
        """
        found = [each for each in self.file.bindings.get(name, []) if each.kind == "import"]
        return [each for each in found if _module_of(each).partition(".")[0] in sys.stdlib_module_names]

    def _check_unbound(self, name: str, user: ast.stmt) -> None:
        if name in _OF_THE_FILE:
            raise self._refuse(name, user, "which tells of the DAG file, and that isn't in the image",
                               "pass what you need of it as an argument")  # fmt: skip
        if name in _GIVEN:
            return
        if self.file.has_star and name in self.variables:
            raise self._refuse(name, user, "which comes from an `import *`", f"import {name} by its name")
        raise self._refuse(name, user, "which its file doesn't define at its top",
                           "define or import it in the function or at the top of the file")  # fmt: skip

    def _check_binding(self, name: str, binding: Binding, user: ast.stmt) -> None:
        if binding.kind == "import":
            assert binding.alias is not None
            self._check_import(binding.statement, binding.alias, name, user)
        elif binding.kind == "computed":
            raise self._refuse(name, user, f"which is made in line {binding.statement.lineno} while the file is loaded",
                               f"pass {name} as an argument, or make it in the function")  # fmt: skip
        elif binding.kind in ("value", "block"):
            reason = computed_part(binding.statement, self.variables)
            if reason:
                hint = f"make {name} a literal, pass it as an argument, or compute it in the function"
                raise self._refuse(name, user, f"computed in line {binding.statement.lineno} ({reason})", hint)

    def _check_unchanged(self, name: str, binding: Binding, user: ast.stmt) -> None:
        if name in self.variables and changed_since(binding.statement, name, self.variables[name]):
            raise self._refuse(name, user, f"which the file changes after line {binding.statement.lineno}",
                               f"pass {name} as an argument, or write its last value as a literal")  # fmt: skip

    def _check_import(self, statement: ast.stmt, alias: ast.alias, name: str, user: ast.stmt) -> None:
        module = statement.module or "" if isinstance(statement, ast.ImportFrom) else alias.name
        root = module.partition(".")[0]
        if isinstance(statement, ast.ImportFrom) and statement.level:
            raise self._refuse(name, user, "which is imported from beside the DAG file", _COPY)
        if self._lacks(root) and isinstance(statement, ast.ImportFrom) and alias.name not in STAND_IN:
            raise self._refuse(name, user, f"which {module} has only while a DAG file is loaded",
                               f"inside of a task there are {', '.join(sorted(STAND_IN))}")  # fmt: skip
        if self.trip.only_packages and root not in _OURS and self._lies_beside(root):
            raise self._refuse(name, user, f"which is in {root}, beside the DAG file and not in the image", _COPY)

    def _check_imports(self, statement: ast.stmt) -> None:
        """The imports inside of functions travel as they are, so they're checked here."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                for alias in node.names:
                    self._check_import(node, alias, alias.asname or alias.name, node)

    def _lacks(self, root: str) -> bool:
        """Whether only the stand-in has this package in the image; an image may well have an Airflow of its own."""
        return root == "airdock" or (root == "airflow" and self.trip.only_packages)

    def _lies_beside(self, root: str) -> bool:
        folder = self.file.path.parent
        return (folder / f"{root}.py").is_file() or (folder / root / "__init__.py").is_file()

    def _refuse(self, name: str, user: ast.stmt, reason: str, hint: str) -> NotPortableError:
        lines = [each.lineno for each in ast.walk(user) if isinstance(each, ast.Name) and each.id == name]
        where = f"{self.file.path}:{min(lines, default=user.lineno)}"
        return self.trip.refusal(f"it names {name!r}, {reason}", where, hint)

    def _travelling(self, statement: ast.stmt) -> ast.stmt:
        """The statement without the decorators that stay behind."""
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return statement
        copied = ast.parse(ast.unparse(statement)).body[0]
        assert isinstance(copied, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        copied.decorator_list = copied.decorator_list[len(copied.decorator_list) - len(self._kept(statement)) :]
        return copied

    def _kept(self, statement: ast.stmt) -> list[ast.expr]:
        """The decorators below the last one that is Airdock's."""
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        ours = [index for index, each in enumerate(decorators) if self._is_ours(each)]
        return decorators[ours[-1] + 1 :] if ours else decorators

    def _is_ours(self, decorator: ast.expr) -> bool:
        root = decorator
        while isinstance(root, ast.Call | ast.Attribute):
            root = root.func if isinstance(root, ast.Call) else root.value
        if not isinstance(root, ast.Name):
            return False
        if root.id not in self.variables:
            return root.id in ("task", "dag")  # imported in the function around
        value = self.variables[root.id]
        module = value.__name__ if isinstance(value, types.ModuleType) else getattr(value, "__module__", "")
        return str(module).partition(".")[0] in _OURS or type(value).__module__.partition(".")[0] in _OURS

    def _write(self, lines: list[str], statement: ast.stmt, around: tuple[ast.stmt, ...]) -> None:
        first = min([statement.lineno, *(each.lineno for each in self._kept(statement))])
        self._write_headers(lines, around, self._indent(first), first)
        indent = self._indent(first)
        if isinstance(statement, ast.Import | ast.ImportFrom):
            statement = _with_names(statement, self.luggage.aliases.get(id(statement), statement.names))
            lines[first - 1] = _joined(lines[first - 1], indent, ast.unparse(statement))
        elif self._has_line_to_itself(statement):
            last = statement.end_lineno or statement.lineno
            lines[first - 1 : last] = self.file.lines[first - 1 : last]
        else:
            text = ast.get_source_segment("\n".join(self.file.lines), statement) or ""
            lines[first - 1] = _joined(lines[first - 1], indent, text)

    def _write_headers(self, lines: list[str], around: tuple[ast.stmt, ...], indent: str, first: int) -> None:
        """Stand in for the statements around, so that the indentation stays right."""
        inner = indent
        for each in reversed(around):
            outer = self._indent(each.lineno)
            if each.lineno != first and len(outer) < len(inner):
                lines[each.lineno - 1] = f"{outer}if 1:"
                inner = outer

    def _indent(self, line: int) -> str:
        text = self.file.lines[line - 1]
        return text[: len(text) - len(text.lstrip())]

    def _has_line_to_itself(self, statement: ast.stmt) -> bool:
        last = self.file.lines[(statement.end_lineno or statement.lineno) - 1].encode()
        rest = last[statement.end_col_offset or 0 :].strip()
        before = self.file.lines[statement.lineno - 1].encode()[: statement.col_offset].strip()
        return not before and (not rest or rest.startswith(b"#"))


_COPY: Final = "move what you need into the DAG file, or COPY the module in a Dockerfile"


def _module_of(binding: Binding) -> str:
    assert binding.alias is not None
    return binding.statement.module or "" if isinstance(binding.statement, ast.ImportFrom) else binding.alias.name


def _with_names(statement: ast.Import | ast.ImportFrom, aliases: list[ast.alias]) -> ast.Import | ast.ImportFrom:
    if isinstance(statement, ast.Import):
        return ast.Import(names=aliases)
    return ast.ImportFrom(module=statement.module, names=aliases, level=statement.level)


def _joined(line: str, indent: str, text: str) -> str:
    return f"{line}; {text}" if line.strip() else f"{indent}{text}"
