"""The default seccomp profile as a table: what a container may call, by capability, kernel, and argument.

The rules are those of Docker's default profile (moby/profiles, `seccomp/default.json`), kept as facts for the
architectures of `seccomp_numbers`; a test compares them one by one. Where Airdock is stricter, `STRICTER` says so.
"""

from typing import Literal

from airdock.record import record

__all__ = ["PROFILE", "STRICTER", "Compare", "Rule"]

ALL_BITS = 0xFFFF_FFFF_FFFF_FFFF
NAMESPACE_FLAGS = 0x7E02_0000
"""clone(2): NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
AF_ALG, AF_VSOCK = 38, 40


@record
class Compare:
    """`argument[index] & mask` held against `value`, both unsigned and 64 bits wide."""

    index: int
    is_: Literal["below", "equal", "above"]
    value: int
    mask: int = ALL_BITS


@record
class Rule:
    """What to answer to `names`; of several rules for one call the first that fits counts, allowing ones first.

    `errno` 0 allows the call, any other refuses it with that number. The rule holds where `needs` is among the
    container's capabilities and `excludes` isn't, on `arch` (any where empty), from `min_kernel` on, and if every
    comparison fits. "" needs or excludes no capability.
    """

    names: str
    compares: tuple[Compare, ...] = ()
    errno: int = 0
    needs: str = ""
    excludes: str = ""
    arch: str = ""
    min_kernel: tuple[int, int] = (0, 0)


def _personality(value: int) -> Rule:
    return Rule(names="personality", compares=(Compare(index=0, is_="equal", value=value),))


def _socket(is_: Literal["below", "equal", "above"], family: int) -> Rule:
    # The kernel takes the family as an int and drops the upper half of the register. Comparing all 64 bits, as the
    # published profile does, would let AF_ALG through with any bit set up there.
    return Rule(names="socket", compares=(Compare(index=0, is_=is_, value=family, mask=0xFFFF_FFFF),))


PROFILE: tuple[Rule, ...] = (
    Rule(
        names="""
        _llseek _newselect accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown
        chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64
        clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3
        epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
        eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark
        fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock
        fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex
        futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat get_robust_list get_thread_area getcpu
        getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
        getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32
        getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getuid32 getxattr getxattrat
        inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
        io_pgetevents_time64 io_setup io_submit ioctl ioprio_get ioprio_set ipc kill landlock_add_rule
        landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount
        listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack
        membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2
        mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
        mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
        name_to_handle_at nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2
        pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64
        process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
        recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2
        restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn
        rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_get_priority_max
        sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval
        sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
        seccomp select semctl semget semop semtimedop semtimedop_time64 sendfile sendfile64 sendmmsg sendmsg sendto
        set_robust_list set_thread_area set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32
        setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid
        setresuid32 setreuid setreuid32 setrlimit setsid setsockopt setuid setuid32 setxattr setxattrat shmat shmctl
        shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat
        stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
        timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
        timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate
        truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork
        vmsplice wait4 waitid waitpid write writev
        """
    ),
    Rule(names="process_vm_readv process_vm_writev ptrace", min_kernel=(4, 8)),
    _socket("below", AF_ALG),
    _socket("equal", AF_ALG + 1),
    _socket("above", AF_VSOCK),
    _personality(0x0),
    _personality(0x8),
    _personality(0x20000),
    _personality(0x20008),
    _personality(0xFFFFFFFF),
    Rule(names="arch_prctl", arch="x86_64"),
    Rule(names="modify_ldt", arch="x86_64"),
    Rule(names="open_by_handle_at", needs="CAP_DAC_READ_SEARCH"),
    Rule(
        names="""
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
        lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
        sethostname setns syslog umount umount2 unshare
        """,
        needs="CAP_SYS_ADMIN",
    ),
    Rule(
        names="clone",
        compares=(Compare(index=0, is_="equal", value=0, mask=NAMESPACE_FLAGS),),
        excludes="CAP_SYS_ADMIN",
    ),
    # clone3 hands its flags over in memory, where no filter can look. ENOSYS lets libc fall back to clone.
    Rule(names="clone3", errno=38, excludes="CAP_SYS_ADMIN"),
    Rule(names="reboot", needs="CAP_SYS_BOOT"),
    Rule(names="chroot", needs="CAP_SYS_CHROOT"),
    Rule(names="delete_module init_module finit_module", needs="CAP_SYS_MODULE"),
    Rule(names="acct", needs="CAP_SYS_PACCT"),
    Rule(
        names="kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace",
        needs="CAP_SYS_PTRACE",
    ),
    Rule(names="iopl ioperm", needs="CAP_SYS_RAWIO"),
    Rule(names="settimeofday stime clock_settime clock_settime64", needs="CAP_SYS_TIME"),
    Rule(names="vhangup", needs="CAP_SYS_TTY_CONFIG"),
    Rule(names="get_mempolicy mbind set_mempolicy set_mempolicy_home_node", needs="CAP_SYS_NICE"),
    Rule(names="syslog", needs="CAP_SYSLOG"),
    Rule(names="bpf", needs="CAP_BPF"),
    Rule(names="perf_event_open", needs="CAP_PERFMON"),
)

STRICTER: tuple[Rule, ...] = (
    # 32-bit x86 can also open sockets through socketcall, whose arguments lie in memory: its number 1, SOCKET, would
    # be a way around the rule for `socket` from any program, by `int 0x80`. Programs call `socket` itself instead.
    Rule(names="socketcall", compares=(Compare(index=0, is_="below", value=1, mask=0xFFFF_FFFF),)),
    Rule(names="socketcall", compares=(Compare(index=0, is_="above", value=1, mask=0xFFFF_FFFF),)),
)
"""Rules that take the place of the profile's for the calls they name."""
