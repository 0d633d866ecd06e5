"""Doing one step: a command run, files copied, a folder made; each kept in the cache under all that decided it."""

import errno
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from airdock.builder.base import BuildRequest, Command, RunStep
from airdock.builder.cache import BuildCache, make_key
from airdock.builder.cancel import Cancel
from airdock.builder.explain import Journal
from airdock.builder.failures import explain_failure
from airdock.builder.fetching import Fetcher
from airdock.builder.ignore import IgnoreRules, load_ignore_file
from airdock.builder.interpret import HOST_LABEL
from airdock.builder.known import Known
from airdock.builder.mounting import Mounting
from airdock.builder.output import StepOutput
from airdock.builder.settings import PROXY_ARGUMENTS, env_to_dict
from airdock.builder.steps import CopyFiles, MakeFolder, RunCommand, Step
from airdock.builder.times import FIXED_TIME
from airdock.errors import (
    AirdockError,
    BuildCancelledError,
    BuildError,
    CommandNotFoundError,
    DockerfileError,
    NotExecutableError,
    StepFailedError,
    UnsafeArchiveError,
)
from airdock.files import save_bytes
from airdock.images.calls import DirectCalls
from airdock.images.image import Image, Layer
from airdock.images.store import ImageStore
from airdock.model.mount import Mount
from airdock.model.progress import BuildOutput, Report
from airdock.oci.config import ImageConfig
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_COMPRESSION, to_oci
from airdock.record import record

__all__ = ["Built", "Performer"]

_COPY: Final = "airdock.builder.copying:copy_files"
_MAKE_FOLDER: Final = "airdock.builder.copying:make_folder"
_HOSTNAME: Final = "build"
_NAME: Final = re.compile(r"[^0-9:]")
"""What makes a `--chown` one that is looked up in the stage."""
_NO_ROOM: Final = "make room there, or keep Airdock's files elsewhere (AIRDOCK_HOME)"
_INSECURE: Final = "security.insecure"


@record
class Built:
    """A stage as far as it is. `labels` are those of the image that it all began with."""

    layers: tuple[Layer, ...]
    config: ImageConfig
    labels: Mapping[str, str]

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return tuple(layer.diff_id for layer in self.layers)


@dataclass(frozen=True, kw_only=True)
class Performer:
    """What the steps of one build share. `folder` is its working folder, `done` the finished stages: looking one up
    waits for it. `number` and `stage` are of the step that is to be done, and `fresh` keeps it out of the cache."""

    request: BuildRequest
    store: ImageStore
    run: RunStep
    report: Report
    cache: BuildCache
    known: Known
    folder: Path
    images: Mapping[str, Image]
    done: Mapping[int, Built]
    epoch: int | None
    cancel: Cancel
    number: int = 0
    stage: str = ""
    position: int = 0
    fresh: bool = False
    journal: Journal | None = None

    def perform(self, step: Step, below: Built) -> tuple[Layer | None, bool]:
        """The layer that a step adds to the stage below it, None for none, and whether it was known.

        Raises `StepFailedError`, or `BuildError` for what can't be copied, with the line as `where`.
        """
        try:
            match step.action:
                case RunCommand():
                    return self._run_command(step, step.action, below)
                case CopyFiles():
                    return self._copy_files(step.action, below)
                case MakeFolder():
                    return self._make_folder(step.action, below)
                case None:
                    return None, True
        except (BuildCancelledError, DockerfileError, StepFailedError):
            raise
        except (BuildError, UnsafeArchiveError) as error:
            raise BuildError(error.message, where=self._where(step), hint=error.hint) from error
        except OSError as error:
            found = error.strerror or str(error)
            raise BuildError(
                f"expected to do {step.text[:200]!r}, found: {found}{f': {error.filename}' if error.filename else ''}",
                where=self._where(step),
                hint=_NO_ROOM if error.errno in (errno.ENOSPC, errno.EDQUOT) else "",
            ) from error

    def _where(self, step: Step) -> str:
        return f"{self.request.name}:{step.line}"

    @property
    def _time_s(self) -> int:
        """The time of what has none worth keeping."""
        return FIXED_TIME if self.epoch is None else self.epoch

    def _load(self, key: str) -> Layer | None:
        return self.known.load(key, fresh=self.fresh)

    def _note(self, inputs: Mapping[str, Any], *, hit: bool) -> None:
        """Remember what went into the step, and say why it wasn't known where somebody wants to know."""
        if self.journal is None:
            return
        self.journal.note(self.stage, self.position, inputs, hit=hit)
        if self.request.explain and not hit:
            why = ["the cache is not to be asked"] if self.fresh else self.journal.reasons(self.stage, self.position)
            for reason in why:
                line = f"not cached: {reason}"
                self.report(BuildOutput(build=self.request.label, step=self.number, line=line))

    # RUN

    def _run_command(self, step: Step, action: RunCommand, below: Built) -> tuple[Layer, bool]:
        network = action.network or self.request.network
        inputs: dict[str, Any] = {
            "layers": below.diff_ids,
            "argv": action.argv,
            "env": action.env,
            "cwd": action.cwd,
            "user": action.user,
            "network": network,
            "script": action.script.content if action.script else None,
            "mounts": self._mounting.describe(action.mounts),
            "insecure": action.insecure,
            "host": below.labels.get(HOST_LABEL),
            "epoch": self.epoch,
            "hostname": self._hostname,
        }
        key = make_key("run", **inputs)
        with self.known.hold(key):
            known = self._load(key)
            self._note(inputs, hit=known is not None)
            if known is not None:
                return known, True
            layer = self._run_afresh(step, action, below, network)
            self.known.save(key, layer)
        return layer, False

    def _run_afresh(self, step: Step, action: RunCommand, below: Built, network: str) -> Layer:
        self._check_rights(action)
        with self._mounting.open(action.mounts) as given:
            command = Command(
                layers=below.diff_ids,
                argv=action.argv,
                env=self._environment(action, given.env),
                cwd=action.cwd,
                user=action.user,
                labels=below.labels,
                mounts=(*self.request.mounts, *self._script_mount(step, action), *given.mounts),
                network=network,
                source_date_epoch=self.epoch,
                hostname=self._hostname,
                stacks=tuple(given.stacks),
                tmpfs=tuple(given.tmpfs),
                insecure=action.insecure,
                extra_hosts=self.request.extra_hosts,
                shm_bytes=self.request.shm_bytes,
                ulimits=self.request.ulimits,
                cancel=self.cancel.fileno(),
            )
            return self._run(step, command)

    @property
    def _hostname(self) -> str:
        return self.request.args.get("BUILDKIT_SANDBOX_HOSTNAME") or _HOSTNAME

    @property
    def _mounting(self) -> Mounting:
        return Mounting(
            request=self.request,
            folder=self.folder,
            caches=self.cache.mounts_folder,
            mapping=self.store.calls.mapping,
            time_s=self._time_s,
            call=self._call,
            source=lambda source: self._context() if source is None else self._stage(self._source(source)),
            identity=lambda source: [layer.diff_id for layer in self._source(source)],
            cancel=self.cancel,
        )

    def _check_rights(self, action: RunCommand) -> None:
        if action.insecure and _INSECURE not in self.request.allow:
            raise BuildError(
                f"RUN --security=insecure is not allowed: expected the right {_INSECURE}, which the build wasn't given",
                hint=f"trust the Dockerfile with it: airdock image build --allow {_INSECURE}",
            )

    def _environment(self, action: RunCommand, given: Mapping[str, str]) -> tuple[str, ...]:
        proxies = {name: value for name, value in self.request.args.items() if name in PROXY_ARGUMENTS}
        values = {**proxies, **env_to_dict(action.env), **self.request.transient_env, **given}
        return tuple(f"{name}={value}" for name, value in values.items())

    def _script_mount(self, step: Step, action: RunCommand) -> tuple[Mount, ...]:
        if action.script is None:
            return ()
        source = self.folder / f"script-{self.number}"
        save_bytes(source, action.script.content.encode(errors="surrogateescape"), durable=False)
        source.chmod(0o755)
        return (Mount(source=str(source), target=action.script.path),)

    def _run(self, step: Step, command: Command) -> Layer:
        output = StepOutput(build=self.request.label, step=self.number, report=self.report)
        shown = step.text if len(step.text) <= 200 else f"{step.text[:199]}…"
        try:
            try:
                return self.run(command, output.write)
            finally:
                output.close()
        except StepFailedError as error:
            told = f"exit code {error.command_exit}"
            raise StepFailedError(
                f"{shown}: {error.message}{'' if told in error.message else f' ({told})'}",
                where=self._where(step),
                hint=error.hint or explain_failure(output.tail, mapping=self.store.calls.mapping),
                command_exit=error.command_exit,
                output=output.tail or error.output,
            ) from error
        except (CommandNotFoundError, NotExecutableError) as error:
            hint = error.hint
            if not command.layers and not hint:
                hint = "FROM scratch is empty: COPY a program first, and RUN it in exec form"
            raise StepFailedError(
                f"{shown}: {error.message}",
                where=self._where(step),
                hint=hint,
                command_exit=error.exit_code,
                output=output.tail,
            ) from error
        except AirdockError as error:
            if not error.where.startswith(self.request.name):
                error.where = self._where(step)  # not the container, which nobody can look at
            raise

    # COPY, ADD, WORKDIR

    def _copy_files(self, action: CopyFiles, below: Built) -> tuple[Layer | None, bool]:
        arguments: dict[str, Any] = {
            "below": self._stage(below.layers),
            "action": {name: value for name, value in asdict(action).items() if name != "source"},
            "time_s": self._time_s,
            "latest_s": self.epoch,
        }
        origin = self._origin(action)
        # What is named by its content needs not be read at all.
        named = make_key(
            "copy from",
            below=() if action.link and not _NAME.search(action.chown) else below.diff_ids,
            source=origin,
            action=arguments["action"],
            epoch=self.epoch,
        )
        layer = self._load(named) if origin else None
        if origin:
            self._note({**arguments["action"], "source": origin, "from": str(action.source)}, hit=layer is not None)
        if layer is not None:
            return layer, True
        if action.source is None:
            arguments["source"] = self._context(needed_for=next(iter(action.sources), ""))
        else:
            arguments["source"] = self._stage(self._source(action.source))
        with self._fetcher.fetch(action.remotes) as fetched:
            arguments["fetched"] = fetched
            layer, cached = self._make_layer(_COPY, arguments, below, measure_first=not origin)
        if origin and layer is not None:
            self.known.save(named, layer)
        return layer, cached

    def _origin(self, action: CopyFiles) -> list[str] | None:
        """What names the files that are copied: layers, commits, checksums; None where they have to be looked at."""
        if action.source is not None:
            return [layer.diff_id for layer in self._source(action.source)]
        return None if action.sources else self._fetcher.identify(action.remotes)

    def import_folder(self, folder: Path) -> Layer | None:
        """All files of a folder as one layer, as `COPY . /` would make it; None where there are none."""
        where, patterns = load_ignore_file("Dockerfile", folder)
        action = CopyFiles(sources=(".",), destination="/", link=True)
        arguments = {
            "below": {"folders": []},
            "source": {"context": str(folder.resolve()), "ignore": patterns, "where": where},
            "action": {name: value for name, value in asdict(action).items() if name != "source"},
            "time_s": self._time_s,
            "latest_s": self.epoch,
        }
        below = Built(layers=(), config=ImageConfig(architecture=""), labels={})
        return self._make_layer(_COPY, arguments, below, measure_first=True)[0]

    def write_files(self, layers: tuple[Layer, ...], tar: str) -> None:
        """Write a tar of all files that a stack of layers shows."""
        action = CopyFiles(sources=(".",), destination="/", link=True)
        arguments = {
            "below": {"folders": []},
            "source": self._stage(layers),
            "action": {name: value for name, value in asdict(action).items() if name != "source"},
            "time_s": self._time_s,
            "latest_s": self.epoch,
            "tar": tar,
        }
        self._call(_COPY, arguments)

    @property
    def _fetcher(self) -> Fetcher:
        request = self.request
        return Fetcher(folder=self.folder, secrets=request.secrets, ssh=request.ssh, time_s=self._time_s)

    def _make_folder(self, action: MakeFolder, below: Built) -> tuple[Layer | None, bool]:
        arguments = {
            "below": self._stage(below.layers),
            "path": action.path,
            "user": action.user,
            "time_s": self._time_s,
        }
        return self._make_layer(_MAKE_FOLDER, arguments, below, measure_first=True)

    def _make_layer(
        self, function: str, arguments: Mapping[str, Any], below: Built, *, measure_first: bool
    ) -> tuple[Layer | None, bool]:
        """The layer that a function of `copying.py` writes, unless its key is known; None where it would be empty."""
        if measure_first and not self.fresh:
            found = self._call(function, {**arguments, "tar": None})
            if not found["entries"]:
                return None, True
            layer = self._load(self._content_key(found, arguments, below))
            self._note({"files": found["files"], "epoch": self.epoch}, hit=layer is not None)
            if layer is not None:
                return layer, True
        tar = self.folder / f"layer-{self.number}.tar"
        try:
            found = self._call(function, {**arguments, "tar": str(tar)})
            if not found["entries"]:
                return None, False
            key = self._content_key(found, arguments, below)
            layer = self._load(key)
            if layer is None:
                layer = self.store.commit_tar(tar)
                self.known.save(key, layer)
            return layer, False
        finally:
            tar.unlink(missing_ok=True)

    def _call(self, function: str, arguments: Mapping[str, Any]) -> Any:
        calls = self.store.calls
        if calls.mapping != "ranges":
            # The disk has the files as this very process may read them; a child would only cost its start, which is
            # most of a cached step.
            try:
                return DirectCalls().call(function, arguments)
            except PermissionError:
                pass  # a folder without permissions, which only root inside may enter
        return calls.call(function, arguments)

    def _content_key(self, found: Mapping[str, Any], arguments: Mapping[str, Any], below: Built) -> str:
        return make_key(
            "copy",
            content=found["key"],
            below=below.diff_ids if found["unpacks"] and not arguments.get("action", {}).get("link") else (),
            time_s=arguments["time_s"],
            latest_s=arguments.get("latest_s"),
        )

    def _source(self, source: int | str) -> tuple[Layer, ...]:
        return self.done[source].layers if isinstance(source, int) else self.images[source].layers

    def _stage(self, layers: tuple[Layer, ...]) -> dict[str, Any]:
        """A stack of layers as `copying.py` takes it."""
        stage: dict[str, Any] = {"folders": [str(self.store.layer_path(layer.diff_id)) for layer in layers]}
        if self.store.calls.mapping == "one":
            stage |= {"blobs": [self._blob(layer) for layer in layers], "owners": str(self.cache.owners_folder)}
        return stage

    def _blob(self, layer: Layer) -> dict[str, str]:
        return {
            "path": str(self.store.blob_path(layer.descriptor.digest)),
            "compression": LAYER_COMPRESSION[to_oci(layer.descriptor.media_type)],
            "digest": layer.descriptor.digest,
            "diff_id": layer.diff_id,
        }

    def ignore_rules(self) -> IgnoreRules | None:
        """What the context leaves out; None where there is no context."""
        if self.request.context is None or not self.request.context.is_dir():
            return None
        where, patterns = load_ignore_file(self.request.name, self.request.context)
        return IgnoreRules(patterns, where=where)

    def _context(self, *, needed_for: str = "") -> dict[str, Any]:
        context = self.request.context
        if context is None:
            if needed_for:
                raise BuildError(f"expected a build context to copy {needed_for!r} from, found none")
            return {"context": str(self.folder / "empty"), "ignore": [], "where": ""}
        if not context.is_dir():
            raise BuildError(f"expected the build context {str(context)!r} to be a folder, found none")
        where, patterns = load_ignore_file(self.request.name, context)
        return {"context": str(context.resolve()), "ignore": patterns, "where": where}
