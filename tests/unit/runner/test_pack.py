"""The runner in one file."""

import ast
import stat
from pathlib import Path

from airdock.dag.exceptions import __all__ as exceptions
from airdock.runner.inside import standin
from airdock.runner.pack import SIZE_LIMIT, make_runner, pack, runner_argv

INSIDE = Path(standin.__file__).parent


def test_it_is_small_plain_and_always_the_same() -> None:
    content = pack()
    assert len(content) <= SIZE_LIMIT
    assert content == pack()
    content.decode("ascii")


def test_what_is_left_out_is_what_modules_say_of_themselves() -> None:
    assigned = [node for node in ast.parse(pack()).body if isinstance(node, ast.Assign)]
    packed = next(node for node in assigned if "_SOURCES" in ast.dump(node.targets[0]))
    for name, text in ast.literal_eval(packed.value).items():
        path = INSIDE / f"{name.partition('.')[2] or '__init__'}.py"
        bare, whole = _Silent().visit(ast.parse(text)), _Silent().visit(ast.parse(path.read_text()))
        assert ast.dump(bare) == ast.dump(whole)
        lines = [[node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)] for tree in (bare, whole)]
        assert lines[0] == lines[1]
        assert len(text.splitlines()) == len(path.read_text().splitlines())


class _Silent(ast.NodeTransformer):
    """Takes texts that nobody uses out of a tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node


def test_it_parses_as_the_oldest_python() -> None:
    ast.parse(pack(), feature_version=(3, 7))
    for path in INSIDE.glob("*.py"):
        ast.parse(path.read_text(), feature_version=(3, 7))


def test_it_holds_every_module_and_imports_none_of_airdock() -> None:
    text = pack().decode()
    for path in INSIDE.glob("*.py"):
        if path.stem != "__init__":
            assert f"'airdock_runner.{path.stem}'" in text
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert not (node.module or "").startswith("airdock")
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("airdock") for alias in node.names)


def test_the_file_is_written_once_and_again_for_another_version(tmp_path: Path) -> None:
    path = make_runner(tmp_path)
    first = path.stat()
    assert path.name == "runner.pyz"
    assert stat.S_IMODE(first.st_mode) & 0o444 == 0o444
    assert make_runner(tmp_path).stat().st_ino == first.st_ino
    path.write_bytes(b"of another version")
    assert make_runner(tmp_path).read_bytes() == pack()


def test_the_host_image_adds_nothing_to_the_path_and_others_may() -> None:
    assert runner_argv("sdk", "/p/python") == ("/p/python", "-I", "/run/airdock/runner.pyz")
    assert runner_argv("bare", "python3", "/t/runner.pyz") == ("python3", "/t/runner.pyz")


def test_the_exceptions_are_those_of_the_dag_folder() -> None:
    """The runner can't import them, so it has its own: this holds the two together."""
    import airdock.dag.exceptions as ours

    needs_airdock = {"AirflowRescheduleException", "TaskDeferralError", "TaskDeferralTimeout", "TaskDeferred"}
    of_hooks = {"AirflowBadRequest", "AirflowConfigException", "AirflowNotFoundException"}
    for name in set(exceptions) - needs_airdock - of_hooks:
        mine, theirs = standin.NAMES[name], getattr(ours, name)
        assert [each.__name__ for each in mine.__mro__] == [each.__name__ for each in theirs.__mro__]
