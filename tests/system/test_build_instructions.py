"""Each instruction through Docker's own builder and through us: equal configuration, equal files, owners and modes.

Docker 20.10 knows the language up to version 1.3: `build_language_cases.py` is what it can be asked. What came later
(heredocs, --link, --parents, --exclude, …) is held to the manual's words in `test_build_language.py`.
"""

import io
import json
import runpy
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TABLE = runpy.run_path(str(Path(__file__).with_name("build_language_cases.py")))
TREES, CONFIGS = TABLE["TREES"], TABLE["CONFIGS"]

IMPORT = """
import sys
from pathlib import Path
from airdock.app import App
from airdock.config import load_config

with App(load_config()) as app:
    app.images.tag("base:1", app.images.import_tar(Path(sys.argv[1])).digest)
"""
UNSET = (None, "", [], {}, False)
OLD = {"ArgsEscaped"}
"""What the specification of images says not to write any more: it meant something on Windows only."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    TABLE["make_context"](folder)
    return folder


@pytest.fixture(scope="module")
def engines(root_account, docker, debian_base: Path) -> Iterator[tuple[Any, Any]]:
    """Docker and us, each with the same base."""
    docker("import", str(debian_base), "base:1")
    done = root_account.run(root_account.python, "-c", IMPORT, str(debian_base))
    assert done.returncode == 0, done.stderr
    yield docker, root_account
    shutil.rmtree(root_account.home / ".airdock", ignore_errors=True)


def build_ours(account, context: Path, dockerfile: str, options: tuple[str, ...]) -> dict[str, Any]:
    """The image's configuration, read from the blobs by nothing of ours, with the tars of its layers under "layers"."""
    (context / "Dockerfile").write_text(dockerfile)
    built = account.airdock("image", "build", "-t", "ours:1", "--plain", *options, str(context))
    assert built.returncode == 0, built.stderr
    images = account.home / ".airdock" / "images"
    index = json.loads((images / "index.json").read_text())
    [digest] = [
        entry["digest"] for entry in index["manifests"] if "ours:1" in str(entry.get("annotations", {}).values())
    ]
    manifest = json.loads(blob(images, digest).read_text())
    config: dict[str, Any] = json.loads(blob(images, manifest["config"]["digest"]).read_text())
    return {**config, "layers": [blob(images, layer["digest"]) for layer in manifest["layers"]]}


def blob(images: Path, digest: str) -> Path:
    return images / "blobs" / "sha256" / digest.removeprefix("sha256:")


def read_tree(*archives: bytes) -> dict[str, tuple[object, ...]]:
    """What layers come to: by path kind, mode, owner, link or content."""
    found: dict[str, tuple[object, ...]] = {}
    for archive in archives:
        tar = tarfile.open(fileobj=io.BytesIO(archive))  # noqa: SIM115 - nothing is open
        for member in tar:
            name = member.name.strip("./")
            folder, _, last = name.rpartition("/")
            if last.startswith(".wh."):
                gone = f"{folder}/{last[4:]}".strip("/")
                found = {path: value for path, value in found.items() if not f"{path}/".startswith(f"{gone}/")}
                continue
            data = tar.extractfile(member).read() if member.isreg() else b""  # type: ignore[union-attr]
            if member.islnk():
                found[name] = found[member.linkname.strip("./")]
            else:
                mode = 0 if member.issym() else member.mode & 0o7777
                found[name] = (member.type, mode, member.uid, member.gid, member.linkname, data)
    found.pop("", None)
    return found


@pytest.mark.parametrize(("dockerfile", "options"), TREES.values(), ids=TREES)
def test_files(engines, context: Path, dockerfile: str, options: tuple[str, ...]) -> None:
    docker, account = engines
    ours = build_ours(account, context, dockerfile, options)
    theirs = docker("build", "--network", "host", *options, "--output", "type=tar,dest=-", str(context)).stdout
    expected = read_tree(theirs)
    assert read_tree(*(layer.read_bytes() for layer in ours["layers"])) == expected
    assert expected


@pytest.mark.parametrize(("dockerfile", "options"), CONFIGS.values(), ids=CONFIGS)
def test_configuration(engines, context: Path, dockerfile: str, options: tuple[str, ...]) -> None:
    docker, account = engines
    ours = build_ours(account, context, dockerfile, options)
    docker("build", "--network", "host", *options, "-t", "theirs:1", str(context))
    [theirs] = json.loads(docker("image", "inspect", "theirs:1").stdout)
    history = docker("history", "--no-trunc", "--human=false", "--format", "{{json .}}", "theirs:1").stdout
    expected = {name: value for name, value in theirs["Config"].items() if value not in UNSET and name not in OLD}
    assert {name: value for name, value in ours["config"].items() if value not in UNSET} == expected
    assert ours.get("author", "") == theirs["Author"]
    entries = [json.loads(line) for line in history.decode().splitlines()][::-1]
    # Their base has a line for its import, and they keep none for ONBUILD. What a line says is for people.
    kept = [entry for entry in ours["history"] if not entry["created_by"].startswith("ONBUILD")]
    assert len(kept) == len(entries) - 1


def test_every_instruction_is_compared() -> None:
    text = "\n".join(dockerfile for dockerfile, _ in (*TREES.values(), *CONFIGS.values()))
    words = {line.split()[0] for line in text.splitlines() if line.strip()}
    assert words >= INSTRUCTIONS


INSTRUCTIONS = set(
    """ADD ARG CMD COPY ENTRYPOINT ENV EXPOSE FROM HEALTHCHECK LABEL MAINTAINER ONBUILD RUN SHELL STOPSIGNAL USER VOLUME
    WORKDIR""".split()  # noqa: SIM905 - easier to read so
)
