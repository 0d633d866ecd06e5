"""What gives access to servers that builds fetch from: secrets, by the names that BuildKit knows.

HTTP_AUTH_TOKEN_<host>   a bearer token            GIT_AUTH_TOKEN[.host]   a token of a code host
HTTP_AUTH_HEADER_<host>  a whole Authorization     GIT_AUTH_HEADER[.host]  a whole Authorization
"""

import base64
from collections.abc import Mapping

from airdock.errors import BuildError

__all__ = ["git_header", "git_hint", "http_header", "http_hint"]


def http_header(secrets: Mapping[str, bytes], host: str) -> str:
    """The value of Authorization for a web server, "" for none. Raises `BuildError` for a secret of several lines."""
    if token := _line(secrets, f"HTTP_AUTH_TOKEN_{host}"):
        return f"Bearer {token}"
    return _line(secrets, f"HTTP_AUTH_HEADER_{host}")


def git_header(secrets: Mapping[str, bytes], host: str) -> str:
    """The same for a git server; a secret with the host in its name goes before one for all."""
    if token := _line(secrets, f"GIT_AUTH_TOKEN.{host}") or _line(secrets, "GIT_AUTH_TOKEN"):
        return "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()
    return _line(secrets, f"GIT_AUTH_HEADER.{host}") or _line(secrets, "GIT_AUTH_HEADER")


def http_hint(host: str) -> str:
    """What to do where a web server refuses."""
    return f"give a token: --secret id=HTTP_AUTH_TOKEN_{host},env=VARIABLE"


def git_hint() -> str:
    """What to do where a git server refuses."""
    return "give a token: --secret id=GIT_AUTH_TOKEN,env=VARIABLE; or an agent for a repository by ssh: --ssh default"


def _line(secrets: Mapping[str, bytes], name: str) -> str:
    text = secrets.get(name, b"").decode(errors="replace").strip()
    if "\n" in text or "\r" in text:
        raise BuildError(f"expected the secret {name} to be one line, found several")
    return text
