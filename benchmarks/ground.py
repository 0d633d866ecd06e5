"""The ground that figures are measured on: a home folder of its own, a Debian root folder, and how programs are run.

<temporary folder>/
  home/       AIRDOCK_HOME
  root/       the Debian root folder, as files
  …           whatever a peer keeps; nothing is left of it at the end
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from measure import SkippedError

from airdock.app import App
from airdock.config import load_config

__all__ = ["IMAGE", "REPOSITORY", "Ground", "run"]

REPOSITORY: Final = Path(__file__).resolve().parent.parent
IMAGE: Final = "localhost/bench"
"""What the Debian image is called, by us and by peers."""

_BASES: Final = (Path("/var/cache/airdock-tests"), Path.home() / ".cache/airdock-tests")
_BASE_NAME: Final = "bookworm.tar"
_LAST_WORDS: Final = 160


def run(argv: Sequence[str | Path], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Run a program and give its stdout. Raises SkippedError with its last words where it fails."""
    done = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
        raise SkippedError(f"{Path(argv[0]).name} ended with {done.returncode}: {said[-_LAST_WORDS:]}")
    return done.stdout


class Ground:
    """A context manager; what it gives is made when it is first asked for."""

    def __init__(self, *, quick: bool, large: bool) -> None:
        self.quick = quick
        self.large = large
        self.docker: list[str | Path] | None = None
        """The client of the engine that peers run in, once one was asked for."""
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        # Not /tmp, which is memory on some machines: images lie on disks.
        self.folder = Path(tempfile.mkdtemp(prefix="airdock-bench-", dir="/var/tmp"))
        self.folder.chmod(0o755)
        self.home = self.folder / "home"
        # Where Python may not keep bytecode, every start compiles what changed since it last could.
        self.env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self.env["AIRDOCK_HOME"] = str(self.home)
        self._undo.callback(shutil.rmtree, self.folder)
        for name in ("images", "cache", "run/containers"):
            self._undo.callback(self.remove, self.home / name)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def rounds(self, usual: int, quick: int) -> int:
        return quick if self.quick else usual

    def at_end(self, undo: Callable[[], object]) -> None:
        """Have something called before the folder is removed."""
        self._undo.callback(undo)

    def remove(self, path: Path) -> None:
        """Remove a tree that may hold files of other ids of the account."""
        if path.exists():
            with self.app() as app:
                app.launcher.call("airdock.images.trees:remove_tree", {"path": str(path)})

    def app(self) -> App:
        return App(load_config(flags={"home": str(self.home)}))

    @functools.cached_property
    def airdock(self) -> tuple[str, ...]:
        """The command, as people call it."""
        script = Path(sys.executable).parent / "airdock"
        return (str(script),) if script.exists() else (sys.executable, "-m", "airdock")

    def run_airdock(self, *arguments: str | Path) -> str:
        return run([*self.airdock, *arguments], env=self.env)

    @functools.cached_property
    def base(self) -> Path:
        """The tar of a Debian root folder. Raises SkippedError where there is none and none can be made."""
        for folder in _BASES:
            if (folder / _BASE_NAME).exists():
                return folder / _BASE_NAME
        if not shutil.which("mmdebstrap"):
            raise SkippedError("needs mmdebstrap for a Debian base: apt-get install mmdebstrap")
        folder = _BASES[0] if os.geteuid() == 0 else _BASES[1]
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f"bookworm.{os.getpid()}.tar"
        run(["mmdebstrap", "--quiet", "--variant=essential", "--include=passwd", "bookworm", partial])
        return partial.rename(folder / _BASE_NAME)

    @functools.cached_property
    def image(self) -> str:
        """The Debian base as an image of ours."""
        with self.app() as app:
            app.images.tag(IMAGE, app.images.import_tar(self.base).digest)
        return IMAGE

    @functools.cached_property
    def root(self) -> Path:
        """The Debian base as files, owned by this account."""
        root = self.folder / "root"
        root.mkdir()
        run(["tar", "--extract", "--no-same-owner", "--exclude=./dev/*", "--file", self.base, "--directory", root])
        self.at_end(lambda: run(["chmod", "-R", "u+rwX", root]))
        return root
