"""Which cgroups this machine has, where below our own we may make some, and the cgroup of a new container."""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Literal, Self

from airdock.model.usage import Resources
from airdock.record import record
from airdock.runtime.cgroup_base import Cgroup, NoCgroup, Tree
from airdock.runtime.cgroup_v1 import CgroupV1, controllers_for
from airdock.runtime.cgroup_v2 import CgroupV2, Place, UnifiedTree, choose_place, leave_place, take_place

__all__ = ["Cgroup", "CgroupMount", "Cgroups", "Version", "open_cgroup", "parse_mounts"]

Version = Literal["v1", "v2", "hybrid", "none"]


@record
class CgroupMount:
    """One mounted cgroup hierarchy: `root` is the part of it that `folder` shows; `controllers` is empty for v2."""

    folder: str
    root: str
    unified: bool
    controllers: frozenset[str]


def parse_mounts(mountinfo: str) -> list[CgroupMount]:
    """The cgroup mounts in /proc/<pid>/mountinfo: see proc_pid_mountinfo(5)."""
    found = []
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        root, folder = (_unescaped(word) for word in before.split()[3:5])
        kind, _, options = after.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            names = frozenset(options.split(",")) if kind == "cgroup" else frozenset[str]()
            found.append(CgroupMount(folder=folder, root=root, unified=kind == "cgroup2", controllers=names))
    return found


class Cgroups:
    """Makes containers' cgroups below our own, so that limits on us hold for them too.

    `version` is what is mounted. `controllers` are those of memory, cpu and pids that can be limited; where one is
    missing, `reason` says why and `hint` what to do. Nothing is changed before the first `create`. Names of cgroups
    begin with the pid of the launcher ("4711-3"), so that `sweep` can tell whose they were.
    """

    def __init__(
        self,
        *,
        version: Version,
        own: Mapping[str, str],
        mount: str = "",
        tree: Tree | None = None,
        is_ours: Callable[[int], bool] = lambda pid: pid == os.getpid(),
        is_alive: Callable[[str], bool] = lambda pid: os.path.exists(f"/proc/{pid}"),
    ) -> None:
        """`own` is our cgroup's folder for each controller, and for "unified"; `mount` is where v2 is mounted."""
        self.version = version
        self._own = dict(own)
        self._tree = tree or (UnifiedTree() if version == "v2" else Tree())
        self._place = Place()
        self._is_alive = is_alive
        self._taken = False
        self.reason = self.hint = ""
        self.controllers: frozenset[str] = frozenset()
        if version == "v2":
            self._place = choose_place(own["unified"], mount=mount, tree=self._tree, is_ours=is_ours)
            self.controllers, self.reason = self._place.controllers, self._place.reason
            self.hint = _hint_v2(self._place) if self.reason else ""
        elif version == "none":
            self.reason = "no cgroup filesystem is mounted"
            self.hint = "mount -t cgroup2 none /sys/fs/cgroup (as root)"
        else:
            self._weigh_v1()

    @classmethod
    def detect(cls, *, proc: str = "/proc", tree: Tree | None = None) -> Self:
        """Find out by what /proc says of our own process."""
        try:
            with open(f"{proc}/self/mountinfo") as file:
                mounts = parse_mounts(file.read())
            with open(f"{proc}/self/cgroup") as file:
                paths = file.read()
        except OSError:
            return cls(version="none", own={}, tree=tree)
        own = {name: folder for name, folder in _own_folders(mounts, paths).items() if os.path.isdir(folder)}
        limiting = own.keys() & {"memory", "cpu", "pids"}
        if "unified" in own:
            version: Version = "hybrid" if limiting else "v2"
        else:
            version = "v1" if limiting else "none"
        mount = next((mount.folder for mount in mounts if mount.unified), "")
        return cls(version=version, own=own, mount=mount, tree=tree, is_ours=_Family(proc).has)

    def create(self, name: str, resources: Resources) -> Cgroup:
        """A new cgroup `airdock-NAME` with the limits asked for, as far as can be: see `Cgroup.limits`."""
        cgroup = self._make_v2(name) if self.version == "v2" else self._make_v1(name, resources)
        cgroup.limit(resources)
        return cgroup

    def sweep(self) -> list[str]:
        """Remove what launchers that were killed left here: cgroups `airdock-PID-…` of a process that is gone, and
        empty themselves. Gives their folders."""
        swept = []
        for base in {self._place.folder} if self.version == "v2" else set(self._own.values()):
            for folder in self._leftovers(base):
                with contextlib.suppress(OSError):  # somebody still lives there, or another sweeper was quicker
                    self._tree.remove(folder)
                    swept.append(folder)
        return swept

    def close(self) -> None:
        """Put ourselves back where we were, once no container needs our place any more. Harmless at any time."""
        if self._taken:
            with contextlib.suppress(OSError):  # somebody else came in, and cleans up after himself
                leave_place(self._place, self._tree)

    def _leftovers(self, base: str) -> list[str]:
        try:
            children = self._tree.children(base) if base else []
        except OSError:
            return []
        owners = {folder: os.path.basename(folder).split("-") for folder in children}
        return [
            folder
            for folder, words in owners.items()
            if len(words) > 2 and words[0] == "airdock" and words[1].isdigit() and not self._is_alive(words[1])
        ]

    def _make_v2(self, name: str) -> Cgroup:
        if not self._place.folder:
            return NoCgroup(self.reason)
        folder = f"{self._place.folder}/airdock-{name}"
        try:
            take_place(self._place, self._tree)
            self._taken = True
            self._tree.make(folder)
        except OSError as error:
            return NoCgroup(f"{folder} could not be made: {error.strerror}")
        return CgroupV2(folders={"unified": folder}, tree=self._tree)

    def _make_v1(self, name: str, resources: Resources) -> Cgroup:
        folders: dict[str, str] = {}
        reason = self.reason
        for controller in controllers_for(resources):
            folder = f"{self._own.get(controller)}/airdock-{name}"
            try:
                if folder not in folders.values():  # one hierarchy may have two controllers
                    self._tree.make(folder)
            except OSError as error:
                reason = reason or f"{folder} could not be made: {error.strerror}"
            else:
                folders[controller] = folder
        unified = self._own.get("unified", "")
        freezer = f"{unified}/airdock-{name}" if unified and self._tree.is_writable(unified) else ""
        return CgroupV1(folders=folders, tree=self._tree, freezer=freezer) if folders else NoCgroup(reason)

    def _weigh_v1(self) -> None:
        usable = {name for name, folder in self._own.items() if self._tree.is_writable(folder)}
        self.controllers = frozenset(usable & {"memory", "cpu", "pids"})
        missing = sorted({"memory", "cpu", "pids"} - self.controllers)
        if not missing:
            return
        absent = [name for name in missing if name not in self._own]
        if absent:
            self.reason = f"no {', '.join(absent)} controller is mounted"
            self.hint = f"mount -t cgroup -o {absent[0]} cgroup /sys/fs/cgroup/{absent[0]} (as root)"
        else:
            self.reason = f"{self._own[missing[0]]} is not writable, and cgroup v1 can't be handed to an account"
            self.hint = "boot with systemd.unified_cgroup_hierarchy=1 for cgroup v2, or run as root"


def open_cgroup(folders: Mapping[str, str], *, tree: Tree | None = None) -> Cgroup:
    """The cgroup that another process made, by its `Cgroup.folders`: to join it, or to clean up after that process."""
    if "unified" in folders:
        return CgroupV2(folders=folders, tree=tree or UnifiedTree())
    limiting = {name: folder for name, folder in folders.items() if name != "freezer"}
    freezer = folders.get("freezer", "")
    return CgroupV1(folders=limiting, tree=tree or Tree(), freezer=freezer) if limiting else NoCgroup("")


def _own_folders(mounts: list[CgroupMount], paths: str) -> dict[str, str]:
    """Our cgroup's folder by controller, from the mounts and from the lines of /proc/self/cgroup."""
    folders = {}
    for line in paths.splitlines():
        number, names, path = line.split(":", 2)
        for mount in mounts:
            if number == "0" and mount.unified:
                folders["unified"] = _below(mount, path)
            elif names and not mount.unified and set(names.split(",")) <= mount.controllers:
                folders |= {name: _below(mount, path) for name in names.split(",")}
    return folders


def _below(mount: CgroupMount, path: str) -> str:
    """Where `path` of the hierarchy is found; the mount itself where it shows another part, as inside containers."""
    root = mount.root.rstrip("/")
    inside = path == mount.root or path.startswith(f"{root}/")
    return f"{mount.folder}{path.removeprefix(root)}".rstrip("/") if inside else mount.folder


class _Family:
    """Whether a process is we ourselves, an ancestor, or a descendant."""

    def __init__(self, proc: str) -> None:
        self._proc = proc

    def has(self, pid: int) -> bool:
        return pid in self._line(os.getpid()) or os.getpid() in self._line(pid)

    def _line(self, pid: int) -> list[int]:
        line = []
        while pid:
            line.append(pid)
            pid = self._parent(pid)
        return line

    def _parent(self, pid: int) -> int:
        try:
            with open(f"{self._proc}/{pid}/stat") as file:
                # The name is in brackets and may hold anything: see proc_pid_stat(5).
                return int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            return 0


def _hint_v2(place: Place) -> str:
    if not place.folder:
        return "systemd-run --user --scope -p Delegate=yes airdock …"
    return "as root: systemctl set-property user@$(id -u).service Delegate='cpu memory pids'"


def _unescaped(word: str) -> str:
    return word.encode().decode("unicode_escape") if "\\" in word else word
