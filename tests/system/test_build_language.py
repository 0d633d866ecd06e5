"""The language beyond what Docker 20.10 knows, by every kind of account: heredocs, mounts, secrets, agents, flags.

What is expected is the manual's word: https://docs.docker.com/reference/dockerfile/. The commands check themselves.
"""

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SECRET = "sesame-5127"

HEREDOCS = r"""
FROM base:1 AS made
ENV NAME=outer
RUN <<EOF
set -e
mkdir /made
cd /made
echo "$NAME" > shell
EOF
RUN <<-TABS cat > /made/tabs
	indented $NAME
		more
	TABS
RUN <<'RAW' cat > /made/raw
$NAME \$NAME
RAW
RUN <<SCRIPT
#!/usr/bin/perl
open(my $file, ">", "/made/perl"); print $file "perl $ENV{NAME}\n";
SCRIPT
RUN perl - <<'ONE' 3<<TWO > /made/both
open(my $other, "<&=", 3); print "one\n", <$other>;
ONE
two $NAME
TWO
SHELL ["/bin/bash", "-c"]
RUN <<EOF
echo "${BASH_VERSION:0:1}" > /made/bash
EOF
COPY <<ONE <<"TWO" <<-three.txt /made/docs/
$NAME \$NAME "quoted"
ONE
$NAME
TWO
	tabbed
	three.txt
COPY --chmod=0750 <<EOF /made/named
content
EOF
FROM base:1
COPY --from=made /made /made
RUN <<EOF
set -ex
cd /made
test "$(cat shell)" = outer
test "$(cat tabs)" = "indented outer
more"
test "$(cat raw)" = '$NAME \$NAME'
test "$(cat perl)" = "perl outer"
test "$(cat both)" = "one
two outer"
test "$(cat bash)" -ge 5
test "$(cat docs/ONE)" = 'outer $NAME "quoted"'
test "$(cat docs/TWO)" = '$NAME'
test "$(cat docs/three.txt)" = tabbed
test "$(stat -c %a:%u named)" = 750:0
EOF
"""

MOUNTS = r"""
FROM base:1 AS stage
RUN mkdir /s && echo from stage > /s/f && ln -s f /s/link
FROM base:1
RUN --mount=target=/c test "$(cat /c/a.txt)" = a && test ! -e /c/ignored && test $(stat -c %u:%a /c/a.txt) = 0:644
RUN --mount=source=a.txt,target=/ctx ! sh -c 'echo x > /ctx' && ! touch /ctx
RUN --mount=source=d,target=/ctx,rw rm /ctx/e.txt && echo new > /ctx/new && test "$(ls /ctx)" = "$(printf 'f.md\nnew')"
RUN --mount=source=d,target=/ctx test "$(ls /ctx)" = "$(printf 'e.txt\nf.md')"
RUN --mount=from=stage,source=s,target=/s test "$(cat /s/link)" = "from stage"
RUN --mount=from=stage,source=/s/link,target=/x/y test "$(cat /x/y)" = "from stage"
RUN --mount=from=stage,target=/s --mount=type=tmpfs,target=/t,size=1m test -x /s/bin/sh && echo 1 > /t/1
RUN --mount=type=cache,target=/cache test ! -e /cache/1 && echo 1 > /cache/1 && test "$(stat -c %a /cache)" = 755
RUN --mount=type=cache,target=/other,id=/cache,sharing=locked test -e /other/1
RUN --mount=type=cache,target=/cache,ro test -e /cache/1 && ! touch /cache/2
RUN --mount=type=cache,target=/seeded,from=stage,source=s test "$(cat /seeded/f)" = "from stage" && rm /seeded/f
RUN --mount=type=cache,target=/seeded,from=stage,source=s test ! -e /seeded/f
RUN --mount=type=tmpfs,target=/t test "$(stat -f -c %T /t)" = tmpfs && echo 1 > /t/1
RUN --mount=type=secret,id=token cd /run/secrets && test "$(cat token)" = SECRET && test $(stat -c %a token) = 400
RUN --mount=type=secret,id=token,env=TOKEN test "$TOKEN" = SECRET && test ! -e /run/secrets
RUN --mount=type=secret,id=token,target=/etc/token,mode=0444,env=T test "$(cat /etc/token)" = "$T"
RUN --mount=type=secret,id=missing test ! -e /run/secrets/missing
RUN --mount=type=ssh test "$(perl -MIO::Socket::UNIX -e 'my $s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) \
 or die $!; print $s "ping\n"; $s->flush; print scalar <$s>')" = pong && test "$(stat -c %a $SSH_AUTH_SOCK)" = 600
RUN --network=none test "$(ls /sys/class/net)" = lo
RUN test -z "$(ls -A /ctx /s /x /cache /other /seeded /t /run/secrets /etc/token 2> /dev/null)"
"""

OWNED = r"""
FROM base:1
USER daemon
RUN --mount=type=secret,id=token,uid=1,gid=2,mode=0040 test "$(stat -c %u:%g:%a /run/secrets/token)" = 1:2:40
RUN --mount=type=cache,target=/cache,uid=1,gid=1,mode=0700 echo 1 > /cache/1 && test "$(stat -c %U /cache/1)" = daemon
RUN --mount=type=ssh,uid=1,target=/tmp/agent perl -MIO::Socket::UNIX \
 -e 'my $s = IO::Socket::UNIX->new(Peer => "/tmp/agent") or die $!; print $s "ping\n"; die if <$s> ne "pong\n"'
"""

FLAGS = r"""
FROM base:1 AS two
RUN echo two > /two
FROM base:1 AS one
COPY --parents --exclude=**/*.md . /all/
COPY --link --chmod=u=rwX,go=rX d /linked/
COPY --link --from=base:1 /etc/debian_version /linked/version
ADD packed.tar.zst /unpacked/
ADD --unpack=false packed.tar.zst /packed/
ONBUILD COPY --from=two /two /from-two
FROM one
RUN <<EOF
set -ex
test "$(cat /all/d/e.txt)" = e
test ! -e /all/d/f.md
test "$(stat -c %a /linked/e.txt)" = 644
test -s /linked/version
test "$(cat /unpacked/in/side)" = inside
test -s /packed/packed.tar.zst
test "$(cat /from-two)" = two
EOF
"""

BUILD = """
import json, sys
from pathlib import Path
from airdock.app import App
from airdock.builder.base import BuildRequest
from airdock.config import load_config
from airdock.errors import AirdockError

asked = json.load(sys.stdin)
request = BuildRequest(
    dockerfile=asked["dockerfile"], context=Path(asked["context"]), tags=("built:1",), args=asked["args"],
    secrets={name: value.encode() for name, value in asked["secrets"].items()}, ssh=asked["ssh"],
    allow=frozenset(asked["allow"]),
)
lines = []
with App(load_config()) as app:
    try:
        app.engine.build(request, lambda event: lines.append(str(event)))
    except AirdockError as error:
        sys.exit("\\n".join([*lines[-30:], error.message, error.where, error.hint]))
"""

IMPORT = """
import sys
from pathlib import Path
from airdock.app import App
from airdock.config import load_config

with App(load_config()) as app:
    app.images.tag("base:1", app.images.import_tar(Path(sys.argv[1])).digest)
"""

REMOVE_HOME = """
import shutil
from airdock.app import App
from airdock.config import load_config
config = load_config()
with App(config) as app:
    for name in ("images", "cache"):
        app.launcher.call("airdock.images.unpack:remove_tree", {"path": str(config.home / name)})
shutil.rmtree(config.home)
"""


@pytest.fixture(scope="module")
def homes() -> Iterator[dict[str, Any]]:
    """The accounts that have the base, by name; their homes go when all tests are done."""
    made: dict[str, Any] = {}
    yield made
    for account in made.values():
        account.run(account.python, "-c", REMOVE_HOME)


@pytest.fixture
def builder(account, homes: dict[str, Any], debian_base: Path) -> Iterator[Any]:
    """An account with a base and a context."""
    context = account.home / "language"
    for name, text in {"a.txt": "a\n", "d/e.txt": "e\n", "d/f.md": "", "ignored": ""}.items():
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (context / ".dockerignore").write_text("ignored\n")
    for path in (context, *context.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if account.name not in homes:
        homes[account.name] = account
        imported = account.run(account.python, "-c", IMPORT, str(debian_base))
        assert imported.returncode == 0, imported.stderr
    yield account
    shutil.rmtree(context)


def build(account, dockerfile: str, **more: object) -> subprocess.CompletedProcess[str]:
    context = str(account.home / "language")
    asked = {"dockerfile": dockerfile, "context": context, "args": {}, "secrets": {}, "ssh": {}, "allow": []}
    done: subprocess.CompletedProcess[str] = account.run(
        account.python, "-c", BUILD, input=json.dumps({**asked, **more})
    )
    return done


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """A socket that answers ping with pong, as an agent's would be, and that everybody may talk to."""
    path = Path(f"/tmp/airdock-agent-{os.getpid()}-{tmp_path.name[-20:]}")  # a socket's path may have 107 characters
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(16) == b"ping\n":
                        connection.sendall(b"pong\n")

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            path.unlink()


def test_heredocs(builder, unchanged_machine: Callable[[], None]) -> None:
    built = build(builder, HEREDOCS)
    assert built.returncode == 0, built.stderr


def test_mounts(builder, agent: str, unchanged_machine: Callable[[], None], request: pytest.FixtureRequest) -> None:
    given = {"secrets": {"token": SECRET}, "ssh": {"default": agent}}
    built = build(builder, MOUNTS.replace("= SECRET", f'= "$(printf {SECRET[:4]}; printf {SECRET[4:]})"'), **given)
    assert built.returncode == 0, built.stderr
    kept = builder.run("grep", "-rlF", SECRET, str(builder.home / ".airdock"))
    assert kept.stdout == ""
    if "plain" not in request.node.callspec.id:
        owned = build(builder, OWNED, **given)
        assert owned.returncode == 0, owned.stderr
        return
    refused = build(builder, "FROM base:1\nRUN --mount=type=cache,target=/c,uid=5 true\n")
    assert refused.returncode == 1
    assert "expected to give a mount to 5:0" in refused.stderr
    assert "single id" in refused.stderr


def test_flags_of_copies(builder, unchanged_machine: Callable[[], None]) -> None:
    zstd = pytest.importorskip("backports.zstd")
    packed = subprocess.run(
        ["tar", "-C", "/", "--transform=s,.*,in/side,", "-cf", "-", "etc/hostname"], capture_output=True, check=True
    ).stdout
    hostname = Path("/etc/hostname").read_text().strip()
    (builder.home / "language/packed.tar.zst").write_bytes(zstd.compress(packed))
    built = build(builder, FLAGS.replace("= inside", f"= {hostname}"))
    assert built.returncode == 0, built.stderr


def test_rights_are_given_by_whoever_builds(builder, unchanged_machine: Callable[[], None]) -> None:
    text = "FROM base:1\nRUN --security={} unshare --mount true && echo done > /done\n"
    refused = build(builder, text.format("sandbox"))
    assert "unshare failed: Operation not permitted" in refused.stderr
    refused = build(builder, text.format("insecure"))
    assert "--allow security.insecure" in refused.stderr
    built = build(builder, text.format("insecure"), allow=["security.insecure"])
    assert built.returncode == 0, built.stderr
