"""Steps of builds in real containers, by every kind of account: what they see, what is kept, what is left behind."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

IMPORT = """
import sys
from pathlib import Path
from airdock.app import App
from airdock.config import load_config
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform

platform = host_platform()
config = ImageConfig(architecture=platform.architecture, variant=platform.variant, created="2024-01-01T00:00:00Z")
with App(load_config()) as app:
    app.images.tag("debian:bookworm-slim", app.images.import_tar(Path(sys.argv[1]), config).digest)
"""

REMOVE_HOME = """
from airdock.app import App
from airdock.config import load_config
config = load_config()
with App(config) as app:
    app.launcher.call("airdock.images.unpack:remove_tree", {"path": str(config.home)})
"""


class Builder:
    """An account with a context folder and a Debian base."""

    def __init__(self, account) -> None:
        self.account = account
        self.context = account.home / "context"

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.context / name
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o644)
        self.context.chmod(0o755)

    def build(self, dockerfile: str, *options: str) -> subprocess.CompletedProcess[str]:
        self.write({"Dockerfile": dockerfile})
        return self.account.airdock("image", "build", "-t", "test", "--plain", *options, str(self.context))

    def start(self) -> subprocess.Popen[str]:
        """A build of what was written, that goes on by itself; its progress is on stderr."""
        account = self.account
        argv = [account.python, "-m", "airdock", "image", "build", "--plain", str(self.context)]
        return subprocess.Popen(
            [*account.become, *argv],
            env=dict(account.environment),
            cwd=account.home,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str) -> str:
        done = self.account.airdock("container", "run", "--rm", "test", "sh", "-c", command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def leftovers(self) -> list[str]:
        home = self.account.home / ".airdock"
        return [str(path) for path in [*home.glob("cache/**/.tmp-*"), *home.glob("run/containers/*")]]

    def manifest(self) -> str:
        index = json.loads((self.account.home / ".airdock/images/index.json").read_text())
        [entry] = [entry for entry in index["manifests"] if "test:latest" in str(entry.get("annotations"))]
        return entry["digest"]


def prepare(account, debian_base: Path) -> Builder:
    builder = Builder(account)
    builder.context.mkdir(mode=0o755)
    done = account.run(account.python, "-c", IMPORT, str(debian_base))
    assert done.returncode == 0, done.stderr
    return builder


def clean(account) -> None:
    shutil.rmtree(account.home / "context", ignore_errors=True)
    account.run(account.python, "-c", REMOVE_HOME)


@pytest.fixture
def builder(account, debian_base: Path) -> Iterator[Builder]:
    try:
        yield prepare(account, debian_base)
    finally:
        clean(account)


def test_what_commands_write_delete_and_see(builder: Builder, unchanged_machine: Callable[[], None]) -> None:
    builder.write({"etc/own.conf": "own\n", "late": "late"})
    done = builder.build(
        "FROM debian:bookworm-slim\n"
        "ARG GREETING=hello\n"
        "ENV WHO=world\n"
        "WORKDIR /opt/app\n"
        "RUN echo $GREETING $WHO > said && pwd > where && rm /etc/motd /etc/issue\n"
        "RUN mkdir -p /var/x && touch /var/x/a\n"
        "COPY . /\n"
        "RUN rm -rf /var/x && mkdir /var/x && cat /etc/own.conf > /var/x/b\n"
        "COPY late /var/x/\n"
        'RUN <<EOF\n#!/bin/sh -e\necho "$0" > script\nls -d /dev/pipes >> script\nEOF\n'
        "RUN <<EOF\ntest ! -e /dev/pipes\necho from the shell > heredoc\nEOF\n"
        "COPY <<one <<'two' /opt/app/docs/\n$GREETING\none\n$GREETING\ntwo\n"
        "RUN --network=none ls /sys/class/net > net\n"
    )
    assert done.returncode == 0, done.stderr
    assert builder.run("cat said where /var/x/b script heredoc docs/one docs/two net").splitlines() == [
        "hello world",
        "/opt/app",
        "own",
        "/dev/pipes/EOF",
        "/dev/pipes",
        "from the shell",
        "hello",
        "$GREETING",
        "lo",
    ]
    assert builder.run("ls /var/x; ls /etc/motd /etc/issue 2>/dev/null | wc -l").split() == ["b", "late", "0"]
    assert builder.run("echo ${GREETING-unset} $WHO") == "unset world\n"
    assert builder.leftovers() == []


def test_a_failing_command(builder: Builder, unchanged_machine: Callable[[], None]) -> None:
    done = builder.build("FROM debian:bookworm-slim\n\nRUN echo before; echo wrong >&2; \\\n  exit 42\nRUN never\n")
    assert done.returncode == 1
    assert "Dockerfile:3" in done.stderr
    assert "exit code 42" in done.stderr
    assert done.stderr.count("wrong") >= 2  # while it ran, and with the error
    assert builder.leftovers() == []
    missing = builder.build('FROM scratch\nRUN ["/bin/true"]\n')
    assert missing.returncode == 1
    assert "FROM scratch is empty" in missing.stderr
    assert builder.leftovers() == []


def test_an_interrupted_build_leaves_nothing(builder: Builder, unchanged_machine: Callable[[], None]) -> None:
    builder.write({"Dockerfile": "FROM debian:bookworm-slim\nRUN echo started; sleep 1000\n"})
    build = builder.start()
    assert build.stderr is not None
    with build, build.stderr:
        assert any("| started" in line for line in build.stderr)
        os.kill(build.pid, signal.SIGINT)
        assert build.wait(30) == 130
    assert builder.leftovers() == []


def test_a_killed_build_leaves_nothing_running_and_the_next_one_cleans_up(
    builder: Builder, unchanged_machine: Callable[[], None]
) -> None:
    builder.write({"Dockerfile": "FROM debian:bookworm-slim\nRUN echo started; sleep 1000\n"})
    build = builder.start()
    assert build.stderr is not None
    with build, build.stderr:
        assert any("| started" in line for line in build.stderr)
        build.kill()
        build.wait(30)
    unchanged_machine()
    done = builder.build("FROM debian:bookworm-slim\nRUN true\n")
    assert done.returncode == 0, done.stderr
    deadline = time.monotonic() + 5
    while any("cache" in path for path in builder.leftovers()):
        assert time.monotonic() < deadline, builder.leftovers()
        time.sleep(0.05)


def test_users_and_owners(builder: Builder, request: pytest.FixtureRequest) -> None:
    if "plain" in request.node.callspec.id:
        pytest.skip("being somebody else needs id ranges")
    builder.write({"a": "a"})
    done = builder.build(
        "FROM debian:bookworm-slim\n"
        "RUN useradd --create-home --uid 1500 user && chmod 700 /home/user\n"
        "COPY --chown=user:daemon a /home/user/deep/\n"
        "COPY a /home/user/rooted\n"
        "USER user\n"
        "WORKDIR /home/user/work\n"
        "RUN id -u > id && cat ../deep/a ../rooted\n"
        "RUN cat /home/user/deep/a; ! touch /etc/x\n"
    )
    assert done.returncode == 0, done.stderr
    found = builder.run("stat -c '%n %u %g %a' /home/user /home/user/deep /home/user/deep/a ../rooted . id")
    assert found.splitlines() == [
        "/home/user 1500 1500 700",
        "/home/user/deep 1500 1 755",
        "/home/user/deep/a 1500 1 644",
        "../rooted 0 0 644",
        ". 1500 1500 755",
        "id 1500 1500 644",
    ]


def test_every_account_makes_the_same_image(
    root_account, plain_account, ranged_account, debian_base: Path, tmp_path: Path
) -> None:
    subprocess.run(["tar", "-C", "/usr/share", "-czf", str(tmp_path / "a.tgz"), "base-files"], check=True)
    made = {}
    for account in (root_account, plain_account, ranged_account):
        try:
            builder = prepare(account, debian_base)
            builder.write({"src/a.py": "a", "src/b/c.py": "c"})
            shutil.copy(tmp_path / "a.tgz", builder.context)
            done = builder.build(
                "FROM debian:bookworm-slim AS first\n"
                "COPY --chown=daemon:games --chmod=0750 src /srv/app/\n"
                "WORKDIR /srv/app/work\n"
                "FROM first\n"
                "COPY src/a.py /srv/app/b/more.py\n"  # into folders that aren't root's
                "ADD a.tgz /lib/\n"
                "COPY --from=first /srv /copy/\n"
                "USER games\n"
                "WORKDIR /srv/games\n"
                'LABEL a=b\nCMD ["true"]\n'
            )
            assert done.returncode == 0, done.stderr
            made[account.name] = (done.stdout, builder.manifest())
        finally:
            clean(account)
    assert len(set(made.values())) == 1, made
