"""The default filter, taken on by real processes: what it forbids, and that ordinary programs notice nothing of it."""

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

CHILD = """
import ctypes, json, mmap, os, sys, threading
sys.path.insert(0, sys.argv[1])
from airdock.runtime.seccomp import default_filter, install
from airdock.runtime.seccomp_numbers import load_numbers

numbers = load_numbers(os.uname().machine)
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
program = default_filter(capabilities=json.loads(sys.argv[2]))
if os.geteuid() == 0 and sys.argv[3] == "nobody":
    os.setresuid(65534, 65534, 65534)
install(program)

def call(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(number, *(ctypes.c_ulong(value) for value in arguments))
    return ctypes.get_errno() if result == -1 else 0

said = {}
for name, *arguments in json.loads(sys.argv[4]):
    number = name if isinstance(name, int) else numbers[name]
    said[f"{name} {arguments}"] = call(number, *arguments)

worked = []
thread = threading.Thread(target=lambda: worked.append(os.getpid()))
thread.start()
thread.join()
said["threads"] = worked == [os.getpid()]
child = os.fork()
if child == 0:
    os.execv("/bin/true", ["true"])
said["fork and exec"] = os.waitpid(child, 0)[1] == 0
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
said["status"] = [status["NoNewPrivs"].strip(), status["Seccomp"].strip()]

def call32(number, first):
    "A call by the 32-bit entry: int 0x80 from 64-bit code."
    code = b"\\x53\\xb8" + number.to_bytes(4, "little") + b"\\xbb" + first.to_bytes(4, "little")
    code += b"\\x31\\xc9\\x31\\xd2\\xcd\\x80\\x5b\\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    return function()

if os.uname().machine == "x86_64":
    old = load_numbers("i386")
    said["i386 getpid"] = call32(old["getpid"], 0) == os.getpid()
    said["i386 mount"] = -call32(old["mount"], 0)
    said["i386 socketcall socket"] = -call32(old["socketcall"], 1)
    said["i386 unshare"] = -call32(old["unshare"], 0x10000000)
print(json.dumps(said))
"""

CLONE_NEWUSER = 0x1000_0000
SIGCHLD = 17


def run(*calls: tuple[object, ...], capabilities: tuple[str, ...] = (), account: str = "nobody") -> dict[str, object]:
    command = [sys.executable, "-I", "-c", CHILD, str(SOURCE), json.dumps(capabilities), account, json.dumps(calls)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    said: dict[str, object] = json.loads(ended.stdout)
    return said


FORBIDDEN: tuple[tuple[object, ...], ...] = (
    ("mount", 0, 0, 0, 0, 0),
    ("umount2", 0, 0),
    ("pivot_root", 0, 0),
    ("open_tree", 0, 0, 0),
    ("fsopen", 0, 0),
    ("setns", 0, 0),
    ("unshare", CLONE_NEWUSER),
    ("clone", CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0),
    ("keyctl", 0, 0),
    ("add_key", 0, 0, 0, 0, 0),
    ("request_key", 0, 0, 0, 0),
    ("bpf", 0, 0, 0),
    ("perf_event_open", 0, 0, 0, 0, 0),
    ("io_uring_setup", 1, 0),
    ("userfaultfd", 0),
    ("kexec_load", 0, 0, 0, 0),
    ("init_module", 0, 0, 0),
    ("open_by_handle_at", 0, 0, 0),
    ("reboot", 0, 0, 0, 0),
    ("swapon", 0, 0),
    ("chroot", 0),
    ("personality", 0x0040000),
    ("socket", 38, 5, 0),
    ("socket", 38 | 1 << 32, 5, 0),
    ("socket", 40, 1, 0),
)


@pytest.mark.parametrize("account", ["root", "nobody"])
def test_what_reaches_out_of_a_container_is_refused(account: str) -> None:
    if account == "root" and os.geteuid() != 0:
        pytest.skip("needs root to see what root may not do")
    said = run(*FORBIDDEN, account=account)
    answers = {name: value for name, value in said.items() if "[" in name}
    assert len(answers) == len(FORBIDDEN)
    assert {name: value for name, value in answers.items() if value != errno.EPERM} == {}


def test_ordinary_programs_notice_nothing() -> None:
    said = run(("personality", 0xFFFFFFFF), ("personality", 0x20008), ("personality", 0), ("socket", 1, 1, 0))
    assert {said[name] for name in said if "[" in name} == {0}
    assert (said["threads"], said["fork and exec"], said["status"]) == (True, True, ["1", "2"])


def test_libc_is_told_to_use_clone_instead_of_clone3() -> None:
    assert run(("clone3", 0, 0))["clone3 [0, 0]"] == errno.ENOSYS


def test_calls_that_are_newer_than_the_table_are_unknown() -> None:
    said = run((4000,), (0x4000_0000,))
    assert list(said.values())[:2] == [errno.ENOSYS, errno.ENOSYS]


def test_capabilities_open_what_belongs_to_them() -> None:
    said = run(("unshare", 0), ("chroot", 0), ("bpf", 99, 0, 0), capabilities=("CAP_SYS_ADMIN", "CAP_SYS_CHROOT"))
    assert said["unshare [0]"] == 0
    # The kernel itself answers now.
    assert said["chroot [0]"] == errno.EFAULT
    assert said["bpf [99, 0, 0]"] in (errno.EINVAL, errno.EPERM)


def test_the_32_bit_door_is_guarded_as_well() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("only x86_64 has a 32-bit door that is open")
    said = run()
    if not said["i386 getpid"]:
        pytest.skip("this kernel has no 32-bit calls")
    assert (said["i386 mount"], said["i386 unshare"], said["i386 socketcall socket"]) == (errno.EPERM,) * 3
