"""The recorder stands for every call."""

import errno

import pytest

from airdock.runtime.capabilities import CAPABILITIES
from airdock.runtime.recorder import Recorder
from airdock.runtime.syscalls import Syscalls


def test_every_call_is_recorded_and_none_is_made() -> None:
    recorder = Recorder()
    for name in (name for name in vars(Syscalls) if not name.startswith("_")):
        assert getattr(recorder, name).func.__name__ == "record"


def test_a_call_fails_where_it_should() -> None:
    recorder = Recorder(failures={"unshare": errno.EPERM, "setns": lambda fd, flags: errno.EINVAL if fd == 3 else 0})
    with pytest.raises(PermissionError):
        recorder.unshare(1)
    with pytest.raises(OSError, match="Invalid argument"):
        recorder.setns(3, 0)
    recorder.setns(4, 0)
    assert recorder.calls == [("unshare", 1), ("setns", 3, 0), ("setns", 4, 0)]


def test_the_list_of_capabilities_is_the_kernels() -> None:
    assert len(CAPABILITIES) == 41
    assert CAPABILITIES.index("CAP_SYS_ADMIN") == 21
    assert CAPABILITIES.index("CAP_CHECKPOINT_RESTORE") == 40
