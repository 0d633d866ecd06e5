"""`airdock image` as a person types it: columns, filters, formats, names and what is refused."""

import json
import re
from collections.abc import Callable, Iterator

import pytest

from .conftest import Account

Do = Callable[..., str]


@pytest.fixture(scope="module")
def home(root_account: Account) -> Iterator[dict[str, str]]:
    folder = root_account.home / "image-commands"
    env = {"AIRDOCK_HOME": str(folder)}
    for tags, line in ((("app:1", "team/app:1"), "RUN echo one > /one"), (("app:2",), 'LABEL a=b\nENV X=1\nCMD ["x"]')):
        argv = [word for tag in tags for word in ("-t", tag)]
        text = f"FROM host\n{line}\n"
        made = root_account.airdock("image", "build", "-q", *argv, "-", env=env, input=text)
        assert made.returncode == 0, made.stderr
    yield env
    root_account.run("rm", "-rf", str(folder))


@pytest.fixture
def do(root_account: Account, home: dict[str, str]) -> Do:
    def run(*argv: str, code: int = 0) -> str:
        ended = root_account.airdock("image", *argv, env=home)
        assert ended.returncode == code, ended.stderr
        return ended.stderr if code else ended.stdout

    return run


def test_ls(do: Do) -> None:
    heading, *lines = do("ls").splitlines()
    assert heading.split() == ["REPOSITORY", "TAG", "IMAGE", "ID", "CREATED", "SIZE"]
    assert {tuple(line.split()[:2]) for line in lines} == {
        ("app", "1"), ("team/app", "1"), ("app", "2"), ("host", "latest"),
    }  # fmt: skip
    assert do("ls", "app", "--format", "{{.Tag}}").split() == ["2", "1"]
    assert do("ls", "*/app", "--format", "{{.Repository}}") == "team/app\n"
    assert do("ls", "--filter", "label=a=b", "--format", "{{.Repository}}:{{.Tag}}") == "app:2\n"
    assert do("ls", "--filter", "before=app:2", "--filter", "reference=app", "--format", "{{.Tag}}") == "1\n"
    assert "DIGEST" in do("ls", "--digests") and "sha256:" in do("ls", "--digests")
    ids = do("ls", "-q", "--no-trunc").split()
    assert len(ids) == 4 and all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in ids)
    rows = [json.loads(line) for line in do("ls", "-a", "--format", "json").splitlines()]
    assert {"SharedSize", "UniqueSize", "Containers", "Platform"} <= rows[0].keys()
    assert "there are: {{.Repository}}" in do("ls", "--format", "{{.Colour}}", code=2)
    assert "the keys are: dangling" in do("ls", "--filter", "colour=red", code=1)


def test_inspect(do: Do) -> None:
    (found,) = json.loads(do("inspect", "app:2"))
    assert (found["RepoTags"], found["Config"]["Cmd"], found["Portable"]) == (["app:2"], ["x"], False)
    assert found["Descriptor"]["digest"] == found["RepoDigests"][0].partition("@")[2]
    assert do("inspect", "-f", '{{.Id}} {{index .Config.Labels "a"}}', "app:2") == f"{found['Id']} b\n"
    assert do("inspect", "-f", "{{.RepoTags}}", found["Id"][7:19]) == "[app:2]\n"
    assert do("inspect", "-f", "{{.Architecture}}", "app:1", "app:2").count("\n") == 2
    assert "there are: " in do("inspect", "-f", "{{.Nothing}}", "app:2", code=2)
    assert "nearest are" in do("inspect", "appp:2", code=1)


def test_history(do: Do) -> None:
    heading, *lines = do("history", "app:1").splitlines()
    assert heading.split() == ["IMAGE", "CREATED", "CREATED", "BY", "SIZE", "COMMENT"]
    assert "RUN /bin/sh -c echo one > /one" in lines[0] and lines[1].startswith("<missing>")
    short = do("inspect", "-f", "{{.Id}}", "app:1")[7:19]
    assert do("history", "-q", "app:1").split() == [short, "<missing>"]
    assert do("history", "--format", "{{.Size}}", "--no-human", "app:1").split()[0].isdigit()
    (first, *_) = do("history", "--format", "json", "app:2").splitlines()
    assert json.loads(first)["CreatedBy"] == 'CMD ["x"]'


def test_tags_and_removal(do: Do) -> None:
    digest = do("inspect", "-f", "{{.Descriptor.digest}}", "app:1").strip()
    do("tag", "app:1", "localhost:5000/x:3")
    assert do("rm", "localhost:5000/x:3") == "Untagged: localhost:5000/x:3\n"
    assert "expected an image with one name" in do("rm", digest, code=1)
    assert do("rm", "-f", digest).splitlines()[-1] == f"Deleted: {digest}"
    assert "found none named" in do("rm", "app:1", code=1)
    do("tag", "app:2", "spare:1")
    assert do("rm", "spare:1", "app:2").splitlines()[0] == "Untagged: spare:1"
    assert do("prune", "-a", "-f", "--filter", "label=nothing") == "Total reclaimed space: 0B\n"
    assert "expected a filter" in do("prune", "-f", "--filter", "dangling=true", code=1)


def test_archives_that_cannot_be(do: Do) -> None:
    assert "expected an archive, found" in do("load", "-i", "/nowhere", code=1)
    assert "found neither index.json" in do("load", "-i", "/dev/null", code=1)
    assert "expected a platform" in do("save", "--platform", "a b", "host", code=1)
    assert "expected an archive, found" in do("import", "http://127.0.0.1:9/x.tar", code=1)
