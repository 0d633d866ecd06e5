import pytest

from airdock.containers.limits import change_limits, with_limits
from airdock.errors import ContainerError
from airdock.model.usage import Resources
from airdock.runtime.spec import make_config, resources_of


def test_what_is_not_named_stays() -> None:
    old = Resources(memory_bytes=100, swap_bytes=50, cpus=2.0, cpuset="0")
    assert change_limits(old, {"cpus": 0.5, "pids": 7}) == Resources(
        memory_bytes=100, swap_bytes=50, cpus=0.5, cpuset="0", pids=7
    )


@pytest.mark.parametrize(("both", "swap"), [(100, 0), (150, 50), (-1, -1)])
def test_memory_and_swap_are_asked_for_together(both: int, swap: int) -> None:
    assert change_limits(Resources(), {"memory_bytes": 100, "memory_and_swap_bytes": both}).swap_bytes == swap


@pytest.mark.parametrize("old", [Resources(), Resources(memory_bytes=100)])
def test_swap_needs_memory_and_room_for_it(old: Resources) -> None:
    with pytest.raises(ContainerError):
        change_limits(old, {"memory_and_swap_bytes": 99})


def test_a_configuration_gets_them_and_forgets_what_has_no_end() -> None:
    config = make_config(argv=["true"], resources=Resources(pids=9, memory_bytes=100))
    changed = resources_of(with_limits(config, Resources(pids=-1, memory_bytes=200, swap_bytes=-1)))
    assert changed == Resources(memory_bytes=200, swap_bytes=-1)
