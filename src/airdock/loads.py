"""Loads DAG files, and asks the timetables in them, where their code may run."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airdock.errors import AirdockError, DagError, DagFileError
from airdock.loading.base import Job, Load

if TYPE_CHECKING:
    from airdock.dag.serialized import SerializedDag
    from airdock.loading.container import ContainerRun
    from airdock.loading.process import ProcessRun
    from airdock.loading.warm import WarmLoad
    from airdock.model.mount import Mount

__all__ = ["Loads", "choose"]

_PYTHONS_S: Final = 10.0


class Loads:
    """For the DAG folder of one home, and for files that lie elsewhere.

    `run` is where processes are started, `given` what a file may ask for where it asks, `pythons` the versions of
    Python that it may want. What files print is told to `tell`. Files of the DAG folder see all of it, and import from
    it; others see the folder they lie in.
    """

    def __init__(
        self,
        *,
        home: Path,
        run: Callable[[], "ContainerRun | ProcessRun"],
        given: Callable[[], bytes],
        pythons: Callable[[], Sequence[str]],
        schedules: str,
        tell: Callable[[str], None],
    ) -> None:
        self._home, self._make_run, self._given, self._find_pythons = home, run, given, pythons
        self._schedules, self._tell = schedules, tell
        self._found_pythons, self._pythons_until = "", 0.0
        self._warm: WarmLoad | None = None
        self._root = home / "dags"

    def load(self, path: Path, *, tell: Callable[[str], None] | None = None) -> "list[SerializedDag]":
        """The DAGs of a file, or of the one in a folder. Raises DagFileError and the other DagErrors."""
        from airdock.loading.file import LOADER, load_dag_file

        return load_dag_file(self._job(LOADER, path), load=self._warm or self._cold, tell=tell or self._tell)

    def load_one(self, path: Path, dag_id: str | None) -> "SerializedDag":
        """The DAG of that id in the file, or the only one. Raises DagError."""
        return choose(self.load(path), dag_id, path)

    def load_folder(
        self, folder: Path, *, tell: Callable[[Path, str], None] = lambda _path, _line: None
    ) -> "Iterator[tuple[Path, list[SerializedDag] | AirdockError]]":
        """Each DAG file below a folder (or the file itself) with its DAGs, or with why it can't be loaded.

        What a file prints while it is loaded is told to `tell`. As if the folder were the DAG folder.
        """
        from airdock.loading.folder import DagFolder

        folder = folder.absolute()
        if not folder.is_dir():
            yield folder, self._tried(folder, tell)
            return
        with self.warm(folder):
            for path in sorted(DagFolder(folder).scan()):
                yield path, self._tried(path, tell)

    def _tried(self, path: Path, tell: Callable[[Path, str], None]) -> "list[SerializedDag] | AirdockError":
        try:
            return self.load(path, tell=lambda line: tell(path, line))
        except AirdockError as error:
            return error

    def ask(self, path: str, questions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The answers of a file's own timetables: see `dag.ask_timetable`. Raises DagFileError."""
        from airdock.loading.asking import ASKER, ask_timetables

        return ask_timetables(self._job(ASKER, Path(path), questions=questions), load=self._cold)

    def place(self, path: "Path | str") -> "tuple[Mount, ...]":
        """What code of a DAG file sees of where it lies. Raises DagFileError."""
        path = Path(path).absolute()
        return self._place(self._root_of(path) or path)

    def _place(self, path: Path) -> "tuple[Mount, ...]":
        from airdock.loading.place import make_place

        empty = self._home / "run" / "empty"
        empty.mkdir(mode=0o755, parents=True, exist_ok=True)
        return make_place(path, home=Path.home(), own=self._home, empty=empty)

    @contextmanager
    def warm(self, folder: Path | None = None) -> Iterator[None]:
        """For many files of a folder, by default of the DAG folder: load them in forks of one process."""
        from airdock.loading.warm import WarmLoad

        folder, before = folder or self._root, self._root
        try:
            place = self._place(folder)
        except DagFileError:  # it holds the home, of which files see themselves only
            yield
            return
        self._root = folder
        warm = self._warm = WarmLoad(folder, place=place, start=self._run.start, cold=self._cold)
        try:
            yield
        finally:
            self._root, self._warm = before, None
            warm.close()

    def stop(self) -> None:
        """End the process of `warm`, where there is one: what it is at, and what is asked for later, isn't loaded."""
        if self._warm is not None:
            self._warm.close()

    @cached_property
    def _run(self) -> "ContainerRun | ProcessRun":
        return self._make_run()

    @cached_property
    def _cold(self) -> Load:
        from airdock.loading.cold import ColdLoad

        return ColdLoad(self._run, work=self._home / "run" / "loads")

    def _pythons(self) -> str:
        """Looked for anew every so often: looking takes milliseconds."""
        now = time.monotonic()
        if now >= self._pythons_until:
            self._found_pythons, self._pythons_until = ",".join(self._find_pythons()), now + _PYTHONS_S
        return self._found_pythons

    def _root_of(self, path: Path) -> Path | None:
        """The DAG folder, for what lies in it."""
        return self._root if path.absolute().is_relative_to(self._root) else None

    def _job(self, module: str, path: Path, *, questions: Sequence[Mapping[str, Any]] | None = None) -> Job:
        from airdock.dag.environ import PYTHONS_VARIABLE, SCHEDULES_VARIABLE
        from airdock.loading.given import asks

        return Job(
            module=module,
            path=path.absolute(),
            place=self.place(path),
            root=self._root_of(path),
            environ={PYTHONS_VARIABLE: self._pythons(), SCHEDULES_VARIABLE: self._schedules},
            given=self._given() if asks(path) else b"",
            questions=questions,
        )


def choose(dags: "list[SerializedDag]", dag_id: str | None, path: Path) -> "SerializedDag":
    """The DAG of that id, or the only one. Raises DagError."""
    names = ", ".join(dag.dag_id for dag in dags)
    if dag_id is None:
        if len(dags) == 1:
            return dags[0]
        raise DagError(f"expected one DAG, found {names}", where=str(path), hint=f"say which: {path}:{dags[0].dag_id}")
    found = next((dag for dag in dags if dag.dag_id == dag_id), None)
    if found is None:
        raise DagError(f"expected a DAG {dag_id!r}, found {names}", where=str(path))
    return found
