"""Ways out of a container, tried from inside: a program for any CPython, with nothing but the standard library.

Each attempt either raises OSError, which is a refusal, or gives a sentence about what it reached. Printed is a line of
JSON for each: name, what was tried, `errno` (a name, or null where it got through), `said`. Attempts whose name begins
with `own_` may get through in a privileged container, since all that they reach is the container's own; those that
begin with `unfiltered_` may where there is no seccomp filter.
"""

import ctypes
import errno
import fcntl
import glob
import json
import mmap
import os
import socket
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)
X86 = os.uname().machine == "x86_64"
NUMBERS = {  # x86_64, aarch64
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "ptrace": (101, 117),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "open_by_handle_at": (304, 265),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "settimeofday": (164, 170),
    "syslog": (103, 116),
    "acct": (163, 89),
    "process_vm_readv": (310, 270),
    "pidfd_getfd": (438, 438),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "clone3": (435, 435),
    "quotactl": (179, 60),
    "lookup_dcookie": (212, 18),
    "personality": (135, 92),
    "chroot": (161, 51),
}
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWPID = 0x20000, 0x10000000, 0x40000000, 0x20000000
PTRACE_ATTACH, TIOCSTI = 16, 0x5412
ATTEMPTS = []


def attempt(what):
    def note(function):
        ATTEMPTS.append((function.__name__, what, function))
        return function

    return note


def call(name, *arguments):
    """A system call by number: what libc would filter out or wrap is what is tried."""
    ctypes.set_errno(0)
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(NUMBERS[name][0 if X86 else 1]), *given)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


def write(path, text):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
    return "wrote " + path


def refused_at_all(paths, act):
    """Try every path; the first success is the answer, else the last refusal."""
    last = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    for path in paths:
        try:
            return act(path)
        except OSError as error:
            last = error
    raise last


@attempt("descriptors beyond the standard three that were left open")
def leaked_descriptors():
    left = []
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and os.path.exists("/proc/self/fd/" + name):
            left.append((name, os.readlink("/proc/self/fd/" + name)))
    if not left:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return f"found {left}"


# Mounts


@attempt("mount -t tmpfs")
def own_mount_tmpfs():
    call("mount", b"x", b"/tmp", b"tmpfs", 0, b"")
    return "mounted a tmpfs"


@attempt("mount -t proc on a new folder")
def own_mount_proc():
    os.makedirs("/tmp/p", exist_ok=True)
    call("mount", b"proc", b"/tmp/p", b"proc", 0, b"")
    if os.path.exists("/tmp/p/1/cmdline") and b"airdock" in open("/tmp/p/1/comm", "rb").read():
        return "mounted a proc of its own processes"
    raise OSError(errno.EPERM, "it isn't its own")


@attempt("remount /usr writable and write there")
def remount_read_only_bind():
    call("mount", b"", b"/usr", b"", 0x20 | 0x1000, b"")
    return write("/usr/escape", "x")


@attempt("write below /usr as it is")
def write_read_only_bind():
    os.close(os.open("/usr/airdock-escape", os.O_CREAT | os.O_WRONLY, 0o644))
    return "made /usr/airdock-escape"


@attempt("pivot_root(2) onto the root itself")
def own_pivot_root():
    call("pivot_root", b".", b".")
    return "pivoted"


@attempt("mount(2) of every block device")
def mount_block_devices():
    os.makedirs("/tmp/b", exist_ok=True)
    names = [line.split()[3] for line in open("/proc/partitions").read().splitlines()[2:]]
    kinds = (b"ext4", b"xfs", b"btrfs")

    def act(name):
        for kind in kinds:
            try:
                call("mount", b"/dev/" + name.encode(), b"/tmp/b", kind, 1, b"")
                return "mounted /dev/" + name
            except OSError as error:
                last = error
        raise last

    return refused_at_all(names, act)


@attempt("fsopen(2) of ext4")
def own_fsopen():
    descriptor = call("fsopen", b"ext4", 0)
    os.close(descriptor)
    return "opened a filesystem, not yet a disk"


@attempt("open_tree(2) with a clone of /")
def own_open_tree():
    return "cloned the tree: {}".format(call("open_tree", -100, b"/", 1))


@attempt("umount2(2) of /proc/kcore's mask, then read kernel memory")
def read_kernel_memory():
    try:
        call("umount2", b"/proc/kcore", 2)
    except OSError:
        pass
    with open("/proc/kcore", "rb") as file:
        if not file.read(64):
            raise OSError(errno.EACCES, "masked")
    return "read /proc/kcore"


@attempt("mount -t cgroup with release_agent")
def mount_cgroup_release_agent():
    os.makedirs("/tmp/cg", exist_ok=True)
    call("mount", b"cg", b"/tmp/cg", b"cgroup", 0, b"memory")
    return write("/tmp/cg/release_agent", "/tmp/evil")


@attempt("writes to cgroup files: release_agent, cgroup.procs, limits")
def write_cgroup_files():
    paths = []
    for name in ("release_agent", "cgroup.procs", "memory.max", "memory.limit_in_bytes", "cgroup.subtree_control"):
        paths += glob.glob("/sys/fs/cgroup/" + name) + glob.glob("/sys/fs/cgroup/*/" + name)
    return refused_at_all(paths, lambda path: write(path, "0"))


# Namespaces


@attempt("unshare(CLONE_NEWUSER|CLONE_NEWNS), then mount")
def own_unshare_and_mount():
    pid = os.fork()
    if pid == 0:
        try:
            call("unshare", CLONE_NEWUSER | CLONE_NEWNS)
            call("mount", b"x", b"/tmp", b"tmpfs", 0, b"")
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))
    return "mounted in a namespace of its own"


@attempt("unshare(2) of each namespace by its flag")
def own_unshare():
    def act(flag):
        pid = os.fork()
        if pid == 0:
            try:
                call("unshare", flag)
                os._exit(0)
            except OSError as error:
                os._exit(error.errno)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if code:
            raise OSError(code, os.strerror(code))
        return f"unshared {flag:#x}"

    return refused_at_all((CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWNET, CLONE_NEWPID, 0x2000000, 0x8000000), act)


@attempt("clone3(2), whose flags no filter sees")
def own_clone3():
    arguments = (ctypes.c_uint64 * 11)(CLONE_NEWUSER, 0, 0, 0, 17)
    pid = call("clone3", ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return "cloned with a user namespace"


@attempt("setns(2) into every namespace that /proc shows")
def setns_elsewhere():
    own = {os.readlink(path) for path in glob.glob("/proc/self/ns/*")}
    others = [path for path in glob.glob("/proc/[0-9]*/ns/*") if is_other(path, own)]

    def act(path):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            call("setns", descriptor, 0)
            return "joined " + path
        finally:
            os.close(descriptor)

    return refused_at_all(others, act)


def is_other(path, own):
    try:
        return os.readlink(path) not in own
    except OSError:
        return False


@attempt("setns(2) into the mounts of pid 1, which are not locked, by its pidfd")
def setns_pid_1():
    pidfd = os.pidfd_open(1)
    try:
        call("setns", pidfd, CLONE_NEWNS)
    finally:
        os.close(pidfd)
    return "joined pid 1"


@attempt("remounts: /usr, /etc, /sys and /proc/sys writable, /usr with devices; unmounting them")
def remount_what_is_locked():
    own_read_only = [path for path in ("/usr", "/etc", "/sys") if os.statvfs(path).f_flag & os.ST_RDONLY]

    def act(path):
        try:
            call("mount", b"", path.encode(), b"", 0x20 | 0x1000, b"")
            return f"made {path} writable"
        except OSError:
            call("umount2", path.encode(), 2)
            return f"unmounted {path}"

    return refused_at_all(own_read_only, act)


# Processes


@attempt("ptrace(PTRACE_ATTACH) of pid 1")
def ptrace_pid_1():
    call("ptrace", PTRACE_ATTACH, 1, 0, 0)
    return "attached to pid 1"


@attempt("reading pid 1's memory: /proc/1/mem")
def pid_1_memory():
    with open("/proc/1/maps") as file:
        start = int(file.readline().split("-")[0], 16)
    descriptor = os.open("/proc/1/mem", os.O_RDONLY)
    return f"read {len(os.pread(descriptor, 64, start))} bytes"


@attempt("process_vm_readv(2) of pid 1")
def pid_1_process_vm():
    buffer = ctypes.create_string_buffer(64)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 64)
    remote = (ctypes.c_void_p * 2)(id(libc), 64)
    call("process_vm_readv", 1, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
    return "read memory"


@attempt("/proc/1/fd, /proc/1/root, /proc/1/cwd, /proc/1/exe, /proc/1/environ")
def pid_1_links():
    def act(name):
        if name == "environ":
            return "read {} bytes".format(len(open("/proc/1/environ", "rb").read()))
        if name == "fd":
            return "saw descriptors {}".format(os.listdir("/proc/1/fd"))
        return "{} leads to {}".format(name, os.listdir("/proc/1/" + name) if name != "exe" else os.stat("/proc/1/exe"))

    return refused_at_all(("fd", "exe", "environ", "root", "cwd"), act)


@attempt("pidfd_getfd(2) of pid 1's descriptors")
def pid_1_descriptors():
    pidfd = os.pidfd_open(1)
    try:
        return refused_at_all(range(16), lambda number: "got {}".format(call("pidfd_getfd", pidfd, number, 0)))
    finally:
        os.close(pidfd)


@attempt("a kill of pid 1, which would end the launcher's child")
def own_kill_pid_1():
    """SIGKILL from inside has no effect on pid 1: the kernel says yes and does nothing."""
    os.kill(1, 9)
    os.kill(1, 0)
    raise OSError(errno.EPERM, "pid 1 lives")


@attempt("processes of the machine in /proc")
def machine_processes():
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        if path.startswith("/proc/1/"):
            continue  # a fork of the launcher, by its name
        with open(path, "rb") as file:
            line = file.read()
        if b"launcher" in line or b"pytest" in line or b"process_api" in line:
            found.append(path)
    if not found:
        raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
    return f"saw {found}"


# The kernel


@attempt("keyctl(2): read the session keyring")
def own_keyctl():
    return "keyring {}".format(call("keyctl", 0, -3, 0))


@attempt("add_key(2) to the user's keyring")
def own_add_key():
    return "key {}".format(call("add_key", b"user", b"escape", b"x", 1, -4))


@attempt("bpf(BPF_PROG_LOAD)")
def bpf_program():
    attributes = ctypes.create_string_buffer(120)
    return "loaded {}".format(call("bpf", 5, attributes, 120))


@attempt("perf_event_open(2) of the whole machine")
def perf_of_the_machine():
    attributes = bytearray(120)
    struct.pack_into("=IIQ", attributes, 0, 0, 120, 0)
    buffer = (ctypes.c_char * 120).from_buffer(attributes)
    return "counts {}".format(call("perf_event_open", buffer, -1, 0, -1, 0))


@attempt("userfaultfd(2) for the kernel's faults")
def own_userfaultfd():
    return "opened {}".format(call("userfaultfd", 0))


@attempt("io_uring_setup(2)")
def own_io_uring():
    parameters = ctypes.create_string_buffer(120)
    return "opened {}".format(call("io_uring_setup", 4, parameters))


@attempt("kexec_load(2)")
def kexec():
    call("kexec_load", 0, 0, 0, 0)
    return "loaded another kernel"


@attempt("init_module(2)")
def load_module():
    call("init_module", b"\x7fELF", 4, b"")
    return "loaded a module"


@attempt("delete_module(2)")
def remove_module():
    call("delete_module", b"loop", 0)
    return "removed a module"


@attempt("reboot(2) with ctrl-alt-del on")
def reboot():
    call("reboot", 0xFEE1DEAD - (1 << 32), 672274793, 0x89ABCDEF - (1 << 32), 0)
    raise OSError(errno.EPERM, "only of its own pid namespace")


@attempt("swapon(2)")
def swap_on():
    call("swapon", b"/etc/hostname", 0)
    return "swaps"


@attempt("settimeofday(2) to what it is")
def set_time():
    import time

    now = (ctypes.c_long * 2)(int(time.time()), 0)
    call("settimeofday", ctypes.byref(now), 0)
    return "set the machine's clock"


@attempt("syslog(2): read the kernel's ring buffer")
def kernel_log():
    buffer = ctypes.create_string_buffer(256)
    return "read {} bytes".format(call("syslog", 3, buffer, 256))


@attempt("acct(2)")
def accounting():
    call("acct", b"/tmp/acct")
    return "accounts processes"


@attempt("open_by_handle_at(2) of the host's root inode")
def open_by_handle():
    handle = bytearray(struct.pack("=Ii", 8, 1) + struct.pack("=II", 2, 0))
    buffer = (ctypes.c_char * len(handle)).from_buffer(handle)
    descriptor = os.open("/etc", os.O_RDONLY)
    return "opened {}".format(call("open_by_handle_at", descriptor, buffer, 0))


@attempt("/proc/sysrq-trigger")
def sysrq():
    return write("/proc/sysrq-trigger", "h")


@attempt("/proc/sys/kernel/core_pattern")
def core_pattern():
    return write("/proc/sys/kernel/core_pattern", "core")


@attempt("/proc/sys: vm, kernel and fs settings")
def kernel_settings():
    names = ("vm/drop_caches", "kernel/modprobe", "kernel/panic", "fs/suid_dumpable", "kernel/hostname")
    paths = ["/proc/sys/" + name for name in names[:-1]]
    return refused_at_all(paths, lambda path: write(path, "0"))


@attempt("/sys: uevent_helper, power state, kernel settings")
def sysfs_writes():
    paths = ["/sys/kernel/uevent_helper", "/sys/power/state", "/sys/kernel/mm/ksm/run", "/sys/kernel/profiling"]
    return refused_at_all(paths, lambda path: write(path, "0"))


@attempt("/proc/bus, /proc/irq, /proc/acpi, /proc/timer_list, /proc/keys")
def masked_files():
    paths = glob.glob("/proc/irq/*/smp_affinity")[:2] + ["/proc/acpi/wakeup"]
    return refused_at_all(paths, lambda path: write(path, "1"))


# Devices and files


@attempt("mknod(2) of disks, memory and kmsg, then open")
def make_nodes():
    def act(node):
        kind, major, minor = node
        path = f"/tmp/n{major}-{minor}"
        os.mknod(path, kind | 0o666, os.makedev(major, minor))
        os.close(os.open(path, os.O_RDWR))
        return f"opened {major}:{minor}"

    disks = [(stat.S_IFBLK, 8, 0), (stat.S_IFBLK, 254, 0), (stat.S_IFBLK, 259, 0), (stat.S_IFBLK, 7, 0)]
    return refused_at_all([*disks, (stat.S_IFCHR, 1, 1), (stat.S_IFCHR, 1, 11), (stat.S_IFCHR, 10, 229)], act)


@attempt("device nodes that are there already")
def present_nodes():
    names = ("mem", "kmsg", "port", "kvm", "fuse", "sda", "vda", "loop0", "loop-control", "mapper/control")
    return refused_at_all(
        ["/dev/" + name for name in names], lambda path: os.close(os.open(path, os.O_RDWR)) or "opened " + path
    )


@attempt("/etc/shadow and other people's files")
def others_files():
    paths = ["/etc/shadow", "/root/.bashrc", "/etc/ssh/ssh_host_rsa_key", "/var/log/syslog"]
    return refused_at_all(paths, lambda path: f"read {open(path).read(9)!r} of {path}")


@attempt("chroot(2) and walk up with a descriptor of /")
def chroot_walk():
    before = os.stat("/")
    root = os.open("/", os.O_RDONLY)
    pid = os.fork()
    if pid == 0:
        try:
            os.makedirs("/tmp/jail", exist_ok=True)
            os.chroot("/tmp/jail")
            os.fchdir(root)
            for _ in range(32):
                os.chdir("..")
            after = os.stat(".")
            os._exit(0 if (after.st_dev, after.st_ino) != (before.st_dev, before.st_ino) else errno.EPERM)
        except OSError as error:
            os._exit(error.errno)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(root)
    if code:
        raise OSError(code, os.strerror(code))
    return "walked out of its root"


@attempt("a set-user-id program run as another user")
def own_gain_by_setuid():
    source = open(os.path.realpath("/proc/self/exe"), "rb")
    program = "/tmp/gain"
    with open(program, "wb") as file:
        while part := source.read(1 << 20):
            file.write(part)
    os.chmod(program, 0o4755)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgid(12)
            os.setuid(12)
        except OSError as error:
            os.write(writer, b"refused %d" % error.errno)
            os._exit(0)
        os.dup2(writer, 1)
        os.execv(program, [program, "-I", "-S", "-c", "import os; print(os.geteuid())"])
    os.close(writer)
    said = os.read(reader, 64).decode().strip()
    os.waitpid(pid, 0)
    os.close(reader)
    if said != "0":
        raise OSError(errno.EPERM, "runs as " + said)
    return "became root by a set-user-id program"


@attempt("TIOCSTI on the standard input")
def push_input():
    if not os.isatty(0):
        raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
    fcntl.ioctl(0, TIOCSTI, b"x")
    return "typed into the terminal"


# Network


@attempt("abstract sockets of the machine")
def abstract_sockets():
    names = [line.split()[-1][1:] for line in open("/proc/net/unix") if " @" in line]

    def act(name):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect("\0" + name)
        return "reached @" + name

    return refused_at_all([*names, "/tmp/.X11-unix/X0", sys.argv[1] if len(sys.argv) > 1 else "none"], act)


@attempt("loopback and interfaces of the machine")
def machine_network():
    names = [name for _, name in socket.if_nameindex() if name not in ("lo", "tunl0", "sit0", "ip6tnl0", "erspan0")]
    real = [name for name in names if not name.startswith(("gre", "ip", "erspan"))]
    if not real:
        raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
    return f"saw {real}"


@attempt("AF_ALG and AF_VSOCK sockets")
def unfiltered_sockets():
    return refused_at_all((38, 40), lambda family: f"opened {socket.socket(family, socket.SOCK_STREAM)}")


@attempt("iopl(2) and /dev/port")
def ports():
    with mmap.mmap(os.open("/dev/mem", os.O_RDWR), 4096) as memory:
        return f"mapped {len(memory)}"


def main():
    for name, what, function in ATTEMPTS:
        try:
            said, code = function(), None
        except OSError as error:
            said, code = str(error.strerror), errno.errorcode.get(error.errno or 0, str(error.errno))
        sys.stdout.write(json.dumps({"name": name, "what": what, "errno": code, "said": said}) + "\n")
        sys.stdout.flush()


main()
