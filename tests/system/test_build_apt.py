"""`apt-get install` in a build: done as root and with id ranges; with a single id the reason is told, and what to do.

The packages are Debian's own, fetched once and served from loopback, so that the tests need no mirror.
"""

import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

CACHE = Path("/var/cache/airdock-tests")
FETCH = """
set -e
mkdir -p lists/partial archives/partial state
tar -xOf "$1" ./var/lib/dpkg/status > state/status
echo "deb http://deb.debian.org/debian bookworm main" > sources.list
options="-o Dir::State=$PWD/state -o Dir::State::status=$PWD/state/status -o Dir::State::Lists=$PWD/lists
 -o Dir::Cache=$PWD -o Dir::Cache::archives=$PWD/archives -o Dir::Etc::SourceList=$PWD/sources.list
 -o Dir::Etc::SourceParts=/dev/null -o Debug::NoLocking=1 -o APT::Sandbox::User=root"
apt-get $options -qq update
apt-get $options -qq install -y --no-install-recommends --download-only curl
"""
IMPORT = """
import sys
from pathlib import Path
from airdock.app import App
from airdock.config import load_config

with App(load_config()) as app:
    app.images.tag("apt-base:1", app.images.import_tar(Path(sys.argv[1])).digest)
"""
REMOVE_HOME = """
import shutil
from airdock.app import App
from airdock.config import load_config
config = load_config()
with App(config) as app:
    app.launcher.call("airdock.images.unpack:remove_tree", {"path": str(config.home / "images")})
shutil.rmtree(config.home)
"""


@pytest.fixture(scope="session")
def apt_base(debian_base: Path) -> Path:
    """The root folder of a Debian 12 with apt, as a tar."""
    base = CACHE / "bookworm-apt.tar"
    if not base.exists():
        partial = CACHE / "bookworm-apt.partial.tar"
        made = subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", "bookworm", str(partial)], capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"a base with apt can't be made here: {made.stderr[-300:]}")
        partial.rename(base)
    return base


@pytest.fixture(scope="session")
def repository(apt_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an apt repository that has curl and what it needs."""
    folder = CACHE / "curl-repository"
    if not (folder / "Packages").exists():
        work = tmp_path_factory.mktemp("fetch")
        fetched = subprocess.run(["sh", "-c", FETCH, "sh", apt_base], cwd=work, capture_output=True, text=True)
        if fetched.returncode:
            pytest.skip(f"Debian's packages can't be fetched here: {fetched.stderr[-300:]}")
        folder.mkdir(exist_ok=True)
        for package in (work / "archives").glob("*.deb"):
            shutil.copy(package, folder)
        (folder / "Packages").write_text("\n".join(describe(package) for package in sorted(folder.glob("*.deb"))))
    handler = functools.partial(Handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def describe(package: Path) -> str:
    fields = subprocess.check_output(["dpkg-deb", "--field", str(package)], text=True)
    data = package.read_bytes()
    return f"{fields}Filename: {package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"


def test_apt_get_install(
    account,
    apt_base: Path,
    repository: str,
    unchanged_machine: Callable[[], None],
    request: pytest.FixtureRequest,
) -> None:
    context = account.home / "apt-context"
    context.mkdir()
    context.chmod(0o755)
    (context / "Dockerfile").write_text(
        f"FROM apt-base:1\nRUN echo 'deb [trusted=yes] {repository} ./' > /etc/apt/sources.list\n"
        "RUN apt-get update && apt-get install -y curl && curl --version\n"
        "RUN rm -rf /var/lib/apt/lists/* && id _apt && stat -c %U /var/cache/apt/archives/partial\n"
    )
    try:
        done = account.run(account.python, "-c", IMPORT, str(apt_base))
        assert done.returncode == 0, done.stderr
        built = account.airdock("image", "build", "-t", "with-curl:1", "--plain", str(context))
        if "plain" in request.node.callspec.id:
            assert built.returncode == 1
            assert "Dockerfile:3\n" in built.stderr
            hint = next(line for line in built.stderr.splitlines() if line.strip().startswith("do:"))
            assert "single id" in hint
            assert f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {account.name}" in hint
            assert "apt-get install uidmap" in hint
            return
        assert built.returncode == 0, built.stderr
        ran = account.airdock("container", "run", "--rm", "with-curl:1", "curl", "-s", f"{repository}/Packages")
        assert ran.returncode == 0, ran.stderr
        assert "Package: curl\n" in ran.stdout
        inspected = json.loads(account.airdock("image", "inspect", "with-curl:1").stdout)
        assert inspected
    finally:
        shutil.rmtree(context)
        account.run(account.python, "-c", REMOVE_HOME)
