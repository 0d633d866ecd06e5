"""What system tests share: ordinary accounts, a copy of the source they can read, a Debian base, and a look at the
machine before and after.

Accounts are made when first asked for and removed at the end; whoever can't make any is one of them himself. The
Debian base is made once with mmdebstrap and kept in the user's cache folder, since it takes ten seconds and 140 MB of
downloads.
"""

import fcntl
import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.apart import is_ours, is_process_ours

from airdock.runtime.idmaps import find_range

REPOSITORY = Path(__file__).parents[2]
RANGE_START = 300_000
RANGE_SIZE = 65_536
_CONTAINER_IDS = (range(200_000, 200_000 + RANGE_SIZE), range(RANGE_START, RANGE_START + RANGE_SIZE))
"""The ids of what runs in containers of root, and of the account with ranges."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Somebody who runs Airdock. `python` is an interpreter that may be executed and that finds the source."""

    name: str
    home: Path
    python: str
    environment: Mapping[str, str]

    @property
    def become(self) -> list[str]:
        """What goes before a command so that it is this account's: nothing where this account runs the tests."""
        if self.name == pwd.getpwuid(os.geteuid()).pw_name:
            return []
        return ["setpriv", f"--reuid={self.name}", f"--regid={self.name}", "--init-groups"]

    def run(
        self, *argv: str, env: Mapping[str, str] | None = None, timeout_s: float = 300, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as this account in its home; output is captured."""
        return subprocess.run(
            [*self.become, *argv],
            env={**self.environment, **(env or {})},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            input=input,
        )

    def airdock(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 300, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the `airdock` command as this account."""
        return self.run(self.python, "-m", "airdock", *arguments, env=env, timeout_s=timeout_s, input=input)


def _need_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("making and using other accounts needs root")


def _need_ordinary_python() -> None:
    if subprocess.run(["/usr/bin/python3", "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("an ordinary account needs /usr/bin/python3 of version 3.11 or newer")


@pytest.fixture(scope="session")
def ordinary_venv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A virtual environment on the system's Python, below a folder that everybody can enter, with Airdock in it."""
    _need_root()
    _need_ordinary_python()
    folder = Path("/var/tmp") / f"airdock-tests-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
        shutil.copytree(REPOSITORY / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(REPOSITORY / name, folder / name)
        subprocess.run([uv, "venv", "--quiet", "--python", "/usr/bin/python3", str(folder / "venv")], check=True)
        python = str(folder / "venv/bin/python")
        install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, "-e", str(folder)]
        subprocess.run(install, check=True)
        # Its accounts may not keep bytecode there: each command would compile all it imports.
        subprocess.run([python, "-m", "compileall", "-q", str(folder / "src")], check=True)
        subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
        yield folder / "venv"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_account(name: str, venv: Path, *, ranges: bool) -> Account:
    with _accounts():
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True, capture_output=True)
        # useradd gives ranges by itself on some machines: what the test wants is what counts.
        _set_ranges(name, [f"{name}:{RANGE_START}:{RANGE_SIZE}"] if ranges else [])
    home = Path(pwd.getpwnam(name).pw_dir)
    environment = _environment(home) | {"USER": name, "LOGNAME": name}
    return Account(name=name, home=home, python=str(venv / "bin/python"), environment=environment)


def _environment(home: Path) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy") or "CERT" in name or "CA_BUNDLE" in name
    }
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        **kept,
    }


def _remove_account(name: str) -> None:
    subprocess.run(["pkill", "-KILL", "-U", name], check=False)
    with _accounts():
        subprocess.run(["userdel", "--remove", name], check=False, capture_output=True)
        _set_ranges(name, [])


@contextmanager
def _accounts() -> Iterator[None]:
    """The files of accounts, which another test runner may want to change too."""
    with Path("/run/lock/airdock-tests-accounts").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _set_ranges(name: str, ranges: Sequence[str]) -> None:
    for file in (Path("/etc/subuid"), Path("/etc/subgid")):
        lines = [line for line in file.read_text().splitlines() if not line.startswith(f"{name}:")]
        file.write_text("".join(f"{line}\n" for line in [*lines, *ranges]))


def _own_account(home: Path, *, ranges: bool) -> Iterator[Account]:
    """Whoever runs the tests, with a home of its own for them."""
    uid = os.geteuid()
    name = pwd.getpwuid(uid).pw_name
    has_ranges = bool(find_range("/etc/subuid", uid, name) and shutil.which("newuidmap"))
    if has_ranges != ranges:
        pytest.skip(f"{name} has {'id' if has_ranges else 'no id'} ranges, and making another account needs root")
    environment = _environment(home) | {"USER": name, "LOGNAME": name}
    account = Account(name=name, home=home, python=sys.executable, environment=environment)
    yield account
    removed = account.run(account.python, "-c", _REMOVE_HOME)
    assert removed.returncode == 0, removed.stderr


_REMOVE_HOME = """
import shutil
from airdock.app import App
from airdock.config import load_config
config = load_config()
with App(config) as app:
    app.launcher.call("airdock.images.unpack:remove_tree", {"path": str(config.home / "images")})
shutil.rmtree(config.home)
"""
"""Files of images may belong to other ids of the account, and only where it has them can they be removed."""


@pytest.fixture(scope="session")
def plain_account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An ordinary account without id ranges: one id is all it has."""
    if os.geteuid() != 0:
        yield from _own_account(tmp_path_factory.mktemp("home"), ranges=False)
        return
    ordinary_venv = request.getfixturevalue("ordinary_venv")
    name = f"airdock-p{os.getpid()}"
    try:
        yield _make_account(name, ordinary_venv, ranges=False)
    finally:
        _remove_account(name)


@pytest.fixture(scope="session")
def ranged_account(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An ordinary account with id ranges in /etc/subuid and /etc/subgid."""
    if os.geteuid() != 0:
        yield from _own_account(tmp_path_factory.mktemp("home"), ranges=True)
        return
    if not (shutil.which("newuidmap") and shutil.which("newgidmap")):
        pytest.skip("id ranges need newuidmap and newgidmap (apt-get install uidmap)")
    ordinary_venv = request.getfixturevalue("ordinary_venv")
    name = f"airdock-r{os.getpid()}"
    try:
        yield _make_account(name, ordinary_venv, ranges=True)
    finally:
        _remove_account(name)


@pytest.fixture(scope="session")
def root_account(tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Root, with a home of its own for the tests."""
    _need_root()
    home = tmp_path_factory.mktemp("root-home")
    return Account(name="root", home=home, python=sys.executable, environment=_environment(home))


@pytest.fixture(params=["root", "plain", "ranged"])
def account(request: pytest.FixtureRequest) -> Account:
    """Each kind of account in turn: root, an ordinary one with one id, an ordinary one with id ranges."""
    made: Account = request.getfixturevalue(f"{request.param}_account")
    return made


@pytest.fixture(scope="session")
def debian_base() -> Path:
    """The root folder of a small Debian 12, as a tar that everybody can read."""
    if not shutil.which("mmdebstrap"):
        pytest.skip("a Debian base needs mmdebstrap (apt-get install mmdebstrap)")
    _need_root()
    folder = Path("/var/cache/airdock-tests")
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    base = folder / "bookworm.tar"
    if not base.exists():
        partial = base.with_suffix(f".{os.getpid()}.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=essential", "--include=passwd", "bookworm", str(partial)],
            check=True,
            capture_output=True,
        )
        partial.rename(base)
    return base


@dataclass(frozen=True)
class Machine:
    """What must be the same before and after: Airdock's mounts and cgroups, and processes under the ids of containers.

    Other containers of the machine may come and go meanwhile, and what another runner of these tests has that is apart;
    any other Airdock beside the tests would be mistaken.
    """

    mounts: frozenset[str]
    cgroups: frozenset[str]
    processes: frozenset[int]

    @classmethod
    def look(cls) -> "Machine":
        mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
        cgroups = (folder for folder, _, _ in os.walk("/sys/fs/cgroup") if "airdock" in folder and is_ours(folder))
        accounts = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_name.startswith("airdock-")}
        own = os.readlink("/proc/self/ns/user")
        processes = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    is_inside = os.readlink(entry / "ns/user") != own
                    owner = entry.stat().st_uid
                except OSError:
                    continue  # it ended while we looked
                is_of_container = owner in accounts or any(owner in ids for ids in _CONTAINER_IDS)
                if is_inside and is_of_container and is_process_ours(entry.name):
                    processes.add(int(entry.name))
        return cls(frozenset(path for path in mounts if "airdock" in path), frozenset(cgroups), frozenset(processes))

    def differences(self, before: "Machine") -> list[str]:
        return [
            f"{name}: {sorted(left)}"
            for name, left in (
                ("mounts", self.mounts - before.mounts),
                ("cgroups", self.cgroups - before.cgroups),
                ("processes", self.processes - before.processes),
            )
            if left
        ]


@pytest.fixture
def unchanged_machine() -> Iterator[Callable[[], None]]:
    """Fails the test when mounts, cgroups or processes of containers are left; call it to look earlier."""
    before = Machine.look()

    def check() -> None:
        for pause_s in (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0):  # what was killed needs a moment to be gone
            time.sleep(pause_s)
            left = Machine.look().differences(before)
            if not left:
                return
        pytest.fail("left behind: " + "; ".join(left))

    yield check
    check()
