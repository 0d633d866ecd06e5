"""The flags of `container run` and `create` that say how a container is kept: restarts, health, logs, labels, end."""

import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from airdock.containers.options import LifeOptions
    from airdock.images.image import Image

__all__ = ["keeping_options", "make_options", "needs_monitor", "to_seconds", "to_signal"]

_Command = TypeVar("_Command", bound=Callable[..., Any])
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def to_signal(text: str) -> int:
    """The number of "TERM", "SIGTERM" or "15"; 0 for nothing. Raises click.BadParameter."""
    name = text.upper().removeprefix("SIG")
    if not text:
        return 0
    if name.isdigit() and 0 < int(name) < signal.NSIG:
        return int(name)
    base, plus, more = name.partition("+")
    found = getattr(signal, f"SIG{base}", None) if base.isalnum() else None
    if not isinstance(found, signal.Signals) or (plus and not more.isdigit()):
        raise click.BadParameter(f"expected a signal such as TERM, SIGKILL or 9, got {text!r}.")
    return int(found) + int(more or 0)


def to_seconds(text: str) -> float:
    """Seconds of a Go duration such as "1m30s" or "500ms". Raises click.BadParameter."""
    if text == "0":
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"expected a duration such as 30s or 1m30s, got {text!r}.")
    return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))


def _to_pairs(ctx: click.Context, param: click.Parameter, items: tuple[str, ...]) -> dict[str, str]:
    pairs = (item.partition("=") for item in items)
    return {name: value for name, _, value in pairs}


_OPTIONS: Final = (
    click.option("--restart", default="no", metavar="POLICY", help="no, on-failure[:N], always or unless-stopped."),
    click.option("--stop-signal", default="", metavar="SIGNAL", help="What asks it to end; the image's, else TERM."),
    click.option("--stop-timeout", type=int, metavar="SECONDS", help="How long it has for that. [default: 10]"),
    click.option(
        "-l",
        "--label",
        "labels",
        multiple=True,
        callback=_to_pairs,
        metavar="KEY[=VALUE]",
        help="Note something on it.",
    ),
    click.option(
        "--label-file",
        "label_files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Note the KEY=VALUE lines of a file.",
    ),
    click.option("--log-driver", default="", metavar="DRIVER", help="json-file or none."),
    click.option(
        "--log-opt",
        "log_options",
        multiple=True,
        callback=_to_pairs,
        metavar="KEY=VALUE",
        help="max-size and max-file of its log.",
    ),
    click.option("--health-cmd", metavar="COMMAND", help="What shows that it is well."),
    click.option("--health-interval", type=to_seconds, metavar="TIME", help="Between two probes. [default: 30s]"),
    click.option("--health-timeout", type=to_seconds, metavar="TIME", help="How long one may take. [default: 30s]"),
    click.option("--health-retries", type=int, metavar="N", help="Failures in a row that count. [default: 3]"),
    click.option("--health-start-period", type=to_seconds, metavar="TIME", help="How long failures don't count."),
    click.option("--health-start-interval", type=to_seconds, metavar="TIME", help="Between two probes until then."),
    click.option("--no-healthcheck", is_flag=True, help="Leave out the image's own."),
    click.option(
        "--cidfile", type=click.Path(dir_okay=False, path_type=Path), help="Write its id into a file that isn't there."
    ),
)


def keeping_options(command: _Command) -> _Command:
    """Give a command these flags."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def needs_monitor(options: Mapping[str, Any]) -> bool:
    """Whether any of these flags asks for what only a monitor can do or remember."""
    names = ("stop_signal", "stop_timeout", "labels", "label_files", "log_driver", "log_options", "health_cmd")
    return options["restart"] not in ("no", "") or any(options[name] for name in names)


def make_options(options: dict[str, Any], image: "Image", *, auto_remove: bool, open_stdin: bool) -> "LifeOptions":
    """What these flags, taken out of a command's options, and the image say together."""
    from airdock.containers.health import make_check
    from airdock.containers.log_write import parse_log_options
    from airdock.containers.options import LifeOptions
    from airdock.containers.restart import parse_restart

    config = image.config
    restart = parse_restart(options.pop("restart"))
    if auto_remove and restart.name != "no":
        raise click.UsageError("conflicting options: --restart and --rm; expected one of them.")
    labels: dict[str, str] = {}
    for path in options.pop("label_files"):
        lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
        labels |= {name: value for name, _, value in (line.partition("=") for line in lines)}
    timeout = options.pop("stop_timeout")
    flags = {
        "cmd": options.pop("health_cmd"),
        "none": options.pop("no_healthcheck"),
        "interval_s": options.pop("health_interval"),
        "timeout_s": options.pop("health_timeout"),
        "retries": options.pop("health_retries"),
        "start_period_s": options.pop("health_start_period"),
        "start_interval_s": options.pop("health_start_interval"),
    }
    return LifeOptions(
        restart=restart,
        log=parse_log_options(options.pop("log_driver"), options.pop("log_options")),
        health=make_check(config.healthcheck, flags, shell=config.shell),
        stop_signal=to_signal(options.pop("stop_signal") or config.stop_signal) or signal.SIGTERM,
        stop_timeout_s=10.0 if timeout is None else float(timeout),
        labels=labels | options.pop("labels"),
        auto_remove=auto_remove,
        open_stdin=open_stdin,
    )
