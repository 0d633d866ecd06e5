"""Every setting, read once from file, environment and flags into one frozen record that remembers where each came from.

    AIRDOCK_HOME/airdock.toml      [section] key = value
    AIRDOCK__SECTION__KEY          over the file
    flags of the command line      over both

`AIRDOCK_HOME` itself (or `--home`) says where the file is, so it can't stand in the file.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, field, fields
from pathlib import Path
from typing import Any, Final

from airdock.errors import ConfigError
from airdock.record import record

__all__ = [
    "FILE_NAME",
    "Build",
    "Config",
    "Core",
    "Database",
    "Debug",
    "Environments",
    "Images",
    "Isolation",
    "Logging",
    "Network",
    "Registries",
    "Row",
    "Scheduler",
    "load_config",
]

FILE_NAME: Final = "airdock.toml"
PREFIX: Final = "AIRDOCK__"


def _choice(default: str, *choices: str, about: str) -> Any:
    return field(default=default, metadata={"choices": choices, "about": about})


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


def _listed(about: str) -> Any:
    return field(default=(), metadata={"about": about, "commas": True})


def _size(default: int | None, about: str) -> Any:
    return field(default=default, metadata={"about": about, "size": True})


@record
class Core:
    """How much runs where. `parallelism` counts tasks at one time; None leaves it to the executor."""

    executor: str = _choice("local", "local", "sequential", about="what runs tasks")
    parallelism: int | None = _setting(None, "tasks that run at one time on this machine")
    max_map_length: int = _setting(1024, "values that a task may return for others to be mapped over")


@record
class Database:
    """Where runs, DAGs, variables and connections are kept."""

    url: str = _setting("", "postgresql://USER:PASSWORD@HOST/NAME; empty is the file airdock.db in the home folder")


@record
class Scheduler:
    """What serves a DAG folder. A DAG that says by itself whether it begins paused does."""

    new_dags: str = _choice("run", "run", "pause", about="whether a new DAG runs, or waits until it's unpaused")
    schedules: str = _choice(
        "trigger",
        "trigger",
        "interval",
        about="'interval': a run at the end of the time it is about, as in Airflow 2",
    )


@record
class Isolation:
    """What stands between a task and the machine."""

    mode: str = _choice("container", "container", "process", about="'process' runs tasks unisolated: only by your word")
    userns: str = _choice("auto", "auto", "host", about="'host' gives up user namespaces: only by your word")
    runtime: str = _setting("", "another OCI runtime for `container run`, such as runc; empty is Airdock's own")
    folders: tuple[str, ...] = _listed("folders of this machine that tasks and triggers see, as /data or /results:rw")


@record
class Environments:
    """How what a task needs becomes an image. `python_search` names folders that hold Python installations."""

    base: str = _setting("host", "the image that requirements are installed on")
    python_search: tuple[str, ...] = _setting((), "further folders in which other Pythons are looked for")
    keep_days: int = _setting(30, "days that 'system prune' leaves unused environments and downloaded packages alone")


@record
class Images:
    """How images are kept. Sizes are in bytes; None is no limit."""

    compression: str = _choice("gzip", "gzip", "zstd", about="what new layers are packed with")
    max_size: int | None = _size(None, "bytes of all images, beyond which those unused for longest go")
    over_size: str = _choice(
        "unnamed", "unnamed", "any", about="what may go beyond max_size: 'any' takes images you named too"
    )


@record
class Build:
    """How images are built. Sizes are in bytes; None is no limit."""

    cache_max_size: int | None = _size(20_000_000_000, "bytes of cached build steps, beyond which the oldest go")


@record
class Network:
    """What of the network a task sees."""

    mode: str = _choice("host", "host", "none", "private", about="the network of tasks")
    uplink: str = _choice(
        "auto", "auto", "nat", "pasta", "slirp4netns", about="how private networks get out; nat is for root only"
    )
    publish_on: str = _setting("0.0.0.0", "the address at which -p publishes ports that name none")  # noqa: S104


@record
class Registries:
    """How registries are reached. A mirror is `REGISTRY=[http[s]://]HOST[:PORT][/PREFIX]`."""

    mirrors: tuple[str, ...] = _listed("mirrors, such as docker.io=https://mirror.example.com, in their order")
    insecure: tuple[str, ...] = _listed("HOST[:PORT] of registries with plain HTTP or an unknown certificate")
    retries: int = _setting(4, "further tries of a request that fails for a passing reason")
    timeout_s: int = _setting(30, "seconds to wait for a registry's next word")
    at_once: int = _setting(4, "blobs that are moved at one time")
    pull: str = _choice(
        "missing", "missing", "always", "never", about="when an image that is asked for is fetched from its registry"
    )


@record
class Debug:
    """For tests of crashes."""

    kill_at: str = _setting("", "the named point at which the scheduler kills itself")


@record
class Logging:
    """What is shown of logs."""

    tail_lines: int = _setting(20, "lines of a failed task's log that are shown where it failed")


@record
class Row:
    """One setting as `airdock config` lists it. `source` is "default", a file's path, a variable or a flag."""

    name: str
    value: Any
    source: str
    about: str


@record
class Config:
    """Every setting of this process. `sources` has "section.key" of those that aren't the default."""

    home: Path
    core: Core = Core()
    database: Database = Database()
    scheduler: Scheduler = Scheduler()
    isolation: Isolation = Isolation()
    environments: Environments = Environments()
    images: Images = Images()
    build: Build = Build()
    network: Network = Network()
    registries: Registries = Registries()
    debug: Debug = Debug()
    logging: Logging = Logging()
    sources: Mapping[str, str] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        """Each setting with its value and source, in the order of the sections."""
        yield Row(
            name="home",
            value=str(self.home),
            source=self.sources.get("home", "default"),
            about="the folder of images, logs, runs and the database",
        )
        for section, name in _names():
            option = _options(section)[name]
            yield Row(
                name=f"{section}.{name}",
                value=_shown(getattr(getattr(self, section), name)),
                source=self.sources.get(f"{section}.{name}", "default"),
                about=option.metadata["about"],
            )


_SECTIONS: Final[dict[str, type]] = {
    "core": Core,
    "database": Database,
    "scheduler": Scheduler,
    "isolation": Isolation,
    "environments": Environments,
    "images": Images,
    "build": Build,
    "network": Network,
    "registries": Registries,
    "debug": Debug,
    "logging": Logging,
}


def load_config(*, environ: Mapping[str, str] | None = None, flags: Mapping[str, str | None] | None = None) -> Config:
    """Read file, environment and flags.

    `flags` maps "section.key" (or "home") to what was given for the flag; None is a flag that wasn't given. Raises
    ConfigError for a value that can't be, an unknown key, or a file that can't be read.
    """
    environ = os.environ if environ is None else environ
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    home, home_source = _home(environ, given.pop("home", None))
    values: dict[str, Any] = {}
    sources = {"home": home_source} if home_source else {}
    for read in (_from_file(home / FILE_NAME), _from_environment(environ), _from_flags(given)):
        for name, value, source in read:
            values[name] = value
            sources[name] = source
    sections = {
        section: made(**{name.partition(".")[2]: values[name] for name in values if name.startswith(f"{section}.")})
        for section, made in _SECTIONS.items()
    }
    return Config(home=home, sources=sources, **sections)


def _home(environ: Mapping[str, str], flag: str | None) -> tuple[Path, str]:
    text, source = (flag, "--home") if flag else (environ.get("AIRDOCK_HOME", ""), "AIRDOCK_HOME")
    try:
        if text:
            return Path(text).expanduser().absolute(), source
        return Path.home() / ".airdock", ""
    except RuntimeError as error:
        raise ConfigError(
            f"expected a home folder, got none: {error}",
            where=source,
            hint="set AIRDOCK_HOME to a folder that this account may write",
        ) from error


_Read = Iterator[tuple[str, Any, str]]


def _from_file(path: Path) -> _Read:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfigError(f"expected a file that can be read, got: {error.strerror}", where=str(path)) from error
    import tomllib  # most homes have no file, and every command would pay for it

    try:
        document = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected TOML, got: {error}", where=str(path)) from error
    for section, keys in document.items():
        where = f"{path}, [{section}]"
        if section not in _SECTIONS:
            raise _unknown(f"[{section}]", f"[{section}]", [f"[{known}]" for known in _SECTIONS], where=str(path))
        if not isinstance(keys, dict):
            raise ConfigError(
                f"expected {section} to be a table, got {keys!r}",
                where=str(path),
                hint=f"write [{section}], keys below",
            )
        for key, value in keys.items():
            yield f"{section}.{key}", _value(section, key, value, where=where, typed=True), str(path)


def _from_environment(environ: Mapping[str, str]) -> _Read:
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        section, _, key = variable.removeprefix(PREFIX).lower().partition("__")
        if section not in _SECTIONS or key not in _options(section):
            known = [f"{PREFIX}{section}__{name}".upper() for section, name in _names()]
            raise _unknown(f"{section}.{key}".rstrip("."), variable, known, where="environment")
        value = _value(section, key, environ[variable], where=variable, typed=False)
        yield f"{section}.{key}", value, variable


def _from_flags(flags: Mapping[str, str]) -> _Read:
    for name, text in flags.items():
        section, _, key = name.partition(".")
        flag = f"--{section if key == 'mode' else key}".replace("_", "-")
        yield name, _value(section, key, text, where=flag, typed=False), flag


def _value(section: str, key: str, value: Any, *, where: str, typed: bool) -> Any:
    """The setting's value; `typed` says that `value` has a type of its own, else it is text to be parsed."""
    options = _options(section)
    if key not in options:
        raise _unknown(f"{section}.{key}", key, list(options), where=where)
    option = options[key]
    choices: tuple[str, ...] = option.metadata.get("choices", ())
    is_size = option.metadata.get("size", False)
    kind = _SIZE if is_size else _LIST if option.metadata.get("commas") else _KINDS[str(option.type)]
    expected, parse = (_one_of(choices), str) if choices else kind
    try:
        result = _check_type(option, value) if typed and not is_size else parse(str(value))
        if (choices and result not in choices) or (isinstance(result, int) and result < 0) or result == 0:
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"expected {section}.{key} to be {expected}, got {value!r}", where=where) from error
    return result


def _check_type(option: Field[Any], value: Any) -> Any:
    kind = str(option.type)
    if "tuple" in kind and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    if "int" in kind and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == str(str) and isinstance(value, str):
        return value
    raise ValueError


def _parse_folders(text: str) -> tuple[str, ...]:
    return tuple(folder for folder in text.split(os.pathsep) if folder)


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _parse_size(text: str) -> int:
    """Bytes of "20GB" in steps of 1000, of "20GiB" in steps of 1024."""
    match = re.fullmatch(r"(?P<number>\d+(?:\.\d+)?) ?(?P<unit>[kmgtKMGT])?(?P<binary>i)?B?", text.strip())
    if match is None:
        raise ValueError
    step = 1024 if match["binary"] else 1000
    return int(float(match["number"]) * step ** " kmgt".index((match["unit"] or " ").lower()))


_SIZE: Final[tuple[str, Callable[[str], Any]]] = ("a size such as 20GB", _parse_size)

_LIST: Final[tuple[str, Callable[[str], Any]]] = ("a list (in the environment with ',' between its parts)", _parse_list)

_KINDS: Final[dict[str, tuple[str, Callable[[str], Any]]]] = {
    str(str): ("text", str),
    str(int): ("a whole number above 0", int),
    str(int | None): ("a whole number above 0", int),
    str(tuple[str, ...]): (f"a list of folders (in the environment with {os.pathsep!r} between them)", _parse_folders),
}


def _shown(value: Any) -> Any:
    """The value without the password of a URL."""
    return re.sub(r"(?<=://)([^:/@]*):[^@/]*@", r"\1:***@", value) if isinstance(value, str) else value


def _one_of(choices: tuple[str, ...]) -> str:
    return " or ".join(f"'{choice}'" for choice in choices)


def _options(section: str) -> dict[str, Field[Any]]:
    return {option.name: option for option in fields(_SECTIONS[section])}


def _names() -> Iterator[tuple[str, str]]:
    for section in _SECTIONS:
        for name in _options(section):
            yield section, name


def _unknown(name: str, written: str, known: list[str], *, where: str) -> ConfigError:
    import difflib  # only for a mistake; costs every command a few milliseconds

    near = difflib.get_close_matches(written, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(known)}"
    return ConfigError(f"expected a setting that there is, got {name}", where=where, hint=hint)
