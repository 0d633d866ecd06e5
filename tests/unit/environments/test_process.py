"""Virtual environments for tasks without containers, with real packages from the machine's index."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from airdock.environments.base import Prepared
from airdock.environments.index import IndexSettings, load_index_settings
from airdock.environments.process import ProcessEnvironments
from airdock.environments.python import Interpreter, Pythons
from airdock.errors import EnvironmentFailedError
from airdock.model.environment import Environment
from airdock.model.progress import BuildFinished, BuildStarted, Progress

Make = Callable[..., ProcessEnvironments]


@pytest.fixture
def make(tmp_path: Path, pythons: Pythons, told: list[Progress]) -> Make:
    def make(index: IndexSettings | None = None, environ: Mapping[str, str] = os.environ) -> ProcessEnvironments:
        return ProcessEnvironments(
            folder=tmp_path / "process",
            cache=tmp_path / "uv",
            pythons=pythons,
            index=index or load_index_settings(environ=environ, home=Path.home()),
            report=told.append,
            environ={"PATH": os.defpath},
        )

    return make


def python_of(tmp_path: Path, prepared: Prepared) -> Path:
    return tmp_path / "process" / prepared.digest.removeprefix("process:") / "bin" / "python"


def run(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_needs_nothing(make: Make, told: list[Progress]) -> None:
    expected = Prepared(digest="process:host", reused=True, python=Interpreter.current().version)
    assert make().prepare(Environment(), where="task a") == expected
    assert told == []


def test_requirements_are_installed_once(make: Make, told: list[Progress], tmp_path: Path) -> None:
    environment = Environment(requirements=("six",))
    first = make().prepare(environment, where="task a")
    assert not first.reused
    assert run(python_of(tmp_path, first), "import six; print(six.__name__)") == "six"
    assert [type(each) for each in told if isinstance(each, BuildStarted | BuildFinished)] == [
        BuildStarted,
        BuildFinished,
    ]
    told.clear()
    second = make().prepare(Environment(requirements=("Six  # the same",)), where="task b")
    assert (second.digest, second.reused) == (first.digest, True)
    assert [each.reused for each in told if isinstance(each, BuildFinished)] == [True]


def test_many_threads_make_it_once(make: Make, told: list[Progress]) -> None:
    environments = make()
    found: list[Prepared] = []

    def prepare() -> None:
        found.append(environments.prepare(Environment(requirements=("six",)), where="task"))

    threads = [threading.Thread(target=prepare) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({prepared.digest for prepared in found}) == 1
    assert len([each for each in told if isinstance(each, BuildStarted)]) == 1


def test_another_python(make: Make, pythons: Pythons, tmp_path: Path) -> None:
    others = [each for each in pythons.all() if each.series != Interpreter.current().series and each.version >= (3, 8)]
    if not others:
        pytest.skip("there is only one Python from 3.8 up on this machine")
    prepared = make().prepare(Environment(python=others[-1].series), where="task")
    assert prepared.python == others[-1].version
    code = "import sys; print('.'.join(map(str, sys.version_info[:3])))"
    assert run(python_of(tmp_path, prepared), code) == ".".join(map(str, others[-1].version))


def test_a_half_made_environment_is_made_again(make: Make, tmp_path: Path) -> None:
    environment = Environment(requirements=("six",))
    prepared = make().prepare(environment, where="task")
    folder = python_of(tmp_path, prepared).parents[1]
    (folder / "ready").unlink()
    (folder / "bin" / "python").unlink()
    assert not make().prepare(environment, where="task").reused
    assert python_of(tmp_path, prepared).exists()


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (Environment(image="debian"), "expected a task that runs without a container, found image='debian'"),
        (Environment(dockerfile="/a/b/Dockerfile"), "found dockerfile='b/Dockerfile'"),
        (Environment(requirements=("no-such-package-airdock-123",)), "no-such-package-airdock-123"),
        (Environment(requirements=("six==1.0", "six==1.1")), "six"),
        (Environment(python="3.98"), "expected a Python 3.98 on this machine"),
        (Environment(requirements=("-e .",)), "expected a requirement such as"),
    ],
)
def test_what_cannot_be_made(make: Make, tmp_path: Path, environment: Environment, message: str) -> None:
    with pytest.raises(EnvironmentFailedError) as caught:
        make().prepare(environment, where="task report")
    assert message in caught.value.message
    assert caught.value.where == "task report"
    folders = [path for path in (tmp_path / "process").glob("*") if path.is_dir()]
    assert folders == []


def test_an_index_that_is_not_there(make: Make, tmp_path: Path) -> None:
    settings = load_index_settings(
        environ={"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "UV_HTTP_RETRIES": "0"}, home=tmp_path, root=tmp_path
    )
    with pytest.raises(EnvironmentFailedError) as caught:
        make(settings).prepare(Environment(requirements=("six",)), where="task report")
    assert "127.0.0.1:9" in caught.value.message
    assert "is the index reachable?" in caught.value.hint


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """The smallest wheel there is, made by hand."""
    import zipfile

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"version = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@pytest.mark.parametrize("how", ["pip.conf", "PIP_FIND_LINKS", "uv.toml", "UV_FIND_LINKS", "file index"])
def test_the_machines_own_packages_are_found(make: Make, tmp_path: Path, how: str) -> None:
    """No network at all: what is said in each of these places leads to a folder of wheels."""
    links = tmp_path / "links"
    for version in ("1.0", "2.0"):
        make_wheel(links, "acme_report", version)
    (tmp_path / "constraints.txt").write_text("acme-report<2\n")
    home = tmp_path / "home"
    environ = {"PIP_CONSTRAINT": str(tmp_path / "constraints.txt")}
    if how == "pip.conf":
        (home / ".config/pip").mkdir(parents=True)
        (home / ".config/pip/pip.conf").write_text(f"[global]\nno-index = true\nfind-links = {links}\n")
    elif how == "uv.toml":
        (home / ".config/uv").mkdir(parents=True)
        (home / ".config/uv/uv.toml").write_text(f'no-index = true\nfind-links = ["{links}"]\n')
    elif how == "file index":
        package = tmp_path / "index/simple/acme-report"
        package.mkdir(parents=True)
        names = sorted(path.name for path in links.iterdir())
        package.joinpath("index.html").write_text(
            "".join(f'<a href="../../../links/{name}">{name}</a>' for name in names)
        )
        environ["PIP_INDEX_URL"] = f"file://{tmp_path}/index/simple"
    else:
        environ |= {how: str(links), "PIP_NO_INDEX": "1"} if how.startswith("PIP") else {how: str(links)}
        environ |= {"UV_OFFLINE": "1"}
    index = load_index_settings(environ=environ, home=home, root=tmp_path)
    prepared = make(index).prepare(Environment(requirements=("acme_report",)), where="task")
    assert run(python_of(tmp_path, prepared), "import acme_report; print(acme_report.version)") == "1.0"
