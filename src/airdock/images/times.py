"""Times of files that a layer is not to remember, because they only say when it was made."""

import os
import stat
import struct
from typing import Final

__all__ = ["set_time"]

_SECOND_NS: Final = 1_000_000_000
_COMPILED: Final = b".pyc"
_HEADER: Final = struct.Struct("<4sIII")
"""How a compiled Python file begins: magic number, flags, the time of its source in seconds, the source's size.

Source: PEP 552; no flags mean that the time counts.
"""


def set_time(path: bytes, status: os.stat_result, *, since_ns: int, time_ns: int) -> None:
    """Give a file or folder a time, whatever kind it is; links are not followed.

    A compiled Python file says when its source was written and is worth nothing when that is another time: where it
    says one from `since_ns` on, it says `time_ns` afterwards, as its source does.
    """
    if path.endswith(_COMPILED) and stat.S_ISREG(status.st_mode) and status.st_size > _HEADER.size:
        _set_source_time(path, since_s=since_ns // _SECOND_NS, time_s=time_ns // _SECOND_NS)
    os.utime(path, ns=(time_ns, time_ns), follow_symlinks=False)


def _set_source_time(path: bytes, *, since_s: int, time_s: int) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        magic, flags, source_s, size = _HEADER.unpack(os.pread(descriptor, _HEADER.size, 0))
        if magic.endswith(b"\r\n") and flags == 0 and since_s <= source_s:
            os.pwrite(descriptor, _HEADER.pack(magic, flags, time_s & 0xFFFFFFFF, size), 0)
    finally:
        os.close(descriptor)
