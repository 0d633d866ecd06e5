"""Values of single instructions, checked and brought into the form that an image configuration has."""

import posixpath
import re
import signal
from collections.abc import Iterable, Mapping
from typing import Final

from airdock.errors import DockerfileError

__all__ = ["DEFAULT_PATH", "PROXY_ARGUMENTS", "check_signal", "env_to_dict", "expand_ports", "join_path", "put_env"]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of an image that sets none."""

PROXY_ARGUMENTS: Final = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""Build arguments that RUN sees without being declared, and that are then recorded nowhere."""

_PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?")
_PROTOCOLS: Final = ("tcp", "udp", "sctp")


def expand_ports(words: Iterable[str]) -> tuple[str, ...]:
    """Each port of EXPOSE as `number/protocol`, ranges one by one. Raises `DockerfileError`."""
    ports: list[str] = []
    for word in words:
        match = _PORT.fullmatch(word.rpartition(":")[2])  # an address or a port of the host before it means nothing
        protocol = (match[3] or "tcp").lower() if match else ""
        if match is None or protocol not in _PROTOCOLS:
            raise DockerfileError(f"expected a port such as 8080, 8000-8010 or 53/udp, found {word!r}")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last <= 65535:
            raise DockerfileError(f"expected ports from 1 to 65535, the lower one first, found {word!r}")
        ports += (f"{port}/{protocol}" for port in range(first, last + 1))
    return tuple(dict.fromkeys(ports))


def check_signal(text: str) -> str:
    """The signal of STOPSIGNAL as it is written, if there is one of that name or number. Raises `DockerfileError`."""
    name = text.upper().removeprefix("SIG")
    number = int(text) if re.fullmatch(r"\d{1,3}", text) else 0
    realtime = re.fullmatch(r"RTM(?:IN(?:\+\d{1,2})?|AX(?:-\d{1,2})?)", name)
    if not (0 < number < 65 or realtime or f"SIG{name}" in signal.Signals.__members__):
        raise DockerfileError(f"expected a signal such as SIGTERM or 15, found {text!r}")
    return text


def join_path(folder: str, path: str) -> str:
    """`path` made absolute in `folder` and cleaned; a slash at its end, or a dot, still says "a folder"."""
    joined = posixpath.normpath(posixpath.join("/", folder, path))
    joined = "/" + joined.lstrip("/")
    is_folder = path.endswith(("/", "/.")) or path in ("", ".")
    return joined + "/" if is_folder and joined != "/" else joined


def env_to_dict(env: Iterable[str]) -> dict[str, str]:
    """`NAME=value` entries by name."""
    return {name: value for name, _, value in (entry.partition("=") for entry in env)}


def put_env(env: tuple[str, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    """`env` with the values set: in place where the name is there, else at the end."""
    merged = {**env_to_dict(env), **values}
    return tuple(f"{name}={value}" for name, value in merged.items())
