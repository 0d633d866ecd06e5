"""The containers of one home: made, started, stopped, removed; each has a monitor of its own while it runs."""

import contextlib
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from airdock.containers.abandoned import make_folder
from airdock.containers.base import RunRequest, publish_all
from airdock.containers.known import Known
from airdock.containers.limits import apply_limits, change_limits, with_limits
from airdock.containers.line import Line, connect, start_monitor
from airdock.containers.making import make_record
from airdock.containers.names import claim_name, find_name, make_name, release_name
from airdock.containers.options import LifeOptions
from airdock.containers.record import LOCK_FILE, ContainerRecord, Life
from airdock.containers.restart import RestartPolicy
from airdock.containers.unwatched import send_signal, stop_process, wait_gone
from airdock.errors import AirdockError, ContainerError, UnknownContainerError
from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.freeze import freeze, thaw
from airdock.runtime.kill import kill_container
from airdock.runtime.launcher import Launcher
from airdock.runtime.processes import processes_of
from airdock.runtime.spec import resources_of
from airdock.runtime.state import ContainerState, find_container, list_containers, save_state

if TYPE_CHECKING:
    from airdock.images.image import Image
    from airdock.images.store import ImageStore

__all__ = ["Containers"]

_KILLED: Final = 128 + signal.SIGKILL


class Containers:
    """`root` is AIRDOCK_HOME/run/containers. `configure` makes a container's OCI configuration, `settings` are for
    `place.Place`. Any process of the account may use the same home; each verb is safe beside the others.
    """

    def __init__(
        self,
        *,
        root: Path,
        launcher: Launcher,
        images: "ImageStore",
        configure: "Callable[[Image, RunRequest, str], dict[str, Any]]",
        settings: Callable[[Mapping[str, Any]], Mapping[str, Any]],
    ) -> None:
        self._root = root
        self._launcher = launcher
        self._images = images
        self._configure = configure
        self._settings = settings

    # what there is

    def states(self) -> list[ContainerState]:
        """The run-time state of every container, the youngest first."""
        return list_containers(self._root)

    def list(self) -> "Sequence[Known]":
        """Every container, the youngest first; what killed ones left is cleaned up on the way."""
        try:
            folders = [entry.path for entry in os.scandir(self._root)]
        except FileNotFoundError:
            return []
        found = [known for folder in folders if (known := Known.load(folder)) is not None]
        self.tidy(found)
        return sorted(found, key=lambda known: known.state.created, reverse=True)

    def find(self, name: str) -> Known:
        """The container of that name, id, or unique beginning of an id. Raises UnknownContainerError."""
        container_id = find_name(self._root.parent, name) or name
        known = Known.load(self._root / container_id) if container_id and "/" not in container_id else None
        if known is None:
            known = Known.load(find_container(self._root, name).folder)
        if known is None:
            raise UnknownContainerError(f"expected a container named {name!r}, found it being removed")
        return known

    @contextmanager
    def holding(self, name: str) -> Iterator[Known]:
        """The container, which meanwhile is neither started, renamed nor removed by a command.

        Any number may hold it at once: a tar may be copied from a container into itself.
        """
        folder = self.find(name).folder
        with _locked(folder, shared=True):
            known = Known.load(folder)
            if known is None:
                raise UnknownContainerError(f"expected a container named {name!r}, found it removed")
            yield known

    # from the beginning to the end

    def create(self, image: "Image", request: RunRequest, options: LifeOptions) -> Known:
        """Make a container that isn't started yet. Raises ContainerError."""
        container_id = os.urandom(32).hex()
        folder = self._root / container_id
        config = self._configure(image, request, container_id)
        request = publish_all(image.config, request)
        make_folder(folder)
        try:
            name = self._claim(request.name, container_id)
            self._images.lease([layer.diff_id for layer in image.layers], f"container {container_id}", path=folder)
            record = make_record(image, request, options, config, container_id, name)
            record.save(folder)
            state = ContainerState(
                id=container_id,
                folder=str(folder.absolute()),
                name=name,
                image=record.image,
                image_digest=record.image_digest,
                command=tuple(config["process"]["args"]),
                created=record.created,
                config=config,
            )
            save_state(state)
        except BaseException:
            release_name(self._root.parent, request.name, container_id)
            self._launcher.remove(folder)
            raise
        return Known(state=state, record=record)

    def start(self, name: str, *, attach: Mapping[str, Any] | None = None) -> "tuple[Line | None, dict[str, Any]]":
        """Start a container that doesn't run; gives its line and what is to be said of the start.

        `attach` asks for its streams: `stdin` whether input goes in, `last` whether that ends with the line. None
        where it runs already. Raises what `Launcher.run` and `Networks.attach` do.
        """
        known = self.find(name)
        if known.record is None:
            raise ContainerError(
                f"expected a container that can be started again, found {known.name} run with --rm",
                hint="leave out --rm",
            )
        with _locked(known.folder):
            known = self.find(known.id)
            if known.is_running:
                return None, {}
            self.tidy([known])
            assert known.record is not None
            layers = self._images.layer_paths(list(map(_digest, known.record.layers)))
            settings = self._settings(known.record.network)
            return start_monitor(known.folder, settings=settings, layers=layers, attach=attach)

    def attach(self, name: str, *, stdin: bool) -> Line:
        """A line that carries the streams of a running container. Raises ContainerError."""
        known = self.find(name)
        line = connect(known.folder) if known.status in ("running", "paused") else None
        if line is None:
            raise ContainerError(
                f"expected container {known.name} to run under a monitor, found it "
                + ("run in the foreground elsewhere" if known.is_running else known.status),
                hint="" if known.is_running else f"airdock container start -a {known.name}",
            )
        line.request("attach", stdin=stdin)
        line.answer()
        return line

    def stop(self, name: str, *, number: int | None = None, grace_s: float | None = None) -> None:
        """Ask a container to end, and kill it `grace_s` seconds later; negative waits without end.

        Signal and time are the container's own where they aren't given. One that doesn't run is fine.
        """
        known = self.find(name)
        own = known.record
        number = number or (own.stop_signal if own else signal.SIGTERM)
        grace_s = grace_s if grace_s is not None else own.stop_timeout_s if own else 10.0
        if not known.is_running:
            return
        if known.status == "paused":
            thaw(known.state)
        line = connect(known.folder)
        if line is None:
            stop_process(known.state, number, grace_s)
            return
        with line:
            line.request("stop", signal=int(number), grace_s=grace_s)
            line.wait_end()

    def kill(self, name: str, *, number: int = signal.SIGKILL) -> None:
        """Send a signal to the command. Raises ContainerError where it doesn't run."""
        known = self.find(name)
        if known.status not in ("running", "paused"):
            raise ContainerError(f"expected container {known.name} to be running, found it {known.status}")
        line = connect(known.folder)
        if line is None:
            send_signal(known.state, number)
            return
        with line:
            line.request("kill", signal=int(number))
            line.answer()
        if number == signal.SIGKILL:
            wait_gone(known.state, 10.0)

    def restart(self, name: str, *, number: int | None = None, grace_s: float | None = None) -> None:
        """Stop a container, if it runs, and start it."""
        known = self.find(name)
        if known.is_running:
            self.stop(known.id, number=number, grace_s=grace_s)
        line, _ = self.start(known.id)
        if line is not None:
            line.close()

    def wait(self, name: str) -> int:
        """The exit code, once the container doesn't run any more; 137 where its monitor was killed."""
        known = self.find(name)
        line = connect(known.folder) if known.is_running else None
        if line is not None:
            with line:
                line.request("wait")
                news = line.wait_end()
            if news is not None:
                return int(news["exit_code"])
        elif known.is_running:
            wait_gone(known.state, None)
        ended = Known.load(known.folder)
        return ended.exit_code if ended else _KILLED if known.is_running else known.exit_code

    def pause(self, name: str) -> None:
        """Stop a running container's processes where they are. Raises ContainerError."""
        known = self._find_in(name, "running")
        freeze(known.state)

    def unpause(self, name: str) -> None:
        """Let a paused container go on. Raises ContainerError."""
        known = self._find_in(name, "paused")
        thaw(known.state)

    def rename(self, name: str, new: str) -> None:
        """Give a container another name. Raises ContainerError where it is taken."""
        known = self.find(name)
        if known.record is None:
            raise ContainerError(f"expected a container that stays, found {known.name} run with --rm")
        with _locked(known.folder):
            record = ContainerRecord.load(known.folder) or known.record
            if new == record.name:
                raise ContainerError(f"expected a new name, found the one that container {known.id[:12]} has")
            claim_name(self._root.parent, new, known.id)
            replace(record, name=new).save(known.folder)
            state = Known.load(known.folder)
            if state is not None:
                save_state(replace(state.state, name=new))
            release_name(self._root.parent, record.name, known.id)
        if line := connect(known.folder):
            with line:
                line.request("changed")
                line.answer()

    def update(self, name: str, *, limits: Mapping[str, Any], restart: RestartPolicy | None = None) -> str:
        """Change the limits of a container, running or not, and its restart policy; the rest stays as it is.

        `limits` are fields of `Resources`, and "memory_and_swap_bytes". Says why they don't hold before its next
        start, or "". Raises ContainerError.
        """
        known = self.find(name)
        if known.record is None:
            raise ContainerError(f"expected a container that stays, found {known.name} run with --rm")
        with _locked(known.folder):
            record = ContainerRecord.load(known.folder) or known.record
            resources = change_limits(resources_of(record.config), limits)
            config = with_limits(record.config, resources)
            state = (Known.load(known.folder) or known).state
            lacking = apply_limits(state, resources) if limits and state.alive else ""
            replace(record, config=config, restart=restart or record.restart).save(known.folder)
        if line := connect(known.folder):
            with line:
                line.request("changed")
                line.answer()
        return lacking

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a container with all it wrote; with `force` a running one is killed first. Raises ContainerError."""
        known = self.find(name)
        while not self._remove_ended(known, force=force):
            self._end(known)
            known = Known.load(known.folder) or known
        release_name(self._root.parent, known.name, known.id)

    def processes(self, name: str) -> "Sequence[int]":
        """The ids of a running container's processes, without its first one, which is ours. Raises ContainerError."""
        known = self.find(name)
        if not known.state.alive:
            raise ContainerError(f"expected container {known.name} to be running, found it {known.status}")
        return [pid for pid in processes_of(known.state) if pid != known.state.pid]

    def size(self, name: str) -> int:
        """How many bytes a container wrote, as the disk counts them."""
        folder = self.find(name).folder
        return int(self._launcher.call("airdock.containers.sizes:measure", {"folder": str(folder / "upper")}))

    def tidy(self, found: "Sequence[Known]") -> None:
        """Clean up what containers left whose monitor was killed; they stay "dead" until started or removed."""
        for known in found:
            if known.record is None or known.status != "dead" or (known.life and known.life.status == "dead"):
                continue
            kill_container(known.state)
            with contextlib.suppress(OSError):  # the next launcher sweeps
                open_cgroup(known.state.cgroups).remove()
            if known.record.auto_remove:
                with contextlib.suppress(AirdockError):  # rm says why
                    self._launcher.remove(known.folder)
                    release_name(self._root.parent, known.name, known.id)
                continue
            life = known.life or Life(status="dead")
            now = datetime.now(UTC).isoformat()
            with contextlib.suppress(OSError):  # on a full disk, where looking and removing are what helps
                replace(life, status="dead", exit_code=_KILLED, finished=now).save(known.folder)

    def _remove_ended(self, known: Known, *, force: bool) -> bool:
        """Whether it is gone; one that runs isn't, and without `force` that raises ContainerError."""
        self.tidy([known])
        with contextlib.suppress(UnknownContainerError), _locked(known.folder):  # --rm may have been quicker
            known = Known.load(known.folder) or known  # it may have been started meanwhile
            if known.is_running and force:
                return False
            if known.is_running:
                raise ContainerError(
                    f"expected a container that has ended, found {known.name} {known.status}",
                    hint=f"stop it, or airdock container rm -f {known.name}",
                )
            self._launcher.remove(known.folder)
        return True

    def _end(self, known: Known) -> None:
        """Kill a container for good: its policy doesn't start it again."""
        if known.status == "paused":
            thaw(known.state)
        if line := connect(known.folder):
            with line:
                line.request("stop", signal=int(signal.SIGKILL), grace_s=0)
                line.wait_end()
        kill_container(known.state)

    def _find_in(self, name: str, status: str) -> Known:
        known = self.find(name)
        if known.status != status:
            raise ContainerError(f"expected container {known.name} to be {status}, found it {known.status}")
        return known

    def _claim(self, name: str, container_id: str) -> str:
        if name:
            claim_name(self._root.parent, name, container_id)
            return name
        while True:
            made = make_name()
            with contextlib.suppress(ContainerError):
                claim_name(self._root.parent, made, container_id)
                return made


@contextmanager
def _locked(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """One at a time starts, renames or removes a container, and nobody while its files are at work, which is shared.

    Raises UnknownContainerError where it is gone.
    """
    try:
        descriptor = os.open(folder / LOCK_FILE, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileNotFoundError as error:
        raise UnknownContainerError(f"expected container {folder.name[:12]}, found it removed") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _digest(text: str) -> Any:
    from airdock.oci.digest import Digest

    return Digest(text)
