"""What a container used, by cgroup or by wait4."""

import os
from resource import struct_rusage

import pytest

from airdock.model.usage import Usage, UsageSource
from airdock.runtime.usage import from_rusage, measure

RUSAGE = struct_rusage((1.5, 0.25, 2048, *([0] * 13)))


class Counted:
    def __init__(self, memory: int | None, cpu: float | None) -> None:
        self.memory, self.cpu = memory, cpu

    def memory_peak_bytes(self) -> int | None:
        return self.memory

    def cpu_s(self) -> float | None:
        return self.cpu


def test_rusage_counts_kib_and_both_kinds_of_time() -> None:
    assert from_rusage(RUSAGE) == Usage(memory_peak_bytes=2048 * 1024, cpu_s=1.75, source=UsageSource.RUSAGE)


@pytest.mark.parametrize(
    ("counted", "usage"),
    [
        (Counted(7, 2.0), Usage(memory_peak_bytes=7, cpu_s=2.0, source=UsageSource.CGROUP)),
        (Counted(None, 2.0), Usage(memory_peak_bytes=2048 * 1024, cpu_s=2.0, source=UsageSource.RUSAGE)),
        (Counted(7, None), Usage(memory_peak_bytes=7, cpu_s=1.75, source=UsageSource.RUSAGE)),
        (None, Usage(memory_peak_bytes=2048 * 1024, cpu_s=1.75, source=UsageSource.RUSAGE)),
    ],
)
def test_the_better_count_of_each_is_taken(counted: Counted | None, usage: Usage) -> None:
    assert measure(counted, RUSAGE) == usage


def test_a_real_child() -> None:
    child = os.fork()
    if child == 0:
        block = bytearray(64 << 20)
        os._exit(0 if block else 1)
    _, _, rusage = os.wait4(child, 0)
    assert from_rusage(rusage).memory_peak_bytes >= 64 << 20
