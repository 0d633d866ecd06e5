"""RUN: a command in a container, unless it ran before over the same."""

from collections.abc import Mapping
from typing import Any, Final

from airdock.builder.base import Command
from airdock.builder.cache import make_key
from airdock.builder.failures import explain_failure
from airdock.builder.interpret import HOST_LABEL
from airdock.builder.mounting import Mounting
from airdock.builder.output import StepOutput
from airdock.builder.performer import Built, Performer
from airdock.builder.settings import PROXY_ARGUMENTS, env_to_dict
from airdock.builder.steps import RunCommand, Step
from airdock.errors import (
    AirdockError,
    BuildError,
    CommandNotFoundError,
    NotExecutableError,
    StepFailedError,
)
from airdock.files import save_bytes
from airdock.images.image import Layer
from airdock.model.mount import Mount

__all__ = ["run_command"]

_HOSTNAME: Final = "build"
_INSECURE: Final = "security.insecure"


def run_command(performer: Performer, step: Step, action: RunCommand, below: Built) -> tuple[Layer, bool]:
    """The layer of what a command changes, and whether it was known."""
    network = action.network or performer.request.network
    inputs: dict[str, Any] = {
        "layers": below.diff_ids,
        "argv": action.argv,
        "env": action.env,
        "cwd": action.cwd,
        "user": action.user,
        "network": network,
        "script": action.script.content if action.script else None,
        "mounts": _mounting(performer).describe(action.mounts),
        "insecure": action.insecure,
        "host": below.labels.get(HOST_LABEL),
        "epoch": performer.epoch,
        "hostname": _hostname(performer),
    }
    key = make_key("run", **inputs)
    with performer.known.hold(key):
        known = performer.load(key)
        performer.note(inputs, hit=known is not None)
        if known is not None:
            return known, True
        layer = _run_afresh(performer, step, action, below, network)
        performer.known.save(key, layer)
    return layer, False


def _run_afresh(performer: Performer, step: Step, action: RunCommand, below: Built, network: str) -> Layer:
    _check_rights(performer, action)
    with _mounting(performer).open(action.mounts) as given:
        command = Command(
            layers=below.diff_ids,
            argv=action.argv,
            env=_environment(performer, action, given.env),
            cwd=action.cwd,
            user=action.user,
            labels=below.labels,
            mounts=(*performer.request.mounts, *_script_mount(performer, step, action), *given.mounts),
            network=network,
            source_date_epoch=performer.epoch,
            hostname=_hostname(performer),
            stacks=tuple(given.stacks),
            tmpfs=tuple(given.tmpfs),
            insecure=action.insecure,
            extra_hosts=performer.request.extra_hosts,
            shm_bytes=performer.request.shm_bytes,
            ulimits=performer.request.ulimits,
            cancel=performer.cancel.fileno(),
        )
        return _run(performer, step, command)


def _hostname(performer: Performer) -> str:
    return performer.request.args.get("BUILDKIT_SANDBOX_HOSTNAME") or _HOSTNAME


def _mounting(performer: Performer) -> Mounting:
    return Mounting(
        request=performer.request,
        folder=performer.folder,
        caches=performer.cache.mounts_folder,
        mapping=performer.store.calls.mapping,
        time_s=performer.time_s,
        call=performer.call,
        source=lambda source: performer.context() if source is None else performer.stack(performer.source(source)),
        identity=lambda source: [layer.diff_id for layer in performer.source(source)],
        cancel=performer.cancel,
    )


def _check_rights(performer: Performer, action: RunCommand) -> None:
    if action.insecure and _INSECURE not in performer.request.allow:
        raise BuildError(
            f"RUN --security=insecure is not allowed: expected the right {_INSECURE}, which the build wasn't given",
            hint=f"trust the Dockerfile with it: airdock image build --allow {_INSECURE}",
        )


def _environment(performer: Performer, action: RunCommand, given: Mapping[str, str]) -> tuple[str, ...]:
    proxies = {name: value for name, value in performer.request.args.items() if name in PROXY_ARGUMENTS}
    values = {**proxies, **env_to_dict(action.env), **performer.request.transient_env, **given}
    return tuple(f"{name}={value}" for name, value in values.items())


def _script_mount(performer: Performer, step: Step, action: RunCommand) -> tuple[Mount, ...]:
    if action.script is None:
        return ()
    source = performer.folder / f"script-{performer.number}"
    save_bytes(source, action.script.content.encode(errors="surrogateescape"), durable=False)
    source.chmod(0o755)
    return (Mount(source=str(source), target=action.script.path),)


def _run(performer: Performer, step: Step, command: Command) -> Layer:
    output = StepOutput(build=performer.request.label, step=performer.number, report=performer.report)
    shown = step.text if len(step.text) <= 200 else f"{step.text[:199]}…"
    try:
        try:
            return performer.run(command, output.write)
        finally:
            output.close()
    except StepFailedError as error:
        told = f"exit code {error.command_exit}"
        raise StepFailedError(
            f"{shown}: {error.message}{'' if told in error.message else f' ({told})'}",
            where=performer.where(step),
            hint=error.hint or explain_failure(output.tail, mapping=performer.store.calls.mapping),
            command_exit=error.command_exit,
            output=output.tail or error.output,
        ) from error
    except (CommandNotFoundError, NotExecutableError) as error:
        hint = error.hint
        if not command.layers and not hint:
            hint = "FROM scratch is empty: COPY a program first, and RUN it in exec form"
        raise StepFailedError(
            f"{shown}: {error.message}",
            where=performer.where(step),
            hint=hint,
            command_exit=error.exit_code,
            output=output.tail,
        ) from error
    except AirdockError as error:
        if not error.where.startswith(performer.request.name):
            error.where = performer.where(step)  # not the container, which nobody can look at
        raise
