"""Logins in Docker's files and with Docker's helpers."""

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from airdock.errors import RegistryError
from airdock.remote.base import Login
from airdock.remote.credentials import DockerCredentials

_HELPER = """#!/bin/sh
store={folder}/store
mkdir -p "$store"
input=$(cat)
case $1 in
get)
    file="$store/$(printf %s "$input" | tr / _)"
    if [ -f "$file" ]; then cat "$file"; else echo "credentials not found in native keychain"; exit 1; fi ;;
store)
    name=$(printf %s "$input" | sed 's/.*"ServerURL": *"\\([^"]*\\)".*/\\1/' | tr / _)
    printf %s "$input" > "$store/$name" ;;
erase) rm -f "$store/$(printf %s "$input" | tr / _)" ;;
esac
"""


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def write(path: Path, **document: object) -> DockerCredentials:
    path.write_text(json.dumps(document))
    return DockerCredentials([path])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "docker-credential-test"
    program.write_text(_HELPER.format(folder=tmp_path))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return "test"


def test_a_login_is_found_by_the_registry_however_it_is_written(path: Path) -> None:
    spellings = {"a.example": "a", "https://b.example": "b", "https://c.example/v1/": "c", "d.example:5000": "d"}
    logins = write(path, auths={key: auth(f"{user}:pass:word") for key, user in spellings.items()})
    for registry, user in (("a.example", "a"), ("b.example", "b"), ("c.example", "c"), ("d.example:5000", "d")):
        assert logins.find(registry) == Login(username=user, password="pass:word")
    assert logins.find("d.example") is None


def test_dockers_own_registry_has_a_name_of_its_own(path: Path) -> None:
    logins = write(path, auths={"https://index.docker.io/v1/": auth("me:x")})
    assert logins.find("docker.io") == Login(username="me", password="x")


def test_an_identity_token_takes_the_place_of_a_password(path: Path) -> None:
    logins = write(path, auths={"a.example": {**auth("me:"), "identitytoken": "long"}})
    found = logins.find("a.example")
    assert found is not None and found.identity_token == "long" and not found.password


def test_no_file_is_no_login(path: Path) -> None:
    assert DockerCredentials([path]).find("a.example") is None


def test_the_first_file_that_knows_the_registry_counts(tmp_path: Path) -> None:
    write(tmp_path / "one", auths={"a.example": auth("one:x")})
    write(tmp_path / "two", auths={"a.example": auth("two:x"), "b.example": auth("two:y")})
    logins = DockerCredentials([tmp_path / "one", tmp_path / "none", tmp_path / "two"])
    assert [found and found.username for found in map(logins.find, ("a.example", "b.example"))] == ["one", "two"]


@pytest.mark.parametrize("content", ["{", "[1]", "\xff", '{"auths": {"a.example": {"auth": "@@@"}}}', '{"auths": 3}'])
def test_a_damaged_file_is_told_or_holds_no_login(content: str, path: Path) -> None:
    path.write_bytes(content.encode("latin-1"))
    try:
        assert DockerCredentials([path]).find("a.example") is None
    except RegistryError as error:
        assert str(path) in error.where


def test_saving_keeps_the_rest_and_is_for_the_account_alone(path: Path) -> None:
    logins = write(path, auths={"a.example": auth("a:x")}, HttpHeaders={"X": "y"})
    path.chmod(0o644)
    assert logins.save("b.example", Login(username="b", password="open sesame")) == ""
    document = json.loads(path.read_text())
    assert document["HttpHeaders"] == {"X": "y"} and document["auths"]["b.example"] == auth("b:open sesame")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert logins.find("a.example") == Login(username="a", password="x")
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_the_folder_is_made_for_the_account_alone(tmp_path: Path) -> None:
    logins = DockerCredentials([tmp_path / ".docker" / "config.json"])
    logins.save("a.example", Login(username="a", password="b"))
    assert stat.S_IMODE((tmp_path / ".docker").stat().st_mode) == 0o700


def test_a_link_to_the_file_stays_one(tmp_path: Path, path: Path) -> None:
    (tmp_path / "elsewhere").write_text("{}")
    path.symlink_to("elsewhere")
    DockerCredentials([path]).save("a.example", Login(username="a", password="b"))
    assert path.is_symlink() and "a.example" in (tmp_path / "elsewhere").read_text()


def test_forgetting_takes_one_login_away(path: Path) -> None:
    logins = write(path, auths={"https://a.example/v1/": auth("a:x"), "b.example": auth("b:y")})
    assert logins.forget("a.example") and not logins.forget("a.example")
    assert logins.find("a.example") is None and logins.find("b.example") is not None


@pytest.mark.parametrize("where", ["credsStore", "credHelpers"])
def test_helpers_keep_logins(where: str, helper: str, path: Path) -> None:
    logins = write(path, **{where: helper if where == "credsStore" else {"a.example": helper}})
    assert logins.find("a.example") is None
    assert logins.save("a.example", Login(username="me", password="hush")) == helper
    assert "hush" not in path.read_text() and base64.b64encode(b"me:hush").decode() not in path.read_text()
    assert logins.find("a.example") == Login(username="me", password="hush")
    assert logins.forget("a.example")
    assert logins.find("a.example") is None


def test_a_helper_may_keep_an_identity_token(helper: str, path: Path) -> None:
    logins = write(path, credsStore=helper)
    logins.save("a.example", Login(identity_token="long"))
    found = logins.find("a.example")
    assert found is not None and found.identity_token == "long"


def test_a_helper_that_is_missing_is_told(path: Path) -> None:
    with pytest.raises(RegistryError, match="docker-credential-nowhere") as caught:
        write(path, credsStore="nowhere").find("a.example")
    assert "credsStore" in caught.value.hint


@pytest.mark.parametrize("name", ["../evil", "/bin/sh"])
def test_a_helper_is_a_name_and_no_path(name: str, path: Path) -> None:
    with pytest.raises(RegistryError, match="credential helper"):
        write(path, credsStore=name).find("a.example")


def test_secrets_are_in_no_text_of_a_login() -> None:
    assert "hush" not in repr(Login(username="me", password="hush", identity_token="hush"))
