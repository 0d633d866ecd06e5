"""The limits of a container that is there already: changed in its configuration, and in its cgroup while it runs."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from airdock.errors import ContainerError
from airdock.model.usage import Resources
from airdock.runtime.cgroups import open_cgroup
from airdock.runtime.spec import render_limits
from airdock.runtime.state import ContainerState

__all__ = ["apply_limits", "change_limits", "with_limits"]


def change_limits(old: Resources, changes: Mapping[str, Any]) -> Resources:
    """The limits after `changes`: fields of `Resources`, and "memory_and_swap_bytes", where -1 is swap without end.

    Raises ContainerError where memory and swap together would be less than the memory.
    """
    fields = dict(changes)
    both = fields.pop("memory_and_swap_bytes", None)
    new = replace(old, **fields)
    if both is None:
        return new
    if new.memory_bytes is None:
        raise ContainerError("expected a limit of memory beside that of memory and swap, found none", hint="--memory")
    if 0 <= both < new.memory_bytes:
        raise ContainerError(
            f"expected --memory-swap to be at least the memory, {new.memory_bytes} bytes, found {both}"
        )
    return replace(new, swap_bytes=-1 if both < 0 else both - new.memory_bytes)


def with_limits(config: Mapping[str, Any], resources: Resources) -> dict[str, Any]:
    """An OCI configuration with these limits instead of its own."""
    kept = replace(resources, pids=None) if resources.pids is not None and resources.pids < 0 else resources
    return {**config, "linux": {**config["linux"], "resources": render_limits(kept)}}


def apply_limits(state: ContainerState, resources: Resources) -> str:
    """Have a running container's cgroup hold them from now on; gives why it doesn't, or ""."""
    cgroup = open_cgroup(state.cgroups)
    cgroup.limit(resources)
    return cgroup.lacking
