"""A Python file as statements: which of them bind which names, and which global names a piece of code needs."""

import ast
import symtable
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Binding", "SourceFile", "class_annotations", "global_names", "read_source", "without_annotations"]


@dataclass(frozen=True, slots=True)
class Binding:
    """A statement at the top of a file that binds a name.

    `around` are the statements it stands in, outermost first: `with` blocks, which don't make a scope of their own.
    `kind` is "import", "def", "value", "block" (an `if` or `try` with the statement in it) or "computed".
    """

    kind: str
    statement: ast.stmt
    around: tuple[ast.stmt, ...] = ()
    alias: ast.alias | None = None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """The text and what it binds. `has_star` tells of a `from … import *`, whose names can't be told from the text."""

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module
    bindings: dict[str, list[Binding]]
    has_star: bool

    def find_function(self, name: str, first_line: int) -> tuple[tuple[ast.stmt, ...], ast.FunctionDef] | None:
        """The function whose code says this name and first line, after the statements that it stands in."""
        for around, node in _functions(self.tree.body, ()):
            lines = {node.lineno, *(each.lineno for each in node.decorator_list)}
            if node.name == name and first_line in lines:
                return around, node
        return None


@lru_cache(maxsize=64)
def read_source(path: Path) -> SourceFile:
    """Read and take apart. The file has been run by this Python, so it parses."""
    text = path.read_text(encoding="utf-8-sig")
    tree = ast.parse(text)
    bindings: dict[str, list[Binding]] = {}
    for name, binding in _bindings(tree.body, ()):
        bindings.setdefault(name, []).append(binding)
    star = any(isinstance(node, ast.ImportFrom) and node.names[0].name == "*" for node in ast.walk(tree))
    return SourceFile(path=path, lines=tuple(text.splitlines()), tree=tree, bindings=bindings, has_star=star)


def global_names(statement: ast.stmt) -> set[str]:
    """The names that a statement at the top of a file takes from the file or from the built-ins."""
    text = ast.unparse(ast.fix_missing_locations(without_annotations(statement)))
    table = symtable.symtable(text, "<names>", "exec")
    here = {each.get_name() for each in table.get_symbols() if each.is_referenced() and not each.is_assigned()}
    return here.union(*(_globals_of(child) for child in table.get_children()))


def class_annotations(statement: ast.stmt) -> set[str]:
    """The names in the annotations of a class's attributes."""
    return {
        name.id
        for each in ast.walk(statement)
        if isinstance(each, ast.ClassDef)
        for attribute in each.body
        if isinstance(attribute, ast.AnnAssign)
        for name in ast.walk(attribute.annotation)
        if isinstance(name, ast.Name)
    }


def without_annotations(statement: ast.stmt) -> ast.stmt:
    """A copy without type annotations, which are never evaluated in the image."""
    copied: ast.stmt = _Unannotated().visit(ast.parse(ast.unparse(statement)).body[0])
    return copied


class _Unannotated(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.returns = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt:
        self.generic_visit(node)
        if node.value is None:
            return ast.copy_location(ast.Pass(), node)
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    here = {each.get_name() for each in table.get_symbols() if each.is_global()}
    return here.union(*(_globals_of(child) for child in table.get_children()))


def _functions(
    body: Sequence[ast.stmt], around: tuple[ast.stmt, ...]
) -> Iterator[tuple[tuple[ast.stmt, ...], ast.FunctionDef]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield around, node  # type: ignore[misc]  # an async def has the same fields
        for inner in _bodies(node):
            yield from _functions(inner, (*around, node))


def _bindings(body: Sequence[ast.stmt], around: tuple[ast.stmt, ...]) -> Iterator[tuple[str, Binding]]:
    for node in body:
        match node:
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], Binding("import", node, around, alias)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, Binding("def", node, around)
            case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
                for name in _stored(node):
                    yield name, Binding("value", node, around)
            case ast.With():
                for item in node.items:
                    for name in _stored(item.optional_vars):
                        yield name, Binding("computed", node, around)
                yield from _bindings(node.body, (*around, node))
            case _:
                kind = "block" if isinstance(node, ast.If | ast.Try) else "computed"
                inside = (name for inner in _bodies(node) for name, _ in _bindings(inner, ()))
                for name in dict.fromkeys([*inside, *_stored(getattr(node, "target", None))]):
                    yield name, Binding(kind, node, around)


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        inner = getattr(node, field, None)
        if isinstance(inner, list):
            yield inner
    for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
        yield part.body


def _stored(node: ast.AST | None) -> list[str]:
    if node is None:
        return []
    return [each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)]
