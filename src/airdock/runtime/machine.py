"""What the launcher makes of its machine when it starts: its namespaces and mapping, mounts, cgroups, privileges."""

import os
import resource
from collections.abc import Mapping
from typing import Any, Final

from airdock.errors import ContainerError, IsolationError
from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.cgroups import Cgroups
from airdock.runtime.command import Privileges, PrivilegesKey, make_privileges, privileges_key
from airdock.runtime.idmaps import ROOT_SHIFT, enter_own_namespace, join_user_namespace, open_shifted_namespace
from airdock.runtime.mounts import Mounts
from airdock.runtime.plan import Facts, plan
from airdock.runtime.refusal import RefusedError
from airdock.runtime.syscalls import CLONE_NEWNS, CLONE_NEWUSER, Syscalls
from airdock.runtime.users import User

__all__ = ["Machine", "is_real_root"]

USERNS: Final = ("auto", "host")


class Machine:
    """Made once per launcher. `enter` changes the process for good: call it in the launcher only.

    `user_namespace` is the path of one that is there already and to be lived in, for ordinary accounts.
    `mapping` is as in `idmaps`, `facts` is what a plan needs, `shift` what a container's ids are off by on disk,
    `user_flag` CLONE_NEWUSER unless user namespaces were given up.
    """

    def __init__(
        self,
        syscalls: Syscalls,
        *,
        folder: str,
        userns: str = "auto",
        user_namespace: str = "",
        subuid: str = "/etc/subuid",
        subgid: str = "/etc/subgid",
    ) -> None:
        if userns not in USERNS:
            raise ContainerError(f"expected userns to be one of {', '.join(USERNS)}, found {userns!r}")
        self.syscalls = syscalls
        self._folder = folder
        self._userns = userns
        self._user_namespace = user_namespace
        self._subuid, self._subgid = subuid, subgid
        self.mapping = "root"
        self.shift = 0
        self.facts = Facts(mapping="root")
        self.mounts: Mounts
        self.cgroups: Cgroups
        self.user_flag = CLONE_NEWUSER if userns == "auto" else 0
        self.open_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._privileges: dict[PrivilegesKey, Privileges] = {}
        self._is_rehearsed = False

    def enter(self) -> dict[str, Any]:
        """Go into namespaces of our own and mount what every container needs; gives what clients want to know.

        Raises RefusedError where this machine forbids it.
        """
        self.cgroups = Cgroups.detect()  # by the machine's mounts, which the next step leaves
        self.cgroups.sweep()
        root = is_real_root()
        if self._userns == "host" and not root:
            raise IsolationError(
                "containers of an ordinary account need a user namespace: expected userns to be 'auto', found 'host'"
            )
        os.makedirs(self._folder, exist_ok=True)
        reason, shifted = "", -1
        try:
            if root:
                self.syscalls.unshare(CLONE_NEWNS)
                shifted = open_shifted_namespace(self.syscalls) if self._userns == "auto" else -1
                self.shift = ROOT_SHIFT if self._userns == "auto" else 0
            else:
                self.mapping, reason = self._enter_user_namespace()
        except OSError as error:
            raise RefusedError(error.errno, "user namespace" if self.user_flag else "namespaces") from error
        self.mounts = Mounts(self.syscalls, folder=self._folder, shifted=shifted, trusted=root)
        try:
            self.mounts.enter()
        except OSError as error:
            raise RefusedError(error.errno, "namespaces", str(error.filename)) from error
        self.facts = Facts(
            mapping=self.mapping if self._userns == "auto" else "host", cgroup2=self.cgroups.version == "v2"
        )
        return {"mapping": self.mapping, "id_shift": self.shift, "reason": reason}

    def _enter_user_namespace(self) -> tuple[str, str]:
        if self._user_namespace:
            return join_user_namespace(self.syscalls, self._user_namespace), ""
        return enter_own_namespace(
            self.syscalls, uid=os.geteuid(), gid=os.getegid(), subuid=self._subuid, subgid=self._subgid
        )

    def rehearse(self, config: Mapping[str, Any]) -> None:
        """Do once, here, what each container's processes would otherwise do for themselves."""
        self.privileges(config)
        if not self._is_rehearsed:
            self._is_rehearsed = True
            plan(config, self.facts)
            User()

    def privileges(self, config: Mapping[str, Any]) -> Privileges:
        """What a container's command keeps; compiled once for each set of capabilities."""
        key = privileges_key(config)
        if key not in self._privileges:
            self._privileges[key] = make_privileges(
                config, can_set_groups=self.mapping != "one", open_files=self.open_files
            )
        return self._privileges[key]


def is_real_root() -> bool:
    """Root with its rights over the machine. Root of a container around us has what an ordinary account has: one id."""
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", "rb") as file:
        everything = file.read().split() == [b"0", b"0", b"4294967295"]
    with open("/proc/self/status", "rb") as file:
        (effective,) = [line.split()[1] for line in file if line.startswith(b"CapEff:")]
    return everything and bool(int(effective, 16) >> CAPABILITIES.index("CAP_SYS_ADMIN") & 1)
