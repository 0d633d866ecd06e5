"""One stage of a Dockerfile, read from top to bottom: what each instruction does to the configuration, and its step."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from airdock.builder.instructions import (
    Arg,
    Arguments,
    Cmd,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    Transfer,
    User,
    Volume,
    Workdir,
)
from airdock.builder.parser import Heredoc, parse_heredoc_word
from airdock.builder.remotes import is_remote, parse_remote
from airdock.builder.run_mounts import make_mounts
from airdock.builder.settings import DEFAULT_PATH, check_signal, env_to_dict, expand_ports, join_path, put_env
from airdock.builder.steps import Action, CopyFiles, MakeFolder, RemoteSource, RunCommand, Script, Step
from airdock.builder.words import expand, expand_word, expand_words
from airdock.errors import DockerfileError
from airdock.oci.config import ImageConfig

__all__ = ["HOST_LABEL", "Interpreter"]

HOST_LABEL: Final = "airdock.host"
"""What makes an image see folders of the host; only Airdock's own images may say so."""

_DEFAULT_SHELL: Final = ("/bin/sh", "-c")
_SCRIPTS: Final = "/dev/pipes"
"""Where a heredoc with an interpreter of its own is seen: below /dev, so no layer keeps a trace of it."""
_MODE: Final = re.compile(r"[0-7]{1,4}|[ugoa]*[-+=][rwxXstugo]*(?:[-+=][rwxXstugo]*)*(?:,[ugoa]*[-+=][rwxXstugo]*)*")


class Interpreter:
    """Holds the configuration while the instructions of a stage are applied; `steps` is what they come to.

    `find_source` gives the index of the earlier stage that a name or number means, or an image's name. `globals` are
    the arguments declared before the first FROM, with those of the platform; `given` are the `--build-arg`s;
    `arguments` are those of the stage that this one is built upon.
    """

    def __init__(
        self,
        *,
        config: ImageConfig,
        globals_: Mapping[str, str],
        given: Mapping[str, str],
        escape: str,
        find_source: Callable[[str], int | str],
        arguments: Mapping[str, str | None] | None = None,
    ) -> None:
        self.config = config
        self.steps: list[Step] = []
        self.used_arguments: set[str] = set()
        self._globals = globals_
        self._given = given
        self._escape = escape
        self._find_source = find_source
        self.arguments: dict[str, str | None] = dict(arguments or {})
        self._cmd_is_set = False

    def apply(self, instruction: Instruction) -> None:
        """Add the step of one instruction. Raises `DockerfileError` without `where`."""
        action, created_by = _APPLY[type(instruction)](self, instruction)
        self.steps.append(Step(line=instruction.line, text=instruction.text, created_by=created_by, action=action))

    def env(self) -> dict[str, str]:
        """What variables mean here: arguments, overruled by ENV."""
        known = {name: value for name, value in self.arguments.items() if value is not None}
        return {**known, **env_to_dict(self.config.env)}

    def _word(self, text: str) -> str:
        return expand_word(text, self.env(), escape=self._escape)

    def _shell(self) -> tuple[str, ...]:
        return self.config.shell or _DEFAULT_SHELL

    def _argv(self, command: Arguments) -> tuple[str, ...]:
        return (*self._shell(), *command.words) if command.is_shell and command.words else command.words

    def _arg(self, arg: Arg) -> tuple[Action | None, str]:
        told = []
        for pair in arg.pairs:
            value = self._given.get(pair.name)
            if value is None:
                value = self._globals.get(pair.name) if pair.value is None else self._word(pair.value)
            self.used_arguments.add(pair.name)
            self.arguments[pair.name] = value
            told.append(pair.name if value is None else f"{pair.name}={value}")
        return None, f"ARG {' '.join(told)}"

    def _env(self, env: Env) -> tuple[Action | None, str]:
        values = self._expand_pairs(env)
        for name in values:
            if "=" in name:
                raise DockerfileError(f"expected the name of a variable without '=', found {name!r}")
        self.config = replace(self.config, env=put_env(self.config.env, values))
        return None, f"ENV {' '.join(f'{name}={value}' for name, value in values.items())}"

    def _label(self, label: Label) -> tuple[Action | None, str]:
        values = self._expand_pairs(label)
        if HOST_LABEL in values:
            raise DockerfileError(f"expected a label other than {HOST_LABEL}, which only the host image carries")
        self.config = replace(self.config, labels={**self.config.labels, **values})
        return None, f"LABEL {' '.join(f'{name}={value}' for name, value in values.items())}"

    def _expand_pairs(self, instruction: Env | Label) -> dict[str, str]:
        """All of one instruction with the variables as they were before it."""
        env = self.env()
        values = {}
        for pair in instruction.pairs:
            name = expand_word(pair.name, env, escape=self._escape)
            if not name:
                raise DockerfileError(f"expected a name, found {pair.name!r}, which is empty here")
            values[name] = expand_word(pair.value or "", env, escape=self._escape)
        return values

    def _user(self, user: User) -> tuple[Action | None, str]:
        name = self._word(user.user).strip()
        if not name:
            raise DockerfileError(f"expected a user, found {user.user!r}, which is empty here")
        self.config = replace(self.config, user=name)
        return None, f"USER {name}"

    def _workdir(self, workdir: Workdir) -> tuple[Action | None, str]:
        path = self._word(workdir.path).strip()
        if not path:
            raise DockerfileError(f"expected a folder, found {workdir.path!r}, which is empty here")
        path = join_path(self.config.working_dir, path).rstrip("/") or "/"
        self.config = replace(self.config, working_dir=path)
        return MakeFolder(path=path, user=self.config.user), f"WORKDIR {path}"

    def _expose(self, expose: Expose) -> tuple[Action | None, str]:
        env = self.env()
        words = [word for text in expose.ports for word in expand_words(text, env, escape=self._escape)]
        ports = expand_ports(words)
        self.config = replace(self.config, exposed_ports=tuple(sorted({*self.config.exposed_ports, *ports})))
        return None, f"EXPOSE {' '.join(ports)}"

    def _volume(self, volume: Volume) -> tuple[Action | None, str]:
        paths = [self._word(path) for path in volume.paths]
        if not all(paths):
            raise DockerfileError("VOLUME specified can not be an empty string")
        self.config = replace(self.config, volumes=tuple(sorted({*self.config.volumes, *paths})))
        return None, f"VOLUME {_render_list(paths)}"

    def _cmd(self, cmd: Cmd) -> tuple[Action | None, str]:
        argv = self._argv(cmd.command)
        self.config = replace(self.config, cmd=argv)
        self._cmd_is_set = True
        return None, f"CMD {_render_list(argv)}"

    def _entrypoint(self, entrypoint: Entrypoint) -> tuple[Action | None, str]:
        argv = self._argv(entrypoint.command)
        # An inherited CMD was meant as arguments of another program.
        cmd = self.config.cmd if self._cmd_is_set else None
        self.config = replace(self.config, entrypoint=argv, cmd=cmd)
        return None, f"ENTRYPOINT {_render_list(argv)}"

    def _set_shell(self, shell: Shell) -> tuple[Action | None, str]:
        self.config = replace(self.config, shell=shell.words)
        return None, f"SHELL {_render_list(shell.words)}"

    def _stop_signal(self, stop: StopSignal) -> tuple[Action | None, str]:
        name = check_signal(self._word(stop.signal))
        self.config = replace(self.config, stop_signal=name)
        return None, f"STOPSIGNAL {name}"

    def _maintainer(self, maintainer: Maintainer) -> tuple[Action | None, str]:
        self.config = replace(self.config, author=maintainer.name)
        return None, f"MAINTAINER {maintainer.name}"

    def _healthcheck(self, healthcheck: Healthcheck) -> tuple[Action | None, str]:
        self.config = replace(self.config, healthcheck=dict(healthcheck.check))
        return None, f"HEALTHCHECK {json.dumps(dict(healthcheck.check))}"

    def _on_build(self, on_build: OnBuild) -> tuple[Action | None, str]:
        self.config = replace(self.config, on_build=(*self.config.on_build, on_build.trigger))
        return None, f"ONBUILD {on_build.trigger}"

    def _run(self, run: Run) -> tuple[Action | None, str]:
        if "device" in run.flags:
            raise DockerfileError("RUN --device is experimental with BuildKit, and not supported")
        argv, script = self._with_heredocs(run)
        env = self.env()
        if "PATH" not in env:
            env["PATH"] = DEFAULT_PATH
        action = RunCommand(
            argv=argv,
            env=tuple(f"{name}={value}" for name, value in env.items()),
            cwd=self.config.working_dir or "/",
            user=self.config.user,
            network=None if run.network == "default" else run.network,
            script=script,
            mounts=make_mounts(run.mounts, expand=self._word, find=self._source, folder=self.config.working_dir),
            insecure=run.security == "insecure",
        )
        told = [f"{name}={env.get(name, '')}" for name in self.arguments]
        return action, " ".join(["RUN", *([f"|{len(told)}", *told] if told else []), *argv])

    def _with_heredocs(self, run: Run) -> tuple[tuple[str, ...], Script | None]:
        """The argv of RUN. A heredoc alone is what the shell runs, or a program where it begins with `#!`."""
        if not run.heredocs or not run.command.is_shell:
            return self._argv(run.command), None
        text = run.command.words[0]
        first = run.heredocs[0]
        if parse_heredoc_word(text) is None:
            # Part of a longer line: the shell reads line and documents as they stand.
            documents = "".join(f"\n{heredoc.content}{heredoc.name}" for heredoc in run.heredocs)
            return (*self._shell(), text + documents), None
        if not first.text.startswith("#!"):
            return (*self._shell(), first.text), None
        path = f"{_SCRIPTS}/{_file_name(first)}"
        return (path,), Script(path=path, content=first.text)

    def _transfer(self, transfer: Transfer) -> tuple[Action | None, str]:
        name = "ADD" if transfer.is_add else "COPY"
        words = tuple(self._word(source) for source in transfer.sources)
        sources, remotes = self._split_sources(words, transfer)
        destination = self._word(transfer.destination)
        if len(words) + len(transfer.documents) > 1 and not destination.endswith(("/", "/.")) and destination != ".":
            raise DockerfileError(
                f"expected the destination of several sources to be a folder that ends with /, found {destination!r}"
            )
        chown, chmod = self._word(transfer.chown), self._word(transfer.chmod)
        if chmod and not _MODE.fullmatch(chmod):
            raise DockerfileError(f"expected --chmod to be octal such as 0755, or such as u=rwX,go=rX, found {chmod!r}")
        action = CopyFiles(
            sources=sources,
            documents=tuple((_file_name(heredoc), self._document(heredoc)) for heredoc in transfer.documents),
            destination=join_path(self.config.working_dir, destination),
            source=self._source(transfer.from_),
            chown=chown,
            chmod=chmod,
            excludes=tuple(self._word(pattern) for pattern in transfer.excludes),
            remotes=remotes,
            unpack=transfer.is_add if transfer.unpack is None else transfer.unpack,
            unpack_remote=bool(transfer.unpack),
            link=transfer.link,
            parents=transfer.parents,
        )
        flags = [f"--{flag}={value}" for flag, value in (("chown", chown), ("chmod", chmod)) if value]
        documents = [f"<<{heredoc.name}" for heredoc in transfer.documents]
        return action, " ".join([name, *flags, *words, *documents, destination])

    def _split_sources(
        self, words: Sequence[str], transfer: Transfer
    ) -> tuple[tuple[str, ...], tuple[RemoteSource, ...]]:
        """Paths, and what is to be fetched."""
        paths = tuple(word for word in words if not is_remote(word))
        addresses = [word for word in words if is_remote(word)]
        if addresses and not transfer.is_add:
            raise DockerfileError(
                f"expected COPY to name files of the context, found the URL {addresses[0]}", hint="ADD takes addresses"
            )
        checksum = self._word(transfer.checksum)
        if checksum and (len(words) != 1 or not addresses):
            raise DockerfileError("expected --checksum with a single address, so that it is clear what it is of")
        if transfer.keep_git_dir and not addresses:
            raise DockerfileError("expected --keep-git-dir with a git address, found none")
        remotes = tuple(parse_remote(word, checksum=checksum, keep_git_dir=transfer.keep_git_dir) for word in addresses)
        nameless = next((remote.url for remote in remotes if remote.kind == "http" and not remote.name), "")
        if nameless and transfer.destination.endswith("/"):
            raise DockerfileError(
                f"expected an address that ends with a file's name to ADD to a folder, found {nameless}"
            )
        return paths, remotes

    def _source(self, name: str) -> int | str | None:
        return self._find_source(name) if name else None

    def _document(self, heredoc: Heredoc) -> str:
        if not heredoc.expand:
            return heredoc.text
        return expand(heredoc.text, self.env(), escape=self._escape, plain_quotes=True).text


def _file_name(heredoc: Heredoc) -> str:
    if "/" in heredoc.name or heredoc.name in (".", ".."):
        raise DockerfileError(f"expected the name of a heredoc to be a file name, found {heredoc.name!r}")
    return heredoc.name


def _render_list(words: Sequence[str]) -> str:
    return json.dumps(list(words), ensure_ascii=False)


_APPLY: Final[dict[type, Callable[[Interpreter, Any], tuple[Action | None, str]]]] = {
    Arg: Interpreter._arg,
    Cmd: Interpreter._cmd,
    Entrypoint: Interpreter._entrypoint,
    Env: Interpreter._env,
    Expose: Interpreter._expose,
    Healthcheck: Interpreter._healthcheck,
    Label: Interpreter._label,
    Maintainer: Interpreter._maintainer,
    OnBuild: Interpreter._on_build,
    Run: Interpreter._run,
    Shell: Interpreter._set_shell,
    StopSignal: Interpreter._stop_signal,
    Transfer: Interpreter._transfer,
    User: Interpreter._user,
    Volume: Interpreter._volume,
    Workdir: Interpreter._workdir,
}
"""What each kind of instruction does: the action, if there is one, and the line for the history."""
