import os
import sys
from pathlib import Path

import pytest

from airdock.environments.python import Interpreter, Pythons, parse_version
from airdock.errors import EnvironmentFailedError


def fake_python(folder: Path, version: tuple[int, int, int], *, counter: Path | None = None) -> Path:
    """A program that answers as an interpreter would."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / f"python{version[0]}.{version[1]}"
    answer = f'{{"path": "{program}", "version": {list(version)}, "prefix": "{folder.parent}", "abi": "x"}}'
    count = f"echo asked >> {counter}\n" if counter else ""
    program.write_text(f"#!/bin/sh\n{count}echo '{answer}'\n")
    program.chmod(0o755)
    return program


def make(tmp_path: Path, *, path: str = "", search: tuple[str, ...] = ()) -> Pythons:
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return Pythons(memory=tmp_path / "memory.json", home=home, path=path, search=search)


def test_the_servers_own_is_found_without_asking(tmp_path: Path) -> None:
    own = Interpreter.current()
    assert own.version == sys.version_info[:3]
    assert Path(own.path).exists()
    assert make(tmp_path).find(own.series) == own
    assert not (tmp_path / "memory.json").exists()


@pytest.mark.parametrize(
    "place",
    [
        "path",
        "search",
        "search/bin",
        "search/a/bin",
        "home/.pyenv/versions/3.99.1/bin",
        "home/.local/share/uv/python/x/bin",
    ],
)
def test_where_interpreters_are_looked_for(tmp_path: Path, place: str) -> None:
    program = fake_python(tmp_path / place, (3, 99, 1))
    pythons = make(tmp_path, path=str(tmp_path / "path"), search=(str(tmp_path / "search"),))
    assert pythons.find("3.99").path == str(program)
    assert pythons.find("3.99.1").path == str(program)
    with pytest.raises(EnvironmentFailedError, match=r"expected a Python 3\.99\.2 on this machine, found .*3\.99"):
        pythons.find("3.99.2")
    assert "3.99" in [each.series for each in pythons.all()]


def test_an_interpreter_is_asked_once(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    program = fake_python(tmp_path / "path", (3, 99, 1), counter=counter)
    for _ in range(2):
        make(tmp_path, path=str(tmp_path / "path")).find("3.99")
    assert counter.read_text() == "asked\n"
    os.utime(program, (1, 1))
    make(tmp_path, path=str(tmp_path / "path")).find("3.99")
    assert counter.read_text() == "asked\nasked\n"


@pytest.mark.parametrize("content", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nonsense\n", "#!/no/such/interpreter\n"])
def test_programs_that_are_no_python(tmp_path: Path, content: str) -> None:
    program = tmp_path / "path" / "python3.98"
    program.parent.mkdir()
    program.write_text(content)
    program.chmod(0o755)
    pythons = make(tmp_path, path=str(tmp_path / "path"))
    assert "3.98" not in [each.series for each in pythons.all()]
    with pytest.raises(EnvironmentFailedError, match=r"expected a Python 3\.98"):
        pythons.find("3.98")


@pytest.mark.parametrize("text", ["3", "2.7", "three", "3.9.1.1", "", "3.9; rm"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(EnvironmentFailedError, match="expected python to be a version"):
        parse_version(text)


def test_interpreters_of_this_machine_are_real(pythons: Pythons) -> None:
    found = pythons.all()
    assert Interpreter.current() in found
    assert all(Path(each.path).exists() and Path(each.prefix).is_dir() for each in found)
    assert [each.version for each in found] == sorted(each.version for each in found)
