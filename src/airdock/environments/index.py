"""Where packages come from on this machine: pip's and uv's settings, certificates and proxies, made one for uv.

A company's machine has an index of its own, a proxy, and a certificate authority that nobody else knows. Whoever set
these up set them up for pip; uv reads none of that. What is said for uv counts more than what is said for pip.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from airdock.environments.pip_config import load_pip_settings, split_values
from airdock.environments.uv_config import INDEX_OPTIONS, load_uv_settings
from airdock.errors import ConfigError
from airdock.record import record

__all__ = ["PROXIES", "IndexSettings", "load_index_settings"]

PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "FTP_PROXY")
"""Each is passed on in upper and in lower case, as it was found."""

_CERTIFICATES: Final = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_BUNDLES: Final = (
    "etc/ssl/certs/ca-certificates.crt",
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/ssl/cert.pem",
)
"""Where distributions keep the machine's trusted certificates as one file."""

_UV_INDEXES: Final = ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
_UV_PASSED: Final = re.compile(
    r"UV_(INDEX.*|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|INSECURE_HOST|HTTP_.*|REQUEST_TIMEOUT|CONCURRENT_.*"
    r"|EXCLUDE_NEWER.*|PRERELEASE.*|RESOLUTION|OFFLINE|TORCH_BACKEND|NO_BINARY.*|SYSTEM_CERTS|NATIVE_TLS)"
)
"""What of uv's variables bears on resolving and fetching; the others are about projects, tools and Pythons."""
_UV_RESOLVING: Final = re.compile(
    r"UV_(INDEX|INDEX_URL|INDEX_STRATEGY|DEFAULT_INDEX|EXTRA_INDEX_URL|FIND_LINKS|NO_INDEX|EXCLUDE_NEWER.*|PRERELEASE.*"
    r"|RESOLUTION|TORCH_BACKEND|NO_BINARY.*)"
)
_NOT_RESOLVING: Final = re.compile(
    r"native-tls|system-certs|allow-insecure-host|cache.*|concurrent.*|http.*|offline|.*tls"
)
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/@\s]*@")


@record
class IndexSettings:
    """One account's settings on one machine.

    `uv` is the content of a uv.toml, `environ` the variables beside it. `constraints` are files or URLs of version
    constraints, `overrides` of uv's overrides. `certificates` are files or folders that are trusted, `client` a file
    with the certificate and key to show. `folders` are local places that have to be seen at their own paths. `pip` is
    what pip is told in a Dockerfile's RUN.
    """

    uv: Mapping[str, Any] = field(default_factory=dict)
    pip: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    certificates: Path | None = None
    client: Path | None = None
    netrc: Path | None = None
    folders: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Names what the settings say about which versions are taken: no proxies, certificates or passwords.

        Tokens in addresses are renewed every few hours on some indexes, and the packages are the same after that.
        """
        said = {
            "uv": {name: value for name, value in self.uv.items() if not _NOT_RESOLVING.fullmatch(name)},
            "environ": {name: value for name, value in self.environ.items() if _UV_RESOLVING.fullmatch(name)},
            "files": [_content(place) for place in (*self.constraints, "", *self.overrides)],
        }
        text = json.dumps(said, sort_keys=True, default=str)
        return hashlib.sha256(_CREDENTIALS.sub("", text).encode()).hexdigest()[:16]


def load_index_settings(*, environ: Mapping[str, str], home: Path, root: Path = Path("/")) -> IndexSettings:
    """The settings of the account whose home this is. Raises ConfigError for files that can't be understood."""
    pip = load_pip_settings(environ=environ, home=home, root=root)
    uv = load_uv_settings(environ=environ, home=home, root=root)
    if not (uv.keys() & INDEX_OPTIONS or any(environ.get(name) for name in _UV_INDEXES)):
        uv = {**uv, **_indexes_of_pip(pip)}
    if "trusted-host" in pip:
        uv["allow-insecure-host"] = [*uv.get("allow-insecure-host", []), *split_values(pip["trusted-host"])]
    if pip.get("pre", "").lower() in ("1", "true", "yes", "on"):
        uv.setdefault("prerelease", "allow")
    passed = {name: value for name, value in environ.items() if value and _UV_PASSED.fullmatch(name)}
    if "timeout" in pip:
        passed.setdefault("UV_HTTP_TIMEOUT", _seconds(pip["timeout"]))
    client = environ.get("SSL_CLIENT_CERT") or pip.get("client-cert")
    return IndexSettings(
        uv=uv,
        pip={name: value for name, value in pip.items() if name not in _NOT_FOR_BUILDS},
        environ={**passed, **_proxies(environ, pip)},
        constraints=_files(environ.get("UV_CONSTRAINT"), pip.get("constraint")),
        overrides=_files(environ.get("UV_OVERRIDE")),
        certificates=_certificates(environ, pip, root),
        client=Path(client) if client else None,
        netrc=_existing(environ.get("NETRC") or str(home / ".netrc")),
        folders=tuple(sorted({*_local(_places(uv, passed, pip))})),
    )


def _seconds(text: str) -> str:
    """Whole seconds, which is all that uv takes."""
    try:
        return str(max(1, round(float(text))))
    except ValueError as error:
        raise ConfigError(f"expected pip's timeout in seconds, found {text!r}") from error


_NOT_FOR_BUILDS: Final = frozenset(
    {"cert", "client-cert", "constraint", "proxy", "target", "prefix", "root", "user", "cache-dir", "log", "python"}
    | {"require-virtualenv", "break-system-packages", "keyring-provider"}
)
"""Options of pip that name this machine's folders, are passed on in another way, or mean its own Python."""


def _indexes_of_pip(pip: Mapping[str, str]) -> dict[str, Any]:
    """pip's indexes for uv, with pip's rule: the best version of all of them, and not of the first that has any."""
    found: dict[str, Any] = {}
    if "index-url" in pip:
        found["index-url"] = pip["index-url"].strip()
    if "extra-index-url" in pip:
        found["extra-index-url"] = list(split_values(pip["extra-index-url"]))
        found["index-strategy"] = "unsafe-best-match"
    if "find-links" in pip:
        found["find-links"] = list(split_values(pip["find-links"]))
    if pip.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        found["no-index"] = True
    return found


def _proxies(environ: Mapping[str, str], pip: Mapping[str, str]) -> dict[str, str]:
    names = [name for upper in PROXIES for name in (upper, upper.lower())]
    found = {name: environ[name] for name in names if environ.get(name)}
    if "proxy" in pip:
        proxy = pip["proxy"] if "://" in pip["proxy"] else f"http://{pip['proxy']}"
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            if name not in found and name.lower() not in found:
                found[name] = found[name.lower()] = proxy
    return found


def _certificates(environ: Mapping[str, str], pip: Mapping[str, str], root: Path) -> Path | None:
    """What is trusted: the file that is named, else the folder, else the machine's own bundle."""
    named = [environ.get("SSL_CERT_FILE"), pip.get("cert"), *(environ.get(name) for name in _CERTIFICATES)]
    named += environ.get("SSL_CERT_DIR", "").split(":")
    candidates = [*(Path(name) for name in named if name), *(root / bundle for bundle in _BUNDLES)]
    return next((path for path in candidates if path.exists()), None)


def _files(*values: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(place for value in values if value for place in split_values(value)))


def _existing(path: str) -> Path | None:
    return Path(path) if Path(path).is_file() else None


def _places(uv: Mapping[str, Any], environ: Mapping[str, str], pip: Mapping[str, str]) -> Iterator[str]:
    for name in ("index-url", "extra-index-url", "find-links"):
        value = uv.get(name, [])
        yield from [value] if isinstance(value, str) else value
        yield from split_values(pip.get(name, ""))
    yield from (entry.get("url", "") for entry in uv.get("index", []))
    for name in _UV_INDEXES:
        # A named index is written name=url.
        yield from (place.split("=", 1)[-1] for place in re.split(r"[\s,]+", environ.get(name, "")))


def _local(places: Iterable[str]) -> Iterator[str]:
    """Those of the places that are folders or files of this machine."""
    for place in places:
        address = urlsplit(place)
        path = Path(unquote(address.path) if address.scheme == "file" else "" if address.scheme else place)
        if path.is_absolute() and path.exists():
            # The pages of an index below "simple" point to files beside it.
            yield str(path.parent if path.name == "simple" else path)


def _content(place: str) -> str:
    try:
        return Path(place).read_text(errors="replace") if place and "://" not in place else place
    except OSError:
        return place
