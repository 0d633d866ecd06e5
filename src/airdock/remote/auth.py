"""Answers a registry's challenges: a password (Basic), or a token that a token server gives for one (Bearer).

Source: distribution, docs/spec/auth/token.md and oauth.md.
"""

import base64
import json
import threading
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from airdock.errors import DeniedError, RegistryError
from airdock.record import positional
from airdock.remote.base import Credentials, Login
from airdock.remote.challenge import Challenge
from airdock.remote.http import Http

__all__ = ["Authorizer"]

_LARGEST: Final = 1 << 20
_SHORTEST_S: Final = 60
_SLACK_S: Final = 5
_CLIENT: Final = "airdock"
_OK: Final = 200
_SCHEMES: Final = frozenset({"basic", "bearer"})
_NO_SUCH_WAY: Final = frozenset({404, 405})


@positional
class _Token:
    text: str
    until: float


class Authorizer:
    """What goes into `Authorization` for one registry, from any thread. Logins are looked up once, when needed."""

    def __init__(self, *, registry: str, http: Http, credentials: Credentials, is_private: bool = True) -> None:
        """`is_private` says that nobody listens in: then a password may go to a token server by plain HTTP too."""
        self._registry = registry
        self._http = http
        self._credentials = credentials
        self._is_private = is_private
        self._lock = threading.Lock()
        self._challenge: Challenge | None = None
        self._tokens: dict[str, _Token] = {}
        self._login: Login | None = None
        self._is_looked_up = False

    def header(self, scopes: Sequence[str]) -> str | None:
        """What is said without being asked: nothing before the first challenge."""
        with self._lock:
            return self._answer(self._challenge, scopes) if self._challenge else None

    def expect(self, challenges: Sequence[Challenge]) -> None:
        """Remember what is asked for here, so that the first request that needs an answer has it."""
        with self._lock:
            self._challenge = next((one for one in challenges if one.scheme in _SCHEMES), None)

    def challenged(self, challenges: Sequence[Challenge], scopes: Sequence[str], refused: str | None) -> str | None:
        """What answers a 401; None when nothing will. `refused` is what was said before."""
        with self._lock:
            self._tokens.pop(" ".join(scopes), None)
            for challenge in challenges:
                if challenge.scheme not in _SCHEMES:
                    continue
                wanted = challenge.parameters.get("scope", "").split()
                self._challenge = challenge
                answer = self._answer(challenge, list(dict.fromkeys([*scopes, *wanted])))
                if answer is not None and answer != refused:
                    if wanted and challenge.scheme == "bearer":
                        self._tokens[" ".join(scopes)] = _Token(answer, time.monotonic() + _SHORTEST_S - _SLACK_S)
                    return answer
        return None

    @property
    def has_login(self) -> bool:
        """Whether somebody logged in here."""
        return self._find_login() is not None

    def _find_login(self) -> Login | None:
        if not self._is_looked_up:
            self._login = self._credentials.find(self._registry)
            self._is_looked_up = True
        return self._login

    def _answer(self, challenge: Challenge, scopes: Sequence[str]) -> str | None:
        if challenge.scheme == "basic":
            login = self._find_login()
            return _basic(login) if login is not None and login.username else None
        key = " ".join(scopes)
        known = self._tokens.get(key)
        if known is None or known.until < time.monotonic():
            known = self._fetch(challenge, scopes)
            self._tokens[key] = known
        return known.text

    def _fetch(self, challenge: Challenge, scopes: Sequence[str]) -> _Token:
        realm = challenge.parameters.get("realm", "")
        if not _is_address(realm):
            raise RegistryError(f"expected the address of a token server, found {realm!r}", where=self._registry)
        login = self._find_login()
        if login is not None and realm.startswith("http://") and not self._is_private:
            raise RegistryError(
                f"expected a token server by https, found {realm}: no password goes there", where=self._registry
            )
        service = challenge.parameters.get("service", "")
        if login is not None and login.identity_token:
            form = [("grant_type", "refresh_token"), ("refresh_token", login.identity_token)]
            return self._post(realm, service, scopes, form)
        found = self._get(realm, service, scopes, login)
        if found is None and login is not None:
            form = [("grant_type", "password"), ("username", login.username), ("password", login.password)]
            return self._post(realm, service, scopes, form)
        if found is None:
            raise RegistryError("expected a token, found that its server knows no such way", where=realm)
        return found

    def _get(self, realm: str, service: str, scopes: Sequence[str], login: Login | None) -> _Token | None:
        """None where the server takes forms only."""
        query = [("service", service)] if service else []
        query += [("scope", scope) for scope in scopes]
        if login is not None:
            query += [("account", login.username)]
        parts = urlsplit(realm)
        url = urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *query])))
        headers = {"Authorization": _basic(login)} if login is not None else {}
        with self._http.request("GET", url, headers=headers) as response:
            if response.status in _NO_SUCH_WAY and login is not None:
                return None
            return self._read(response.status, response.read(_LARGEST), realm)

    def _post(self, realm: str, service: str, scopes: Sequence[str], form: list[tuple[str, str]]) -> _Token:
        fields = [*form, ("service", service), ("scope", " ".join(scopes)), ("client_id", _CLIENT)]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        with self._http.request("POST", realm, headers=headers, body=urlencode(fields).encode()) as response:
            return self._read(response.status, response.read(_LARGEST), realm)

    def _read(self, status: int, content: bytes, realm: str) -> _Token:
        if status in (400, 401, 403):
            raise DeniedError(
                f"expected a login that the token server of {self._registry} takes, found that it refuses ours",
                where=realm,
                hint=f"airdock image login {self._registry}",
                status=status,
            )
        try:
            said = json.loads(content)
            text = said.get("token") or said.get("access_token")
            lasts_s = float(said.get("expires_in") or _SHORTEST_S)
        except (ValueError, TypeError, AttributeError, RecursionError):
            text, lasts_s = None, 0.0
        if status != _OK or not isinstance(text, str) or not text or not text.isprintable():
            raise RegistryError(f"expected a token, found an answer without ({status})", where=realm, status=status)
        return _Token(f"Bearer {text}", time.monotonic() + max(lasts_s, _SHORTEST_S) - _SLACK_S)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return text.startswith(("https://", "http://")) and bool(parts.hostname)


def _basic(login: Login) -> str:
    return "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
