"""docs/builds.md and docs/dockerfile.md, followed line by line by every kind of account on the machine's own image."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EVERYTHING = """# check=skip=SecretsUsedInArgOrEnv
# What is built upon
ARG BASE=host
# base the first stage
FROM $BASE AS base
# LEVEL how loud
ARG LEVEL=1
ARG SECRET_KEY
RUN echo "$LEVEL" > /level
FROM base AS unused
RUN false
FROM base AS left
RUN --mount=type=cache,target=/kept,id=docs echo "$LEVEL" >> /kept/times; wc -l < /kept/times > /times
FROM base AS right
RUN --mount=target=/ctx --mount=type=tmpfs,target=/t,size=1m cat /ctx/a > /t/a && cp /t/a /right
RUN --mount=type=secret,id=word --mount=type=secret,id=word,env=WORD test "$(cat /run/secrets/word)" = "$WORD"
RUN --network=none test "$(ls /sys/class/net)" = lo
FROM scratch AS last
ARG LEVEL=none
COPY --from=left /times /level /out/
COPY --from=right --chown=5:6 --chmod=640 /right /out/
COPY --exclude=**/*.md --parents d/./e /tree/
COPY <<END /out/said
level ${LEVEL:-none}
END
ADD files.tar.gz /added/
LABEL a=b
HEALTHCHECK --interval=5s CMD ["/x"]
"""
FIXED_TIME = 946_684_800


@pytest.fixture
def context(account) -> Iterator[Path]:
    """What is copied, what is ignored, and what nobody may read."""
    folder = account.home / "docs context"
    (folder / "d/e").mkdir(parents=True)
    for name in ("a", "ignored", "d/e/f", "d/e/g.md", "with\nline"):
        (folder / name).write_text(f"{name}\n")
    with tarfile.open(folder / "files.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("inside")
        entry.size = 2
        archive.addfile(entry, io.BytesIO(b"in"))
    (folder / ".dockerignore").write_text("ignored\nlocked\n")
    (folder / "Dockerfile").write_text(EVERYTHING)
    (folder / "locked").mkdir()
    os.mkfifo(folder / "pipe")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "locked").chmod(0)
    folder.chmod(0o755)
    yield folder
    (folder / "locked").chmod(0o700)  # else only root could remove it
    shutil.rmtree(folder)


def build(account, *flags: str, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    done: subprocess.CompletedProcess[str] = account.airdock("image", "build", *flags, env=env)
    assert done.returncode == code, done.stderr
    return done


def test_what_the_pages_say_of_a_build(account, context: Path, unchanged_machine: Callable[[], None]) -> None:
    where, out = str(context), account.home / "docs-out.tar"
    secret = ("--secret", "id=word,env=WORD")
    first = build(account, *secret, "-o", f"type=tar,dest={out}", "-t", "docs:1", where, WORD="sesame")
    assert "RUN false" not in first.stderr
    with tarfile.open(out) as archive:
        found = {member.name: member for member in archive}
        texts = {name: archive.extractfile(name).read() for name, member in found.items() if member.isfile()}  # type: ignore[union-attr]
    out.unlink()
    assert texts == {
        "out/times": b"1\n",
        "out/level": b"1\n",
        "out/right": b"a\n",
        "out/said": b"level none\n",
        "tree/e/f": b"d/e/f\n",
        "added/inside": b"in",
    }
    right = found["out/right"]
    assert (right.uid, right.gid, right.mode) == (5, 6, 0o640)
    assert {member.mtime for name, member in found.items() if name != "added/inside"} == {FIXED_TIME}
    again = build(account, *secret, where, WORD="another")
    assert "done in" not in again.stderr  # secrets don't count
    flags = ("--build-arg", "LEVEL=2", "--explain", "--no-cache-filter", "right")
    changed = build(account, *secret, *flags, where, WORD="x")
    assert "LEVEL" in next(line for line in changed.stderr.splitlines() if "not cached" in line)
    assert "not cached: the cache is not to be asked" in changed.stderr
    kept = account.run("sh", "-c", "find ~/.airdock/cache/mounts -name times -exec cat {} +")
    assert kept.stdout == "1\n2\n"
    inspected = json.loads(account.airdock("image", "inspect", "docs:1").stdout)[0]
    assert inspected["Config"]["Labels"] == {"a": "b"}


def test_what_the_pages_say_of_looking(root_account, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(EVERYTHING)
    targets = json.loads(build(root_account, "--call=targets", "--json", str(tmp_path)).stdout)
    assert [row["name"] for row in targets] == ["base", "unused", "left", "right", "last (default)"]
    outline = json.loads(build(root_account, "--call=outline", "--json", str(tmp_path)).stdout)
    assert [(row["name"], row["description"]) for row in outline[:2]] == [("BASE", ""), ("LEVEL", "how loud")]
    assert "no warnings" in build(root_account, "--check", str(tmp_path)).stdout


def test_what_is_not_to_be_had_is_named(account, context: Path, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.id
    (context / "Dockerfile").write_text("FROM host\nCOPY --chown=5:6 a /b\nRUN echo > /c; chown 5:6 /c\n")
    refused = build(account, str(context), code=1 if "plain" in kind else 0)
    if "plain" in kind:
        assert "/etc/subuid" in refused.stderr or "--add-subuids" in refused.stderr
    (context / ".dockerignore").unlink()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /x/\n")
    # With id ranges whoever builds is root over all of its own, and the folder is its own where it runs the tests.
    is_read = "root" in kind or ("ranged" in kind and os.geteuid() != 0)
    refused = build(account, str(context), code=0 if is_read else 1)
    if not is_read:
        assert "locked" in refused.stderr
        assert "Permission denied" in refused.stderr
