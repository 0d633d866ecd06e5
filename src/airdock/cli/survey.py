"""What a DAG file's functions import, read from its text: which packages its tasks could ask for. Pure."""

import ast
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from airdock.record import record

__all__ = ["Survey", "survey"]

_OURS: Final = frozenset({"airflow", "airdock", "__future__"})
_PACKAGES: Final[Mapping[str, str]] = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "fitz": "pymupdf",
    "git": "GitPython",
    "jwt": "PyJWT",
    "kafka": "kafka-python",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "psycopg2": "psycopg2-binary",
    "pyspark": "pyspark",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "slack_sdk": "slack-sdk",
    "usb": "pyusb",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
"""Packages whose name isn't that of the module; all others are called as what is imported."""


@record
class Survey:
    """What was found: `tasks` maps functions that tasks run to packages, `top` are modules imported by the file itself.

    `top` maps a module to the line that imports it; the server's Python needs these to load the file at all.
    """

    tasks: Mapping[str, tuple[str, ...]]
    top: Mapping[str, int]


def survey(text: str, *, local: frozenset[str] = frozenset()) -> Survey:
    """Read a file; `local` are the modules that lie beside it. SyntaxError where it isn't Python."""
    tree = ast.parse(text)
    known = {name: module for name, module, _ in _imports(tree.body, local)}
    tasks = {}
    for function in _task_functions(tree):
        named = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
        modules = {module for _, module, _ in _imports(ast.walk(function), local)}
        modules |= {module for name, module in known.items() if name in named}
        if modules:
            tasks[function.name] = tuple(sorted({_PACKAGES.get(module, module) for module in modules}))
    return Survey(tasks=tasks, top={module: line for _, module, line in _imports(tree.body, local)})


def _imports(nodes: "Iterator[ast.AST] | list[ast.stmt]", local: frozenset[str]) -> Iterator[tuple[str, str, int]]:
    """Each name that is imported from elsewhere, with its module and line."""
    for node in nodes:
        if isinstance(node, ast.Import):
            found = [(alias.asname or alias.name.partition(".")[0], alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found = [(alias.asname or alias.name, node.module) for alias in node.names]
        else:
            continue
        for name, module in found:
            first = module.partition(".")[0]
            if first not in sys.stdlib_module_names and first not in _OURS and first not in local:
                yield name, first, node.lineno


def _task_functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions that are decorated with a task decorator or given as python_callable."""
    called = {
        keyword.value.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "python_callable" and isinstance(keyword.value, ast.Name)
    }
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return [each for each in functions if each.name in called or any(map(_is_task, each.decorator_list))]


def _is_task(decorator: ast.expr) -> bool:
    node = decorator.func if isinstance(decorator, ast.Call) else decorator
    while isinstance(node, ast.Attribute):
        if node.attr == "task":
            return True
        node = node.value
    return isinstance(node, ast.Name) and node.id == "task"
