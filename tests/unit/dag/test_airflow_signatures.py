"""Names of keywords held against the published packages of Airflow, read as text: nothing of them is imported."""

import ast
import inspect
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from airdock.dag.arguments import TASK_DEFAULTS
from airdock.dag.dag import DAG_DEFAULTS
from airdock.dag.decorators import DecoratorArguments
from airdock.dag.operator import NEEDS
from airdock.operators.bash import BashOperator
from airdock.operators.python import PythonOperator

SDK = "apache-airflow-task-sdk==1.3.2"
STANDARD = "apache-airflow-providers-standard==1.21.0"

EVERY_TASK = {*TASK_DEFAULTS, "task_id", "dag", "default_args"}


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `airflow` of the two wheels."""
    folder = tmp_path_factory.mktemp("wheels")
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--no-cache-dir"]
    argv += ["--retries=1", "--timeout=15", f"--dest={folder}", SDK, STANDARD]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        pytest.skip(f"{SDK} and {STANDARD} can't be downloaded: {lines[-1] if lines else done.returncode}")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
    return folder / "airflow"


def class_in(path: Path, name: str) -> ast.ClassDef:
    tree = ast.parse(path.read_text())
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)


def keywords(function: ast.FunctionDef) -> dict[str, object]:
    """The keyword-only parameters, with their defaults where those are plain values."""
    return {
        argument.arg: default.value if isinstance(default, ast.Constant) else ...
        for argument, default in zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    }


def method_of(path: Path, name: str, method: str = "__init__") -> ast.FunctionDef:
    """The method with the most keywords, where it is overloaded."""
    found = [node for node in class_in(path, name).body if isinstance(node, ast.FunctionDef) and node.name == method]
    return max(found, key=lambda node: len(node.args.kwonlyargs))


def test_a_dag_takes_airflows_keywords(airflow: Path) -> None:
    fields = {
        node.target.id: node.value
        for node in class_in(airflow / "sdk/definitions/dag.py", "DAG").body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if "ClassVar" not in ast.unparse(node.annotation)
        if node.value is None or "init=False" not in ast.unparse(node.value)
    }
    assert set(fields) == {*DAG_DEFAULTS, "dag_id"}
    plain = {name: value.value for name, value in fields.items() if isinstance(value, ast.Constant)}
    assert {name: DAG_DEFAULTS[name] for name in plain} == plain


def test_every_task_takes_airflows_keywords(airflow: Path) -> None:
    theirs = keywords(method_of(airflow / "sdk/bases/operator.py", "BaseOperator"))
    theirs["task_id"] = ...  # the one that may be given by place; Airdock takes keywords only
    assert set(theirs) <= EVERY_TASK
    more = EVERY_TASK - set(theirs) - set(NEEDS)
    text = (airflow / "sdk/bases/operator.py").read_text() + (airflow / "sdk/definitions/mappedoperator.py").read_text()
    assert {name for name in more if name not in text} == set()
    plain = {name: value for name, value in theirs.items() if value is not ... and name in TASK_DEFAULTS}
    assert {name: TASK_DEFAULTS[name] for name in plain} == {**plain, "pool": "default_pool"}


@pytest.mark.parametrize(("file", "kind"), [("bash", BashOperator), ("python", PythonOperator)])
def test_an_operator_takes_airflows_keywords(airflow: Path, file: str, kind: type) -> None:
    theirs = keywords(method_of(airflow / f"providers/standard/operators/{file}.py", kind.__name__))
    ours = {name: each.default for name, each in inspect.signature(kind.__init__).parameters.items()}
    assert set(ours) - set(theirs) == {"self", "task_id", "dag", "arguments"}
    assert set(theirs) <= set(ours)
    plain = {name: value for name, value in theirs.items() if value not in (..., None)}
    assert {name: ours[name] for name in plain} == plain


def test_the_empty_operator_takes_nothing_of_its_own(airflow: Path) -> None:
    empty = class_in(airflow / "providers/standard/operators/empty.py", "EmptyOperator")
    assert not any(isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in empty.body)


def test_a_task_function_takes_airflows_keywords(airflow: Path) -> None:
    stub = airflow / "sdk/definitions/decorators/__init__.pyi"
    theirs = keywords(method_of(stub, "TaskDecoratorCollection", "python"))
    assert set(theirs) <= {*DecoratorArguments.__annotations__, *EVERY_TASK}
