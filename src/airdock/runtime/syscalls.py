"""The system calls that Python's standard library has no words for, and the few file calls that set a container up.

Everything that changes the kernel's idea of a container goes through `Syscalls`; `recorder.Recorder` is its twin that
changes nothing, writes down what was asked for, and can be told to fail. Every method raises OSError with the call's
name; numbers and structures are those of the kernel's user API (linux/mount.h, linux/sched.h, asm-generic/unistd.h).
"""

import ctypes
import errno
import fcntl
import os
import platform
import signal
import socket
import stat
import struct
from typing import Final

__all__ = [
    "AT_EMPTY_PATH",
    "AT_RECURSIVE",
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "CLONE_PARENT",
    "MNT_DETACH",
    "MOUNT_ATTR_IDMAP",
    "MOUNT_ATTR_NODEV",
    "MOUNT_ATTR_NOEXEC",
    "MOUNT_ATTR_NOSUID",
    "MOUNT_ATTR_RDONLY",
    "MS_BIND",
    "MS_NOATIME",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "MS_SLAVE",
    "MS_STRICTATIME",
    "Syscalls",
]

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_SLAVE: Final = 1 << 19
MS_NOATIME: Final = 1 << 10
MS_STRICTATIME: Final = 1 << 24
MNT_DETACH: Final = 2

AT_FDCWD: Final = -100
AT_EMPTY_PATH: Final = 0x1000
AT_RECURSIVE: Final = 0x8000
OPEN_TREE_CLONE: Final = 1
OPEN_TREE_CLOEXEC: Final = os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH: Final = 4
MOVE_MOUNT_T_EMPTY_PATH: Final = 0x40
MOUNT_ATTR_RDONLY: Final = 1
MOUNT_ATTR_NOSUID: Final = 2
MOUNT_ATTR_NODEV: Final = 4
MOUNT_ATTR_NOEXEC: Final = 8
MOUNT_ATTR_IDMAP: Final = 0x00100000
FSCONFIG_SET_FLAG: Final = 0
FSCONFIG_SET_STRING: Final = 1
FSCONFIG_CMD_CREATE: Final = 6

CLONE_PIDFD: Final = 0x1000
CLONE_PARENT: Final = 0x8000
CLONE_NEWNS: Final = 0x00020000
CLONE_NEWCGROUP: Final = 0x02000000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000
CLONE_NEWNET: Final = 0x40000000

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
PR_SET_NAME: Final = 15
PR_SET_CHILD_SUBREAPER: Final = 36
PR_CAPBSET_DROP: Final = 24
PR_SET_NO_NEW_PRIVS: Final = 38
KEYCTL_JOIN_SESSION_KEYRING: Final = 1
SIOCGIFFLAGS: Final = 0x8913
SIOCSIFFLAGS: Final = 0x8914
IFF_UP: Final = 1
TIOCSPTLCK: Final = 0x40045431
TIOCGPTPEER: Final = 0x5441

_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_KEYCTL: Final = {"x86_64": 250, "aarch64": 219}
_SIGNALFD4: Final = {"x86_64": 289, "aarch64": 74}
_OPEN_TREE, _MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2, _MOUNT_SETATTR = 428, 429, 430, 431, 432, 437, 442
RESOLVE_NO_MAGICLINKS: Final = 2
_MACHINE: Final = platform.machine()
_libc = ctypes.CDLL(None, use_errno=True)
_Int, _Long, _Text, _Pointer = ctypes.c_int, ctypes.c_long, ctypes.c_char_p, ctypes.c_void_p


class _Function:
    """A C function with fixed argument types; -1 becomes OSError."""

    __slots__ = ("call", "head", "name")

    def __init__(self, name: str, *types: type, number: int | None = None, holding: bool = False) -> None:
        library = ctypes.PyDLL(None, use_errno=True) if holding else _libc
        self.name = name
        self.head = () if number is None else (number,)
        self.call = library["syscall" if number is not None else name]
        self.call.argtypes = ((_Long,) if number is not None else ()) + types
        self.call.restype = _Long if number is not None else _Int

    def __call__(self, *arguments: object, where: str = "") -> int:
        result: int = self.call(*self.head, *arguments)
        if result == -1:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), f"{self.name}({where})" if where else self.name)
        return result


class _MountAttr(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


_mount = _Function("mount", _Text, _Text, _Text, ctypes.c_ulong, _Text)
_umount2 = _Function("umount2", _Text, _Int)
_unshare = _Function("unshare", _Int)
_setns = _Function("setns", _Int, _Int)
_sethostname = _Function("sethostname", _Text, ctypes.c_size_t)
_setdomainname = _Function("setdomainname", _Text, ctypes.c_size_t)
_prctl = _Function("prctl", _Int, *[ctypes.c_ulong] * 4)
_prctl_name = _Function("prctl", _Int, _Text)
_capset = _Function("capset", _Text, _Text)
_pivot_root = _Function("pivot_root", _Text, _Text, number=_PIVOT_ROOT.get(_MACHINE, -1))
_open_tree = _Function("open_tree", _Int, _Text, ctypes.c_uint, number=_OPEN_TREE)
_move_mount = _Function("move_mount", _Int, _Text, _Int, _Text, ctypes.c_uint, number=_MOVE_MOUNT)
_fsopen = _Function("fsopen", _Text, ctypes.c_uint, number=_FSOPEN)
_fsconfig = _Function("fsconfig", _Int, ctypes.c_uint, _Text, _Text, _Int, number=_FSCONFIG)
_fsmount = _Function("fsmount", _Int, ctypes.c_uint, ctypes.c_uint, number=_FSMOUNT)
_mount_setattr = _Function(
    "mount_setattr", _Int, _Text, ctypes.c_uint, _Pointer, ctypes.c_size_t, number=_MOUNT_SETATTR
)
_openat2 = _Function("openat2", _Int, _Text, _Text, ctypes.c_size_t, number=_OPENAT2)
_keyctl = _Function("keyctl", _Long, _Text, number=_KEYCTL.get(_MACHINE, -1))
_signalfd4 = _Function("signalfd4", _Int, _Text, ctypes.c_size_t, _Int, number=_SIGNALFD4.get(_MACHINE, -1))
# The interpreter's lock is held over clone: the child has no other thread that could give it back.
_clone = _Function(
    "clone", ctypes.c_ulong, _Long, _Pointer, _Long, _Long, number=_CLONE.get(_MACHINE, -1), holding=True
)
_pidfd_cell = _Int(-1)


def _messages(context: int) -> str:
    """What the kernel has to say about a filesystem that it didn't make: one message a read."""
    found = []
    while True:
        try:
            found.append(os.read(context, 4096).decode(errors="replace").strip())
        except OSError:
            return "; ".join(found)


class Syscalls:
    """The real thing. It has no state, and one instance serves a whole process."""

    def clone(self, flags: int) -> tuple[int, int]:
        """Fork into new namespaces: (pid, pidfd) in the parent, (0, -1) in the child. Only in single-threaded
        processes; the child skips Python's own fork hooks."""
        _pidfd_cell.value = -1
        pid = _clone(flags | CLONE_PIDFD | signal.SIGCHLD, 0, ctypes.addressof(_pidfd_cell), 0, 0)
        return (pid, _pidfd_cell.value) if pid else (0, -1)

    def fork(self) -> int:
        return os.fork()

    def unshare(self, flags: int) -> None:
        _unshare(flags)

    def setns(self, descriptor: int, flags: int) -> None:
        _setns(descriptor, flags)

    def mount(self, fstype: str, source: str, target: str, flags: int = 0, data: str = "") -> None:
        _mount(
            source.encode(), os.fsencode(target), fstype.encode() or None, flags, data.encode() or None, where=target
        )

    def umount(self, target: str, flags: int = MNT_DETACH) -> None:
        _umount2(os.fsencode(target), flags, where=target)

    def pivot_root(self, new_root: str, put_old: str) -> None:
        _pivot_root(os.fsencode(new_root), os.fsencode(put_old))

    def open_tree(self, path: str, *, folder: int = AT_FDCWD, recursive: bool = False) -> int:
        """A detached copy of the mount that `path` lies on, rooted there."""
        flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (AT_RECURSIVE if recursive else 0)
        return _open_tree(folder, os.fsencode(path), flags, where=path)

    def mount_setattr(self, tree: int, attributes: int, *, userns: int = -1, recursive: bool = False) -> None:
        """Set MOUNT_ATTR_* on a mount given by descriptor; with MOUNT_ATTR_IDMAP its ids go through `userns`."""
        wanted = _MountAttr(attributes, 0, 0, max(userns, 0))
        flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
        _mount_setattr(tree, b"", flags, ctypes.addressof(wanted), ctypes.sizeof(wanted))

    def move_mount(self, tree: int, target: str | int) -> None:
        """Attach a detached mount at `target`, a path or a descriptor."""
        if isinstance(target, int):
            _move_mount(tree, b"", target, b"", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
        else:
            _move_mount(tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH, where=target)

    def new_mount(self, fstype: str, options: dict[str, str | None], attributes: int) -> int:
        """A new detached filesystem: fsopen, fsconfig for each option (None is a flag), fsmount."""
        context = _fsopen(fstype.encode(), 1, where=fstype)
        try:
            for key, value in options.items():
                if value is None:
                    _fsconfig(context, FSCONFIG_SET_FLAG, key.encode(), None, 0, where=key)
                else:
                    _fsconfig(context, FSCONFIG_SET_STRING, key.encode(), os.fsencode(value), 0, where=key)
            _fsconfig(context, FSCONFIG_CMD_CREATE, None, None, 0, where=fstype)
            return _fsmount(context, 1, attributes)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{error.filename}: {_messages(context)}") from error
        finally:
            os.close(context)

    def is_read_only(self, tree: int) -> bool:
        """Whether the filesystem itself refuses writes, whatever was asked of it."""
        return bool(os.fstatvfs(tree).f_flag & os.ST_RDONLY)

    def is_folder(self, descriptor: int) -> bool:
        return os.fstat(descriptor).st_mode & 0o170000 == 0o040000

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def lock_mounts(self) -> None:
        """Go on in a mount namespace where what is mounted now stays as it is: it can't be unmounted, nor be made
        writable, for devices or for set-user-id programs, whatever rights we have there.

        The kernel locks mounts when they are copied for another user namespace: so a child takes a copy into one of its
        own, and we copy that back. Source: mount_namespaces(7), "Restrictions on mount namespaces".
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = self.fork()
        if pid == 0:
            try:
                self.unshare(CLONE_NEWUSER | CLONE_NEWNS)
                socket.send_fds(theirs, [b"0"], [os.open("/proc/self/ns/mnt", os.O_RDONLY)])
            except OSError as error:
                theirs.send(str(error.errno).encode())
            finally:
                os._exit(0)
        theirs.close()
        with ours:
            answer, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
        os.waitpid(pid, 0)
        if not descriptors:
            code = int(answer or errno.ECHILD)
            raise OSError(code, os.strerror(code), "locking mounts")
        self.setns(descriptors[0], CLONE_NEWNS)
        os.close(descriptors[0])
        self.unshare(CLONE_NEWNS)

    def sethostname(self, name: str) -> None:
        _sethostname(name.encode(), len(name.encode()))

    def setdomainname(self, name: str) -> None:
        _setdomainname(name.encode(), len(name.encode()))

    def loopback_up(self) -> None:
        """Bring up `lo` of the current network namespace: netdevice(7)."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            request = bytearray(struct.pack("16sh22x", b"lo", 0))
            fcntl.ioctl(sock, SIOCGIFFLAGS, request)
            (flags,) = struct.unpack_from("h", request, 16)
            struct.pack_into("h", request, 16, flags | IFF_UP)
            fcntl.ioctl(sock, SIOCSIFFLAGS, request)

    def join_new_session_keyring(self) -> None:
        _keyctl(KEYCTL_JOIN_SESSION_KEYRING, None)

    def drop_bounding(self, capability: int) -> None:
        _prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)

    def capset(self, effective: int, permitted: int, inheritable: int) -> None:
        """Set this thread's capabilities, each a bit mask: capabilities(7), version 3."""
        low, high = 0xFFFFFFFF, 32
        data = struct.pack(
            "6I",
            *(effective & low, permitted & low, inheritable & low),
            *(effective >> high, permitted >> high, inheritable >> high),
        )
        _capset(struct.pack("Ii", 0x20080522, 0), data)

    def no_new_privileges(self) -> None:
        _prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)

    def die_with_parent(self, number: int = signal.SIGKILL) -> None:
        _prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)

    def adopt_orphans(self) -> None:
        """Be the parent of whoever below us loses theirs: PR_SET_CHILD_SUBREAPER of prctl(2)."""
        _prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def hide_memory(self) -> None:
        """Keep others of the same user from reading this process: proc(5) on PR_SET_DUMPABLE."""
        _prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)

    def show_memory(self) -> None:
        """Undo what a change of ids does: let others of the same user see this process in /proc again."""
        _prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)

    def set_name(self, name: str) -> None:
        _prctl_name(PR_SET_NAME, name.encode()[:15])

    def set_ids(self, uid: int, gid: int, groups: tuple[int, ...] | None) -> None:
        """Become a user for good; None leaves the groups, where setgroups(2) is denied."""
        if groups is not None:
            os.setgroups(groups)
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)

    def signalfd(self, numbers: frozenset[int]) -> int:
        mask = sum(1 << (number - 1) for number in numbers)
        return _signalfd4(-1, struct.pack("Q", mask), 8, os.O_CLOEXEC)

    def open_terminal(self, devpts: str) -> tuple[int, int]:
        """A new pseudo-terminal of that devpts: (master, slave)."""
        master = os.open(f"{devpts}/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        fcntl.ioctl(master, TIOCSPTLCK, struct.pack("i", 0))
        return master, fcntl.ioctl(master, TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        os.mkdir(path, mode)

    def make_file(self, path: str) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644))

    def make_node(self, path: str, mode: int, device: int, *, owner: int) -> None:
        """A device node; takes rights over the machine."""
        os.mknod(path, mode, device)
        os.chown(path, owner, owner)
        os.chmod(path, stat.S_IMODE(mode))

    def write_file(self, path: str, text: str) -> None:
        """Write into a file that is there, by one call."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def make_link(self, target: str, path: str) -> None:
        os.symlink(target, path)

    def remove_link(self, path: str) -> None:
        os.unlink(path)

    def remove_folder(self, path: str) -> None:
        os.rmdir(path)

    def identity(self, path: str) -> tuple[int, int]:
        """Device and inode."""
        status = os.stat(path)
        return status.st_dev, status.st_ino

    def open_path(self, path: str) -> int:
        return os.open(path, os.O_PATH | os.O_CLOEXEC)

    def open_without_magic(self, path: str, flags: int) -> int:
        """open(2) that fails with ELOOP on links of /proc that lead out of the file tree: openat2(2)."""
        how = struct.pack("3Q", flags | os.O_CLOEXEC, 0, RESOLVE_NO_MAGICLINKS)
        return _openat2(AT_FDCWD, os.fsencode(path), how, len(how), where=path)

    def change_folder(self, path: str | int) -> None:
        os.chdir(path)

    def kind(self, path: str) -> str:
        """ "folder", "file" or "" for nothing; links are followed, but not those of /proc that lead anywhere."""
        try:
            descriptor = self.open_without_magic(path, os.O_PATH)
        except (FileNotFoundError, NotADirectoryError):
            return ""
        try:
            return "folder" if self.is_folder(descriptor) else "file"
        finally:
            os.close(descriptor)

    def is_link(self, path: str) -> bool:
        return os.path.islink(path)

    def times(self, path: str) -> tuple[int, int]:
        status = os.stat(path)
        return status.st_atime_ns, status.st_mtime_ns

    def set_times(self, path: str, times: tuple[int, int]) -> None:
        os.utime(path, ns=times)
