"""Small Debian base images straight from Debian's archive, by mmdebstrap: no registry is asked.

What comes out is like Docker's `debian:<suite>-slim`: the required packages and apt, no manuals, no package lists, no
services that start. With Python it is Debian's own, with `python` and `pip` beside `python3`, and pip may install.
The same state of the archive gives the same image: files are as old as the archive at most.
"""

import email.utils
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, BinaryIO, Final, cast

from airdock.engine import DEFAULT_PATH
from airdock.errors import EnvironmentFailedError, ImageError, UnknownImageError
from airdock.images.archive_import import import_root
from airdock.images.image import Image
from airdock.images.store import ImageStore
from airdock.oci.config import ImageConfig
from airdock.record import record

__all__ = ["BASE_LABEL", "SUITES", "BaseRequest", "make_base", "names_of"]

SUITES: Final[Mapping[str, str]] = {"bullseye": "3.9", "bookworm": "3.11", "trixie": "3.13"}
"""Debian's releases, and the Python that each has."""
BASE_LABEL: Final = "airdock.base"
"""What tells an image made here from one that a registry calls by the same name; its value is the suite."""

_ARCHIVE: Final = "http://deb.debian.org/debian"
_SECURITY: Final = "http://deb.debian.org/debian-security"
_PYTHON: Final = ("python3", "python3-pip", "python3-venv", "ca-certificates")
_ANSWER_S: Final = 60
_TAIL_LINES: Final = 15
_HOW: Final = (
    "apt-get install mmdebstrap debian-archive-keyring (Debian, Ubuntu); elsewhere it is in most distributions"
)
_CONFIGURE: Final = {
    "etc/apt/apt.conf.d/50airdock": (
        'Acquire::Languages "none";\nAcquire::GzipIndexes "true";\nApt::AutoRemove::SuggestsImportant "false";\n'
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };\n'
    ),
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
    "etc/resolv.conf": "",
    "etc/hostname": "localhost\n",
}
"""Files that make apt fit for containers: nothing is kept, no service starts when it's installed."""
_EXCLUDED: Final = ("/usr/share/man/*", "/usr/share/info/*", "/usr/share/doc/*", "/usr/share/locale/*")
_INCLUDED: Final = ("/usr/share/doc/*/copyright", "/usr/share/locale/locale.alias")


@record
class BaseRequest:
    """A base to be made. `mirror` replaces Debian's servers; `epoch` is the time nothing in it is younger than, in
    seconds, None for that of the archive; `tags` replaces the names it gets."""

    suite: str
    python: bool = False
    mirror: str = ""
    tags: tuple[str, ...] = ()
    epoch: int | None = None


def names_of(suite: str, *, python: bool) -> tuple[str, ...]:
    """What a base is called unless told otherwise: what Dockerfiles call such images."""
    if not python:
        return (f"debian:{suite}-slim", f"debian:{suite}")
    return (f"python:{SUITES[suite]}-slim-{suite}", f"python:{SUITES[suite]}-slim")


def make_base(
    store: ImageStore,
    request: BaseRequest,
    *,
    mapping: str,
    work: Path,
    environ: Mapping[str, str],
    output: Callable[[bytes], None],
) -> Image:
    """Make a base and give it its names. What mmdebstrap prints goes to `output`, line by line.

    `mapping` is the account's way of having ids, `work` an existing folder for temporary files. Raises
    `EnvironmentFailedError` where mmdebstrap is missing, can't work here, or fails, and `ImageError` for a name that
    an image from elsewhere has.
    """
    program = _check(mapping)
    tags = request.tags or names_of(request.suite, python=request.python)
    _check_names(store, tags, given=bool(request.tags))
    sources = _sources(request)
    epoch = request.epoch if request.epoch is not None else max(map(_released, sources))
    argv = [program, *_options(request, mapping), request.suite, "-", *(_line(source) for source in sources)]
    settings = {**environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": "0", "TMPDIR": str(work), "LC_ALL": "C"}
    process = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=settings, cwd=work
    )
    try:
        image = _import(store, request, process, epoch, output)
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()
    for tag in tags:
        store.tag(tag, image.digest)
    return image


def _import(
    store: ImageStore,
    request: BaseRequest,
    process: subprocess.Popen[bytes],
    epoch: int,
    output: Callable[[bytes], None],
) -> Image:
    from airdock.images.background import Background  # beside the archive, what is said must be read

    assert process.stdout is not None and process.stderr is not None
    errors = process.stderr
    said = Background(lambda: _listen(errors, output))
    failed: ImageError | None = None
    try:
        image = import_root(
            store,
            cast(BinaryIO, process.stdout),
            source=f"Debian's archive by mmdebstrap: {request.suite}{' with Python' if request.python else ''}",
            change=lambda config: _configure(config, request),
            epoch=epoch,
        )
    except ImageError as error:
        failed = error
    lines = said.result()
    if process.wait() != 0:
        raise EnvironmentFailedError(
            "expected mmdebstrap to make a Debian base, found that it failed:\n"
            + "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:]),
            hint="it needs Debian's archive (or --mirror URL, through http_proxy where there is one)",
        )
    if failed is not None:
        raise failed
    return image


def _listen(pipe: IO[bytes], output: Callable[[bytes], None]) -> list[str]:
    lines = []
    for line in pipe:
        output(line)
        lines.append(line.decode(errors="replace").rstrip())
    return lines


def _configure(config: ImageConfig, request: BaseRequest) -> ImageConfig:
    python = {"org.opencontainers.image.description": f"Python {SUITES[request.suite]} of Debian"}
    return replace(
        config,
        env=(f"PATH={DEFAULT_PATH}", *(("LANG=C.UTF-8",) if request.python else ())),
        cmd=("python3",) if request.python else ("bash",),
        labels={BASE_LABEL: request.suite, **(python if request.python else {})},
    )


def _check(mapping: str) -> str:
    """Where mmdebstrap is; EnvironmentFailedError where it can't be used, with what to do."""
    program = shutil.which("mmdebstrap")
    if program is None:
        raise EnvironmentFailedError("expected mmdebstrap, which makes Debian bases, found none", hint=_HOW)
    if mapping == "one":
        raise EnvironmentFailedError(
            "expected id ranges for this account, found none: files of a Debian base belong to several users, and "
            "packages are set up by programs that become them",
            hint="as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 ACCOUNT, and apt-get "
            "install uidmap; or make it as root, save it (airdock image save) and load it here (airdock image load)",
        )
    return program


def _check_names(store: ImageStore, tags: Sequence[str], *, given: bool) -> None:
    """An image that a registry gave keeps its name unless the user says that name."""
    for tag in () if given else tags:
        try:
            found = store.find(tag)
        except UnknownImageError:
            continue
        if BASE_LABEL not in found.labels:
            raise ImageError(
                f"expected no image {tag}, found one that was not made here",
                hint=f"give the new one another name with -t, or take its name: -t {tag}",
            )


@dataclass(frozen=True, slots=True)
class _Archive:
    address: str
    suite: str


def _sources(request: BaseRequest) -> list[_Archive]:
    if request.mirror:
        return [_Archive(request.mirror.rstrip("/"), request.suite)]
    return [
        _Archive(_ARCHIVE, request.suite),
        _Archive(_ARCHIVE, f"{request.suite}-updates"),
        _Archive(_SECURITY, f"{request.suite}-security"),
    ]


def _line(source: _Archive) -> str:
    return f"deb {source.address} {source.suite} main"


def _released(source: _Archive) -> int:
    """When an archive was last changed, in seconds: its packages are no younger."""
    address = f"{source.address}/dists/{source.suite}/Release"
    if not address.startswith(("http://", "https://")):
        raise EnvironmentFailedError(f"expected a web address, found {address}", hint="--mirror http://…")
    try:
        with urllib.request.urlopen(address, timeout=_ANSWER_S) as answer:  # noqa: S310 - checked above
            for line in answer:
                name, _, value = line.decode(errors="replace").partition(":")
                if name == "Date":
                    return int(email.utils.parsedate_to_datetime(value.strip()).timestamp())
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise EnvironmentFailedError(
            f"expected Debian's archive, found: {error}", where=address, hint="name one that is reachable: --mirror URL"
        ) from error
    raise EnvironmentFailedError("expected a release of Debian with its date, found none", where=address)


def _options(request: BaseRequest, mapping: str) -> list[str]:
    options = [
        *(
            "--variant=minbase",
            "--format=tar",
            "--skip=output/dev",
            f"--mode={'root' if mapping == 'root' else 'unshare'}",
        ),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in _EXCLUDED),
        *(f"--dpkgopt=path-include={pattern}" for pattern in _INCLUDED),
        *(f"--include={package}" for package in (_PYTHON if request.python else ())),
    ]
    for path, content in _CONFIGURE.items():
        mode = "755" if content.startswith("#!") else "644"
        options.append(
            f'--customize-hook=mkdir -p "$1/{Path(path).parent}"; printf %s \'{_quote(content)}\' > "$1/{path}"; '
            f'chmod {mode} "$1/{path}"'
        )
    if request.python:
        options += [
            '--customize-hook=ln -sf python3 "$1/usr/bin/python"',
            # The marker keeps pip from a system's own packages; in an image of one program there is nothing to keep.
            '--customize-hook=rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED',
        ]
    options.append('--customize-hook=rm -rf "$1"/var/log/* "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old')
    return options


def _quote(text: str) -> str:
    return text.replace("'", "'\\''")
