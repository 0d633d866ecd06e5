"""A PostgreSQL server of the tests' own, on a Unix socket in a temporary folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, create_engine, text

from airdock.store.schema import metadata

__all__ = ["Postgres", "empty", "find_programs", "serve"]

_FOLDERS: Final = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/pgsql")
_NAMES: Final = ("initdb", "pg_ctl")
_FLAGS: Final = "-c listen_addresses='' -c fsync=off -c full_page_writes=off"
_FORGETFUL: Final = "-c synchronous_commit=off"


def find_programs() -> dict[str, str]:
    """Where the server's programs are; empty where one is missing, or is older than version 15."""
    folders = [folder for root in _FOLDERS for folder in sorted(Path(root).glob("*/bin"), reverse=True)]
    places = os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")])
    found = {name: shutil.which(name, path=places) for name in _NAMES}
    if None in found.values():
        return {}
    version = subprocess.run([str(found["initdb"]), "--version"], capture_output=True, text=True, check=True).stdout
    return {name: str(path) for name, path in found.items()} if int(version.split()[2].split(".")[0]) >= 15 else {}


@contextmanager
def serve(programs: dict[str, str]) -> Iterator[str]:
    """The URL of a fresh server's database."""
    folder = Path(tempfile.mkdtemp(prefix="airdock-pg-"))
    server = Postgres(folder, programs)
    try:
        server.start()
        try:
            yield server.url
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Postgres:
    """A server, and its files in `folder`. It isn't started as root, which PostgreSQL refuses.

    The folder is to be none of pytest's: those are closed to other accounts by whichever session comes next. With
    `is_crashing` it still has what was committed when it is started again.
    """

    def __init__(self, folder: Path, programs: dict[str, str], *, is_crashing: bool = False) -> None:
        self._flags = _FLAGS if is_crashing else f"{_FLAGS} {_FORGETFUL}"
        self.url = f"postgresql://airdock@/postgres?host={folder}"
        self._folder, self._programs = folder, programs
        self._account: dict[str, str | int] = {}
        if os.geteuid() == 0:
            self._account = {"user": "postgres", "group": "postgres"}
            shutil.chown(folder, "postgres", "postgres")
        self._call("initdb", "-U", "airdock", "-A", "trust", "-N", "--no-locale", "-E", "UTF8")

    def start(self) -> None:
        self._call("pg_ctl", "-w", "-l", str(self._folder / "log"), "-o", f"-k {self._folder} {self._flags}", "start")

    def stop(self) -> None:
        """At once, with every connection."""
        self._call("pg_ctl", "-w", "-m", "immediate", "stop")

    def _call(self, program: str, *words: str) -> None:
        log = self._folder / "log"
        argv = [self._programs[program], "-D", str(self._folder / "data"), *words]
        done = subprocess.run(argv, check=False, cwd="/", timeout=60, capture_output=True, text=True, **self._account)  # type: ignore[call-overload]
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}"


def empty(url: str) -> None:
    """Take every row out, and put back what the first migration puts in."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        _empty(connection)
    engine.dispose()


def _empty(connection: Connection) -> None:
    tables = ", ".join(table.name for table in metadata.sorted_tables)
    connection.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
    connection.execute(text("INSERT INTO pools (name, slots) VALUES ('default_pool', 128)"))
