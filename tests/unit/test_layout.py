"""The house: which folder may import which, held over the parsed imports of every module."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "airdock"
FLOOR = frozenset({"errors", "clock", "files", "record", "model", "__init__"})

MAY_IMPORT: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "clock": frozenset(),
    "files": frozenset(),
    "record": frozenset(),
    "model": frozenset(),
    "config": frozenset(),
    "dag": frozenset(),
    "store": frozenset(),
    "executors": frozenset(),
    "oci": frozenset(),
    "operators": frozenset({"dag"}),
    "sdk": frozenset({"dag", "operators"}),
    "compat": frozenset({"dag", "operators", "sdk"}),
    "scheduler": frozenset({"dag", "store", "executors.base"}),
    "orchestrator": frozenset({"dag", "store", "scheduler", "executors.base", "hands"}),
    "images": frozenset({"oci"}),
    "remote": frozenset({"oci"}),
    "runtime": frozenset({"oci"}),
    "networks": frozenset({"runtime"}),
    "containers": frozenset({"oci", "images", "runtime", "networks"}),
    "builder": frozenset({"oci", "images"}),
    "transfer": frozenset({"oci", "images", "remote"}),
    "engine": frozenset({"oci", "images", "remote", "transfer", "runtime", "networks", "containers", "building"}),
    "building": frozenset({"oci", "images", "runtime", "containers", "builder", "engine"}),
    "environments": frozenset({"engine", "oci", "images", "builder"}),
    "runner": frozenset({"engine"}),
    "answers": frozenset({"dag", "store", "secrets"}),
    "triggered": frozenset({"dag", "store", "scheduler.timetables"}),
    "secrets": frozenset({"store", "runner.inside.connection"}),
    "triggers": frozenset({"dag", "compat", "runner"}),
    "reclaim": frozenset({"engine", "oci", "images", "builder", "environments"}),
    "loading": frozenset({"dag", "engine"}),
    "bell": frozenset({"loading.inotify"}),
    "loads": frozenset({"dag", "loading"}),
    "parts": frozenset(
        {
            "config",
            "oci",
            "remote",
            "images",
            "runtime",
            "networks",
            "engine",
            "transfer",
            "environments",
            "reclaim",
            "runner",
            "surroundings",
        }
    ),
    "preparing": frozenset({"environments", "scheduler"}),
    "hands": frozenset({"dag", "store", "scheduler"}),
    "indexing": frozenset({"dag", "store", "loading"}),
    "serving": frozenset({"dag", "store", "scheduler", "loading", "indexing"}),
    "surroundings": frozenset({"config", "remote"}),
}
"""What each part may import beyond the floor and itself. `app` may import everything but `cli`; `cli` everything."""


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py"))


def part_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def runtime_imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The dotted names that a module imports, those for annotations only left out."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(ast.walk(node))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            if node.module == "airdock":
                yield from ((node.lineno, f"airdock.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_imports_only_what_its_folder_may(path: Path) -> None:
    part = part_of(path)
    if part in {"app", "services", "cli", "__init__", "__main__"}:
        return
    inside_runner = path.is_relative_to(SOURCE / "runner" / "inside")
    wrong = []
    for line, name in runtime_imports(ast.parse(path.read_text())):
        if not name.startswith("airdock.") or inside_runner:
            if inside_runner and name.startswith("airdock"):
                wrong.append(f"{path}:{line} imports {name}, but the runner may not import Airdock")
            continue
        target = name.removeprefix("airdock.")
        first = target.split(".")[0]
        allowed = {part} | FLOOR | {entry for entry in MAY_IMPORT[part] if "." not in entry}
        precise = {entry for entry in MAY_IMPORT[part] if "." in entry}
        if first not in allowed and not any(target == entry or target.startswith(entry + ".") for entry in precise):
            wrong.append(f"{path}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_every_part_has_its_row() -> None:
    parts = {part_of(path) for path in modules()} - {"app", "services", "cli", "__init__", "__main__"}
    assert parts <= set(MAY_IMPORT), f"no row for {sorted(parts - set(MAY_IMPORT))}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    graph: dict[str, set[str]] = {}
    names = {".".join(("airdock", *path.relative_to(SOURCE).with_suffix("").parts)): path for path in modules()}
    for name, path in names.items():
        tree = ast.parse(path.read_text())
        top = ast.Module(body=[node for node in tree.body if not isinstance(node, ast.FunctionDef)], type_ignores=[])
        at_import = {id(node) for statement in top.body for node in ast.walk(statement)}
        inner = {
            id(child)
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            for child in ast.walk(node)
        }
        outside = at_import - inner
        lines = {node.lineno for node in ast.walk(tree) if id(node) in outside and hasattr(node, "lineno")}
        found = {target for line, target in runtime_imports(tree) if line in lines}
        graph[name] = {target for target in found if target in names and target != name}
    circle = _circle(graph)
    assert not circle, " -> ".join(circle)


def _circle(graph: dict[str, set[str]]) -> list[str]:
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for target in sorted(graph[name]):
            if circle := walk(target, [*trail, name]):
                return circle
        done.add(name)
        return []

    for name in sorted(graph):
        if circle := walk(name, []):
            return circle
    return []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SOURCE)))
def test_public_names_are_listed(path: Path) -> None:
    """`__all__` names what is there, and a public class or function that isn't in it has a leading underscore."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    if path.name == "__main__.py" or "versions" in parts or path.name == "env.py" or "inside" in parts:
        return
    tree = ast.parse(path.read_text())
    listed: set[str] | None = None
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        if any(isinstance(target, ast.Name) and target.id == "__all__" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            listed = set(ast.literal_eval(node.value)) if isinstance(node.value, ast.List | ast.Tuple) else None
            if listed is None:
                return  # computed, as in a table of lazily imported names
    public = {
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef)
        and not node.name.startswith("_")
        and not any("command" in ast.unparse(decorator) for decorator in node.decorator_list)  # reached by its group
    }
    if listed is None:
        assert not public, f"{path} has no __all__ but defines {sorted(public)}"
        return
    assert public <= listed, f"not in __all__ of {path}: {sorted(public - listed)}"


def test_what_is_listed_is_there() -> None:
    for part in ("errors", "clock", "files"):
        module = importlib.import_module(f"airdock.{part}")
        assert all(hasattr(module, name) for name in module.__all__)


def test_importing_airdock_is_light() -> None:
    heavy = {"sqlalchemy", "alembic", "click", "rich", "jinja2", "pendulum", "httpx"}
    code = f"import sys, airdock; print(sorted({heavy} & {{name.split('.')[0] for name in sys.modules}}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"
