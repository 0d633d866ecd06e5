"""What a build will do, decided before anything is done: stages of steps, everything in them expanded."""

from collections.abc import Mapping

from airdock.oci.config import ImageConfig
from airdock.record import record

__all__ = [
    "Action",
    "CopyFiles",
    "MakeFolder",
    "Plan",
    "PlannedStage",
    "RemoteSource",
    "RunCommand",
    "RunMount",
    "Script",
    "Step",
]


@record
class Script:
    """A heredoc of RUN that names its own interpreter: the command sees it as a file at `path`."""

    path: str
    content: str


@record
class RunMount:
    """One `RUN --mount`, its variables expanded. `kind` is bind, cache, tmpfs, secret or ssh.

    `target` is absolute, "" for a secret that is only a variable. `from_` is the index of a stage, an image's name, or
    None for the context (bind) or an empty folder (cache); `source` is the path in it. `id` names the cache, secret or
    agent; `sharing` is shared, private or locked. `env` is the variable that gets a secret. `mode`, `uid` and `gid`
    are None where they were not given. `size_bytes` is a tmpfs's limit, 0 for none.
    """

    kind: str
    target: str
    from_: int | str | None = None
    source: str = ""
    id: str = ""
    read_only: bool = False
    sharing: str = "shared"
    required: bool = False
    env: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size_bytes: int = 0


@record
class RunCommand:
    """Run `argv` with `env` in `cwd` as `user`. `network` is None for the request's own; `insecure` asks for all rights
    that a build can give."""

    argv: tuple[str, ...]
    env: tuple[str, ...]
    cwd: str
    user: str
    network: str | None = None
    script: Script | None = None
    mounts: tuple[RunMount, ...] = ()
    insecure: bool = False


@record
class RemoteSource:
    """A source of ADD that is fetched. `kind` is http or git; `name` is the file's name where the destination is a
    folder. `checksum` is `sha256:…`, or a commit's id or its beginning; "" for none. A git address is split into
    repository, `ref` and `folder`."""

    kind: str
    url: str
    name: str = ""
    checksum: str = ""
    ref: str = ""
    folder: str = ""
    keep_git_dir: bool = False


@record
class CopyFiles:
    """Copy `sources` (patterns) and `documents` (name, text) to `destination`.

    They come from the context where `source` is None, else from the stage with that index or the image of that name.
    `destination` is absolute; a slash at its end says that it is a folder. `chown` is as written, "" for the default:
    root for the context's files, unchanged for a stage's. `chmod` is octal or symbolic, "" for none. `remotes` are
    fetched first. With `link` the layer doesn't depend on the stage below; with `parents` files keep their folders.
    """

    sources: tuple[str, ...]
    documents: tuple[tuple[str, str], ...] = ()
    remotes: tuple[RemoteSource, ...] = ()
    destination: str
    source: int | str | None = None
    chown: str = ""
    chmod: str = ""
    excludes: tuple[str, ...] = ()
    unpack: bool = False
    unpack_remote: bool = False
    link: bool = False
    parents: bool = False


@record
class MakeFolder:
    """Make the folder that WORKDIR names unless it is there, owned by `user`."""

    path: str
    user: str


Action = RunCommand | CopyFiles | MakeFolder


@record
class Step:
    """One instruction: what is to be done (None where it only changes the configuration), and its history line."""

    line: int
    text: str
    created_by: str
    action: Action | None = None


@record
class PlannedStage:
    """One stage that is needed.

    `base` is an image's name, the index of the stage it builds on, or None for scratch. `config` is how the
    configuration will be once all steps are done, with the base's layers and history still. `arguments` are what ARG
    declared by then, which stages built upon this one see, too.
    """

    index: int
    name: str
    line: int
    text: str
    base: int | str | None
    steps: tuple[Step, ...]
    config: ImageConfig
    arguments: Mapping[str, str | None]


@record
class Plan:
    """The stages in the order they're built; the last one is the result. `warnings` are lines for people."""

    stages: tuple[PlannedStage, ...]
    escape: str
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """How many steps will be told: one for each base, and each that may make a layer."""
        return len(self.texts)

    @property
    def texts(self) -> tuple[str, ...]:
        """The steps that will be told, each as it is shown."""
        found = []
        for stage in self.stages:
            mark = f"[{stage.name}] " if len(self.stages) > 1 else ""
            found += [f"{mark}{stage.text}", *(f"{mark}{step.text}" for step in stage.steps if step.action is not None)]
        return tuple(found)
