"""What a build is asked for, and the two things it needs from outside: bases, and a place to run commands."""

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from airdock.images.image import Image, Layer
from airdock.model.mount import Mount, StackMount
from airdock.oci.descriptor import Platform
from airdock.oci.digest import Digest
from airdock.record import record

if TYPE_CHECKING:
    from airdock.builder.outputs import Output
    from airdock.builder.transport import CachePlace

__all__ = ["BuildRequest", "Command", "Context", "FindBase", "RunStep"]


@record
class BuildRequest:
    """One build.

    `dockerfile` is the text, `name` what messages call it (a path, mostly: `name:7` is its seventh line). `context` is
    the folder that COPY and ADD read; None is an empty one. `target` names the stage to build, the last one where None.
    `args` are the `--build-arg`s. `tags` are given to the finished image.

    `mounts` are bound into every RUN, `transient_env` (proxies, certificates) is seen by every RUN: neither is recorded
    in the image, and neither is part of a cache key, so nothing in the result may depend on them. `network` is
    "host" or "none", for RUN. `label` is what progress is told under.

    `secrets` are the values that `RUN --mount=type=secret` and downloads may ask for, by id; `ssh` the sockets of
    agents by id. `no_cache_filter` names stages whose steps are all done anew. `allow` are the rights that a Dockerfile
    may ask for: "security.insecure".

    `contexts` are other files, images or stages in the place of what FROM and `--from` name (`named.py`). `labels` and
    `annotations` are added to the image. Without `outputs` the image goes into the store, else to where they say.
    `extra_hosts` (NAME:ADDRESS), `shm_bytes` (0 for the default) and `ulimits` (NAME=SOFT[:HARD]) are for RUN, and no
    part of a key. `context_time_s` is when the context was last changed, for SOURCE_DATE_EPOCH=context. With `check`
    what build checks find is told as warnings. Cached steps come from `cache_from` and go to `cache_to`. `pull` asks
    registries for newer bases. `explain` tells why steps were not cached. `platform` is what is built for, this
    machine's where None.
    """

    dockerfile: str
    name: str = "Dockerfile"
    context: Path | None = None
    tags: tuple[str, ...] = ()
    args: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    no_cache: bool = False
    no_cache_filter: frozenset[str] = frozenset()
    mounts: tuple[Mount, ...] = ()
    transient_env: Mapping[str, str] = field(default_factory=dict)
    network: str = "host"
    label: str = ""
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    ssh: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple["Output", ...] = ()
    extra_hosts: tuple[str, ...] = ()
    shm_bytes: int = 0
    ulimits: tuple[str, ...] = ()
    context_time_s: int | None = None
    cache_from: tuple["CachePlace", ...] = ()
    cache_to: tuple["CachePlace", ...] = ()
    check: bool = True
    pull: bool = False
    explain: bool = False
    platform: Platform | None = None
    allow: frozenset[str] = frozenset()


@record
class Context:
    """Where files come from. `folder` is None where only a Dockerfile came, which is `dockerfile` then. `time_s` is
    when the files were last changed, where their source says so; `is_own` whether the folder was made for the build."""

    folder: Path | None
    dockerfile: str | None = None
    time_s: int | None = None
    is_own: bool = False


@record
class Command:
    """One RUN.

    `layers` are the diff ids of the root folder, lowest first. `argv` is complete (the shell is in it). `env` is what
    the image, its arguments and the request's `transient_env` give together, as `NAME=value`. `cwd` is absolute.
    `user` is as USER wrote it ("" is root), looked up in the root folder's own `/etc/passwd` and `/etc/group`.
    `labels` are the base image's. `source_date_epoch` (seconds) is set where the build was given one: times of files
    that the command wrote may not be later in the layer. `stacks` are folders of layers seen as one, `tmpfs` empty
    folders in memory, each `path[:options]`. `insecure` is for all rights that a container can be given. `cancel` is a
    descriptor that becomes readable when the command is to be broken off, -1 for none. The rest is as in the request.
    """

    layers: tuple[Digest, ...]
    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    labels: Mapping[str, str]
    mounts: tuple[Mount, ...]
    network: str
    source_date_epoch: int | None = None
    stacks: tuple[StackMount, ...] = ()
    tmpfs: tuple[str, ...] = ()
    insecure: bool = False
    extra_hosts: tuple[str, ...] = ()
    shm_bytes: int = 0
    ulimits: tuple[str, ...] = ()
    cancel: int = -1
    hostname: str = ""


class RunStep(Protocol):
    """Runs one command in a container and keeps what it wrote.

    Returns the layer of what changed in the root folder, which has no layer of its own in any image yet. Everything
    that the command prints goes to `output` as it comes, in pieces of any size, from the calling thread or another.
    Raises `StepFailedError` with `command_exit` when it ended with another code than 0, `BuildCancelledError` when it
    was broken off. Leaves nothing behind either way, also when interrupted.
    """

    def __call__(self, command: Command, output: Callable[[bytes], None]) -> Layer: ...


class FindBase(Protocol):
    """Finds the image that FROM or `COPY --from` names, fetching or making it where it can.

    `platform` is None for this machine's. Raises `UnknownImageError`.
    """

    def __call__(self, name: str, *, platform: Platform | None = None) -> Image: ...
