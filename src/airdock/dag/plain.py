"""Which values of a module are the same wherever they're computed: literals, and what is made of them alone."""

import ast
import datetime
import decimal
import fractions
import pathlib
import re
import uuid
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["changed_since", "computed_part"]

_SAFE_NODES: Final = (
    ast.Constant, ast.List, ast.Tuple, ast.Set, ast.Dict, ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.IfExp, ast.JoinedStr, ast.FormattedValue, ast.Subscript, ast.Slice, ast.Attribute, ast.Starred, ast.ListComp,
    ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension, ast.Lambda, ast.arguments, ast.arg, ast.keyword,
    ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context,
)  # fmt: skip
_SAFE_STATEMENTS: Final = (
    ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Pass, ast.Raise,
)  # fmt: skip
_PURE: Final = (
    bool, bytes, complex, dict, float, frozenset, int, len, list, max, min, range, round, set, sorted, str, sum, tuple,
    zip, re.compile, pathlib.Path, pathlib.PurePath, pathlib.PurePosixPath, datetime.date, datetime.datetime,
    datetime.time, datetime.timedelta, datetime.timezone, decimal.Decimal, fractions.Fraction, uuid.UUID,
)  # fmt: skip
"""Callables that give the same for the same arguments, on every machine and in every Python that has them."""


def computed_part(statement: ast.stmt, variables: Mapping[str, Any]) -> str:
    """What in the statement depends on when or where it runs, as text; empty where nothing does."""
    match statement:
        case ast.Assign() | ast.AugAssign():
            return _in_expression(statement.value, variables)
        case ast.AnnAssign():
            return _in_expression(statement.value, variables) if statement.value else ""
        case ast.If():
            return _first(_in_expression(statement.test, variables), *_inner(statement, variables))
        case ast.Try():
            return _first(*_inner(statement, variables))
        case _ if isinstance(statement, _SAFE_STATEMENTS):
            return ""
        case ast.Expr(value=ast.Constant()):
            return ""
        case _:
            return _shown(statement)


def changed_since(statement: ast.stmt, name: str, value: Any) -> bool:
    """Whether a literal isn't what the variable holds any more."""
    match statement:
        case ast.Assign(targets=[ast.Name(id=target)], value=expression) if target == name:
            pass
        case ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as expression) if target == name:
            pass
        case _:
            return False
    try:
        return bool(ast.literal_eval(expression) != value)
    except (ValueError, TypeError):
        return False


def _inner(statement: ast.If | ast.Try, variables: Mapping[str, Any]) -> list[str]:
    bodies = [statement.body, statement.orelse]
    if isinstance(statement, ast.Try):
        bodies += [statement.finalbody, *(handler.body for handler in statement.handlers)]
    return [computed_part(each, variables) for body in bodies for each in body]


def _in_expression(expression: ast.expr, variables: Mapping[str, Any]) -> str:
    for node in ast.walk(expression):
        if isinstance(node, ast.Call):
            if not _is_pure(node, variables):
                return f"`{_shown(node)}`"
        elif not isinstance(node, _SAFE_NODES):
            return f"`{_shown(node)}`"
    return ""


def _is_pure(call: ast.Call, variables: Mapping[str, Any]) -> bool:
    """The function is looked up where the file has it, so aliases and `from` imports are known too."""
    called = ast.unparse(call.func)
    first, *rest = called.split(".")
    value = variables.get(first, getattr(__builtins__, first, None) if not isinstance(__builtins__, dict)
                          else __builtins__.get(first))  # fmt: skip
    for part in rest:
        value = getattr(value, part, None)
    return any(value is each for each in _PURE)


def _first(*reasons: str) -> str:
    return next((reason for reason in reasons if reason), "")


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node).partition("\n")[0]
    return text if len(text) <= 60 else text[:57] + "..."
