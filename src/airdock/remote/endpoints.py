"""Where a registry is: its mirrors first, then itself, each by the schemes that it may speak."""

from collections.abc import Sequence
from typing import Final

from airdock.errors import RegistryError
from airdock.oci.reference import DEFAULT_REGISTRY
from airdock.record import record
from airdock.remote.base import RemoteSettings
from airdock.remote.http import is_loopback

__all__ = ["Endpoint", "endpoints_of"]

_HUB: Final = "registry-1.docker.io"
"""Where the registry `docker.io` really is."""


@record
class Endpoint:
    """One place to ask. `address` is `HOST[:PORT]`, `schemes` what it may speak, in the order in which to try;
    `login` is the registry whose login counts there. `prefix` goes before each repository's name.
    """

    address: str
    schemes: Sequence[str]
    login: str
    prefix: str = ""
    is_mirror: bool = False

    @property
    def host(self) -> str:
        """The address without its port."""
        return _host(self.address)


def endpoints_of(registry: str, settings: RemoteSettings, *, mirrors: bool = True) -> Sequence[Endpoint]:
    """Where to ask for what `registry` has; mirrors only have what is read."""
    found = []
    for mirror in settings.mirrors.get(registry, ()) if mirrors else ():
        scheme, _, rest = mirror.rpartition("://")
        if scheme not in ("", "http", "https"):
            raise RegistryError(
                f"expected a mirror as [http[s]://]HOST[:PORT][/PREFIX], found {mirror!r}", where="registries.mirrors"
            )
        address, _, prefix = rest.rstrip("/").partition("/")
        schemes = (scheme,) if scheme else _schemes(address, settings)
        found.append(Endpoint(address=address, schemes=schemes, login=address, prefix=prefix, is_mirror=True))
    address = _HUB if registry == DEFAULT_REGISTRY else registry
    return [*found, Endpoint(address=address, schemes=_schemes(address, settings), login=registry)]


def _schemes(address: str, settings: RemoteSettings) -> Sequence[str]:
    if is_loopback(_host(address)):
        return ("http", "https")
    return ("https", "http") if address in settings.insecure else ("https",)


def _host(address: str) -> str:
    if address.startswith("["):
        return address.partition("]")[0] + "]"
    return address.partition(":")[0]
