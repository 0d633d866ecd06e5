"""Calls of uv: what is asked, where its settings lie, and what its complaints say once the noise is gone."""

import re
import threading
from pathlib import Path
from typing import Final

from airdock.errors import EnvironmentFailedError
from airdock.record import record

__all__ = ["Complaint", "compile_command", "find_uv", "needs_build", "parse_complaint", "sync_command", "venv_command"]

_ONE_AT_A_TIME: Final = threading.Lock()
"""Before Python 3.12, sysconfig shows a second thread half of its variables while the first one still collects them."""
_COMMON: Final = ("--color", "never", "--no-progress")
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_CONCLUSION: Final = re.compile(r",? we can conclude that (all versions of )?.* (are unsatisfiable|cannot be used)\.?")
_PART: Final = re.compile(r"\s*(error|cause|hint|Caused by): ?(.*)")
_CROSS: Final = re.compile("^ *\N{MULTIPLICATION SIGN} ")
_ARROW: Final = re.compile("^ *[╰├]─▶ ")
_NO_WHEEL: Final = re.compile(
    r"no usable wheels|building from source is disabled|[Bb]uilding source distributions is disabled|--no-build"
)
_OFFLINE: Final = re.compile(r"dns error|Connection refused|error sending request|client error|tunnel|timed out", re.I)
_UNTRUSTED: Final = re.compile(r"UnknownIssuer|invalid peer certificate|certificate verify failed")


def find_uv() -> Path:
    """The uv that was installed with Airdock. EnvironmentFailedError if it is missing."""
    try:
        from uv import find_uv_bin  # its search imports sysconfig, and only a new environment needs it

        with _ONE_AT_A_TIME:
            return Path(find_uv_bin())
    except (ImportError, FileNotFoundError) as error:
        raise EnvironmentFailedError(
            "expected uv, which installs packages, found none", hint="reinstall Airdock, or: pip install uv"
        ) from error


def compile_command(
    uv: str, *, source: str, output: str, python: str, build: bool, extra: tuple[str, ...]
) -> list[str]:
    """Resolve the requirements in `source` for the interpreter and write exact versions to `output`."""
    choice = () if build else ("--no-build",)
    names = ("--no-header", "--no-annotate", "--emit-build-options") if build else ("--no-header", "--no-annotate")
    return [
        uv,
        "pip",
        "compile",
        *_COMMON,
        "--quiet",
        *names,
        *choice,
        *extra,
        "--python",
        python,
        "-o",
        output,
        source,
    ]


def venv_command(uv: str, *, python: str, target: str) -> list[str]:
    """Make an empty virtual environment of the interpreter."""
    return [uv, "venv", *_COMMON, "--quiet", "--no-project", "--python", python, target]


def sync_command(uv: str, *, lock: str, target: str, build: bool, link_mode: str) -> list[str]:
    """Install exactly what the lock says."""
    choice = () if build else ("--no-build",)
    options = ("--link-mode", link_mode, "--python", f"{target}/bin/python")
    return [uv, "pip", "sync", *_COMMON, *choice, *options, lock]


@record
class Complaint:
    """Why uv couldn't do it, in a sentence or two, and what would help."""

    message: str
    hint: str = ""


def needs_build(output: str) -> bool:
    """Whether uv failed only because something comes without a wheel."""
    return _NO_WHEEL.search(output) is not None


def parse_complaint(output: str) -> Complaint:
    """uv's reason out of what it printed: its last cause, and the first hint.

    Newer versions write "error: …", "  cause: …", "hint: …"; older ones draw a tree with arrows.
    """
    text = _ESCAPES.sub("", output)
    parts = _parts(text)
    errors, causes = parts["error"], parts["cause"]
    reasons = causes or errors or text.strip().splitlines()[-1:] or ["uv said nothing"]
    message = _CONCLUSION.sub("", reasons[-1]).strip().rstrip(".,")
    if causes and errors and not message.startswith("Because"):
        message = f"{errors[0].rstrip(':.')}: {message}"
    message = message.replace("you require", "the task requires").replace("your requirements", "the requirements")
    return Complaint(message=message, hint=_advice(text, parts["hint"]))


def _parts(text: str) -> dict[str, list[str]]:
    """What uv printed by kind, broken lines joined."""
    parts: dict[str, list[str]] = {"error": [], "cause": [], "hint": []}
    kind = ""
    for line in text.splitlines():
        line = _ARROW.sub("  cause: ", _CROSS.sub("error: ", line))
        if found := _PART.match(line):
            kind = "cause" if found[1] == "Caused by" else found[1]
            parts[kind].append(found[2].strip())
        elif kind and line.startswith(" ") and (more := line.strip(" ^")):
            parts[kind][-1] += f" {more}"
        elif not line.strip() and kind != "hint":
            kind = ""
    return parts


def _advice(text: str, hints: list[str]) -> str:
    if _UNTRUSTED.search(text):
        return "the index shows a certificate that isn't trusted here: set SSL_CERT_FILE to the bundle that has it"
    if _OFFLINE.search(text):
        return "is the index reachable? proxies and indexes are taken from the environment, pip.conf and uv.toml"
    return hints[0] if hints else ""
