"""Logins where Docker keeps them, so that whoever is logged in there is here too.

    ~/.docker/config.json   {"auths": {"HOST": {"auth": base64 of "user:password"}},
                             "credsStore": NAME, "credHelpers": {"HOST": NAME}}

`docker-credential-NAME get|store|erase` is a program that keeps them elsewhere: registry or login on stdin, JSON on
stdout. Source: docker/docker-credential-helpers, README.
"""

import base64
import binascii
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from airdock.errors import RegistryError
from airdock.files import save_json
from airdock.oci.reference import DEFAULT_REGISTRY
from airdock.remote.base import Login

__all__ = ["DockerCredentials"]

_HUB: Final = "https://index.docker.io/v1/"
"""What Docker calls its own registry in this file."""
_TOKEN_USER: Final = "<token>"  # noqa: S105 a helper's word for "the secret is an identity token"
_HELPER_S: Final = 60
_LARGEST: Final = 4 << 20


class DockerCredentials:
    """Reads the first of `paths` that knows a registry; writes to the first path."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)

    @property
    def path(self) -> Path:
        """Where logins are written."""
        return self._paths[0]

    def find(self, registry: str) -> Login | None:
        """The login for a registry. Raises RegistryError for a file or a helper that's broken."""
        for path in self._paths:
            document = _load(path)
            helper = _helper(document, registry)
            found = _ask(helper, registry) if helper else None
            found = found or _from_auths(_table(document, "auths"), registry)
            if found is not None:
                return found
        return None

    def save(self, registry: str, login: Login) -> str:
        """Remember a login; gives the name of the helper that keeps it, empty where the file does."""
        document = _load(self.path)
        helper = _helper(document, registry)
        key = _server(registry)
        auths = dict(_table(document, "auths"))
        if helper:
            secret = login.identity_token or login.password
            user = _TOKEN_USER if login.identity_token else login.username
            _run(helper, "store", json.dumps({"ServerURL": key, "Username": user, "Secret": secret}))
            auths[key] = {}
        elif login.identity_token:
            said = base64.b64encode(f"{login.username}:".encode()).decode()
            auths[key] = {"auth": said, "identitytoken": login.identity_token}
        else:
            auths[key] = {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
        self._write({**document, "auths": auths})
        return helper

    def forget(self, registry: str) -> bool:
        """Forget a login; false where there was none."""
        document = _load(self.path)
        helper = _helper(document, registry)
        auths = dict(_table(document, "auths"))
        kept = {key: value for key, value in auths.items() if _name(key) != registry}
        was_known = len(kept) < len(auths)
        if helper and _ask(helper, registry) is not None:
            _run(helper, "erase", _server(registry))
            was_known = True
        if len(kept) < len(auths):
            self._write({**document, "auths": kept})
        return was_known

    def _write(self, document: Mapping[str, Any]) -> None:
        target = self.path.resolve()  # a link to where it really is stays one
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            save_json(target, document, mode=0o600)
        except OSError as error:
            raise RegistryError(
                f"expected a file that can be written, found: {error.strerror}", where=str(target)
            ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST)
        document = json.loads(content) if content.strip() else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise RegistryError(f"expected a file of logins in JSON, found: {error}", where=str(path)) from error
    if not isinstance(document, dict):
        raise RegistryError(
            f"expected an object in the file of logins, found {type(document).__name__}", where=str(path)
        )
    return document


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _server(registry: str) -> str:
    return _HUB if registry == DEFAULT_REGISTRY else registry


def _name(key: str) -> str:
    """The registry that a key of `auths` stands for: with or without scheme and path."""
    host = key.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return DEFAULT_REGISTRY if host in ("index.docker.io", "registry-1.docker.io", "docker.io") else host


def _helper(document: Mapping[str, Any], registry: str) -> str:
    helpers: dict[str, Any] = {_name(key): value for key, value in _table(document, "credHelpers").items()}
    found: Any = helpers.get(registry) or document.get("credsStore")
    return found if isinstance(found, str) else ""


def _from_auths(auths: Mapping[str, Any], registry: str) -> Login | None:
    for entry in _entries(auths, registry):
        token = entry.get("identitytoken")
        if isinstance(token, str) and token:
            return Login(identity_token=token, username=_split(entry)[0])
        username, password = _split(entry)
        if username or password:
            return Login(username=username, password=password)
    return None


def _entries(auths: Mapping[str, Any], registry: str) -> Iterator[Mapping[str, Any]]:
    """The exact key first, then other spellings of the same registry."""
    keys = sorted(auths, key=lambda key: key != _server(registry))
    yield from (auths[key] for key in keys if _name(key) == registry and isinstance(auths[key], dict))


def _split(entry: Mapping[str, Any]) -> tuple[str, str]:
    said = entry.get("auth")
    if isinstance(said, str) and said:
        try:
            username, _, password = base64.b64decode(said, validate=False).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return username, password.rstrip("\0")
    pair = entry.get("username"), entry.get("password")
    return (pair[0], pair[1]) if isinstance(pair[0], str) and isinstance(pair[1], str) else ("", "")


def _ask(helper: str, registry: str) -> Login | None:
    answer = _run(helper, "get", _server(registry), may_miss=True)
    if not answer:
        return None
    try:
        said = json.loads(answer)
        username, secret = said["Username"], said["Secret"]
    except (ValueError, KeyError, TypeError) as error:
        raise RegistryError(
            f"expected Username and Secret from docker-credential-{helper}, found something else", where=registry
        ) from error
    if username == _TOKEN_USER:
        return Login(identity_token=str(secret))
    return Login(username=str(username), password=str(secret))


def _run(helper: str, verb: str, text: str, *, may_miss: bool = False) -> str:
    """A helper's answer; empty where it has no such login and that is fine."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise RegistryError(f"expected the name of a credential helper, found {helper!r}")
    try:
        done = subprocess.run([program, verb], input=text, capture_output=True, text=True, timeout=_HELPER_S)
    except FileNotFoundError as error:
        raise RegistryError(
            f"expected the credential helper {program}, found no such program",
            hint="install it, or take credsStore and credHelpers out of the file of logins",
        ) from error
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        raise RegistryError(f"expected an answer of {program}, found: {error}") from error
    if done.returncode == 0:
        return done.stdout
    said = (done.stdout.strip() or done.stderr.strip() or "nothing").splitlines()[-1]
    if may_miss and "not found" in said.lower():
        return ""
    raise RegistryError(f"expected {program} {verb} to do it, found: {said}")
