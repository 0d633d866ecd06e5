"""Staying with a program in the foreground: signals, the terminal, and its end."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Callable

import pytest

from airdock.cli.attend import Signals, attend


class Program:
    """A plain process in a container's place: the loop needs its end and a way to signal it."""

    def __init__(self, *argv: str) -> None:
        # Whoever started the tests in the background gave them an ignored SIGINT, which a shell can't trap.
        argv = ("env", "--default-signal", *argv)
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
        self._descriptor = os.pidfd_open(self.process.pid)
        self.attended = threading.Event()

    def fileno(self) -> int:
        self.attended.set()
        return self._descriptor

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def close(self) -> tuple[int, bytes]:
        os.close(self._descriptor)
        output, _ = self.process.communicate()
        return self.process.returncode, output


def when_printed(program: Program, act: Callable[[], None]) -> threading.Thread:
    """Do something once the program has printed a line, and signals have become the program's."""

    def wait() -> None:
        assert program.process.stdout is not None
        program.process.stdout.readline()
        program.attended.wait()
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_it_comes_back_when_the_program_ended() -> None:
    program = Program("true")
    with Signals() as signals:
        attend(program, signals=signals)
    assert program.close() == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_of_ours_is_the_programs(number: signal.Signals) -> None:
    program = Program("sh", "-c", "trap 'exit 7' TERM INT HUP USR1; echo ready; while :; do sleep 0.05; done")
    before = signal.getsignal(number)
    thread = when_printed(program, lambda: os.kill(os.getpid(), number))
    with Signals() as signals:
        attend(program, signals=signals)
    thread.join()
    assert program.close()[0] == 7
    assert signal.getsignal(number) is before


def test_the_third_interrupt_kills_what_does_not_listen() -> None:
    program = Program(sys.executable, "-c", "import os, signal, time\n"
                      "signal.signal(2, lambda *a: os.write(1, b'\\n'))\n"
                      "print(flush=True)\nwhile True: time.sleep(1)")  # fmt: skip

    def insist() -> None:
        assert program.process.stdout is not None
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            program.process.stdout.readline()
        os.kill(os.getpid(), signal.SIGINT)

    thread = when_printed(program, insist)
    with Signals() as signals:
        attend(program, signals=signals)
    thread.join()
    assert program.close()[0] == -signal.SIGKILL


def test_a_signal_that_comes_before_the_program_waits_for_it() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        program = Program("sleep", "100")
        attend(program, signals=signals)
    assert program.close()[0] == -signal.SIGTERM


def test_a_second_interrupt_while_the_program_starts_does_not_wait() -> None:
    with Signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


OUTER = textwrap.dedent("""
    import fcntl, os, subprocess, sys, termios
    from airdock.cli.attend import Signals, attend, open_terminal

    class Program:
        def __init__(self, argv):
            outside, inside = os.openpty()
            self.terminal = outside
            self.process = subprocess.Popen(
                argv, stdin=inside, stdout=inside, stderr=inside, start_new_session=True,
                preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            )
            os.close(inside)
            self.pidfd = os.pidfd_open(self.process.pid)
        def fileno(self): return self.pidfd
        def signal(self, number): self.process.send_signal(number)

    program = Program(sys.argv[1:])
    with Signals() as signals, open_terminal(program.terminal, interactive=True) as terminal:
        attend(program, signals=signals, terminal=terminal)
    print("ended", program.process.wait(), flush=True)
""")


def read_until(descriptor: int, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        ready, _, _ = select.select([descriptor], [], [], 20)
        assert ready, f"expected {wanted!r}, saw {seen!r}"
        seen += os.read(descriptor, 65536)
    return seen


def start_outer(*argv: str) -> tuple[subprocess.Popen[bytes], int, int]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-c", OUTER, *argv], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    return process, ours, theirs


def test_a_terminal_is_carried_both_ways_and_given_back() -> None:
    sized = 'while [ "$(stty size)" = "0 0" ]; do sleep 0.01; done'  # the program may be quicker than who attends it
    process, ours, theirs = start_outer(
        "sh", "-c", f"{sized}; stty size; echo ready; read line; echo got=$line; exit 3"
    )
    modes = termios.tcgetattr(theirs)
    assert b"33 77" in read_until(ours, b"ready")
    assert not termios.tcgetattr(theirs)[3] & termios.ICANON, "ours should be raw while the program has it"
    os.write(ours, b"hello\r")
    read_until(ours, b"ended 3")
    assert process.wait(20) == 0
    assert termios.tcgetattr(theirs) == modes
    os.close(ours)
    os.close(theirs)


def test_a_new_size_reaches_the_program() -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done"
    process, ours, theirs = start_outer("sh", "-c", script)
    read_until(ours, b"ready")
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))
    process.send_signal(signal.SIGWINCH)
    assert b"50 120" in read_until(ours, b"ended 0")
    process.wait(20)
    os.close(ours)
    os.close(theirs)


def test_more_is_typed_than_the_program_takes_at_once() -> None:
    script = "stty raw -echo; echo ready; head -c 200000 | wc -c"
    process, ours, theirs = start_outer("sh", "-c", script)
    read_until(ours, b"ready")
    thread = threading.Thread(target=lambda: [os.write(ours, b"x" * 1000) for _ in range(200)])
    thread.start()
    assert b"200000" in read_until(ours, b"ended 0")
    thread.join()
    process.wait(20)
    os.close(ours)
    os.close(theirs)
