"""The registry client: whoever needs an image from elsewhere, or elsewhere an image, asks here."""

from collections.abc import Callable, Iterator, Sequence

from airdock.errors import DeniedError, ImageError, RegistryError
from airdock.oci.descriptor import Platform
from airdock.oci.digest import Digest
from airdock.oci.reference import Reference
from airdock.remote.auth import Authorizer
from airdock.remote.base import Credentials, Login, RemoteSettings, Shelf, Tell, Transfer, ignore_transfer
from airdock.remote.challenge import parse_challenges
from airdock.remote.endpoints import Endpoint, endpoints_of
from airdock.remote.http import Http, is_loopback
from airdock.remote.pull import Pulled, pull_image
from airdock.remote.push import push_manifest
from airdock.remote.repository import Document, Repository

__all__ = ["Remote"]


class Remote:
    """Registries, as one account sees them. `close` when done."""

    def __init__(self, *, settings: RemoteSettings, credentials: Credentials) -> None:
        self.settings = settings
        self._credentials = credentials
        self._http = Http(settings)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._http.close()

    def pull(
        self, reference: Reference, shelf: Shelf, *, platform: Platform | None = None, tell: Tell = ignore_transfer
    ) -> Pulled:
        """Fetch an image by tag or digest; a mirror that fails is passed over.

        Raises NotInRegistryError, DeniedError, UnreachableError, RegistryError, DigestError, ImageError.
        """
        full = reference.with_default_tag()
        wanted = str(full.digest or full.tag)
        for repository, is_last in self._repositories(full, tell):
            try:
                return pull_image(
                    repository,
                    wanted,
                    shelf,
                    platform=platform,
                    expected=full.digest,
                    at_once=self.settings.at_once,
                    tell=tell,
                )
            except ImageError as error:
                if is_last:
                    raise
                tell(Transfer(state="note", text=f"the mirror doesn't do: {error.message}"))
        raise AssertionError("there is always the registry itself")

    def push(
        self,
        reference: Reference,
        documents: Sequence[Document],
        shelf: Shelf,
        *,
        sources: Callable[[Digest], Sequence[str]] = lambda digest: (),
        index: Document | None = None,
        tell: Tell = ignore_transfer,
    ) -> Digest:
        """Send manifests with their blobs under a tag; with `index` that gets the tag, and they only their digests.

        Gives the digest of what has the tag. Raises DeniedError, UnreachableError, RegistryError.
        """
        tag = str(reference.with_default_tag().tag)
        repository = self.repository(reference, tell=tell)
        for document in documents:
            name = str(document.digest) if index is not None else tag
            digest = push_manifest(
                repository, name, document, shelf, sources=sources, at_once=self.settings.at_once, tell=tell
            )
        return repository.put_manifest(tag, index.content, index.media_type) if index is not None else digest

    def tags(self, reference: Reference, *, tell: Tell = ignore_transfer) -> Sequence[str]:
        """All tags of a repository."""
        return self.repository(reference, tell=tell).tags()

    def digest(self, reference: Reference, *, tell: Tell = ignore_transfer) -> Digest | None:
        """What a name stands for now; None where the registry doesn't have it."""
        full = reference.with_default_tag()
        return self.repository(full, tell=tell).manifest_digest(str(full.digest or full.tag))

    def repository(self, reference: Reference, *, tell: Tell = ignore_transfer) -> Repository:
        """The repository itself, no mirror, to read and to write."""
        (endpoint,) = endpoints_of(reference.registry, self.settings, mirrors=False)
        return self._repository(reference, endpoint, tell)

    def login(self, registry: str, login: Login) -> None:
        """Try a login. Raises DeniedError where the registry doesn't take it."""
        (endpoint,) = endpoints_of(registry, self.settings, mirrors=False)
        failure: RegistryError | None = None
        for scheme in endpoint.schemes:
            try:
                self._try_login(
                    registry, f"{scheme}://{endpoint.address}/v2/", login, is_private=self._is_private(endpoint)
                )
            except DeniedError:
                raise
            except RegistryError as error:
                failure = failure or error
                continue
            return
        assert failure is not None
        raise failure

    def _try_login(self, registry: str, url: str, login: Login, *, is_private: bool) -> None:
        authorizer = Authorizer(registry=registry, http=self._http, credentials=_One(login), is_private=is_private)
        said = None
        for _ in range(2):
            with self._http.request("GET", url, headers={"Authorization": said} if said else {}) as response:
                if response.status != 401:
                    break
                said = authorizer.challenged(parse_challenges(response.all_headers("WWW-Authenticate")), (), said)
            if said is None:
                break
        if response.status in (401, 403):
            raise DeniedError(
                f"expected a login that {registry} takes, found that it refuses this one",
                where=url,
                hint="check user name and password; some registries want a token instead",
                status=response.status,
            )
        if response.status != 200:
            raise RegistryError(f"expected a registry, found {response.status} at /v2/", where=url)

    def _repositories(self, reference: Reference, tell: Tell) -> Iterator[tuple[Repository, bool]]:
        endpoints = endpoints_of(reference.registry, self.settings)
        for endpoint in endpoints:
            yield self._repository(reference, endpoint, tell), endpoint is endpoints[-1]

    def _repository(self, reference: Reference, endpoint: Endpoint, tell: Tell) -> Repository:
        authorizer = Authorizer(
            registry=endpoint.login,
            http=self._http,
            credentials=self._credentials,
            is_private=self._is_private(endpoint),
        )
        return Repository(
            registry=reference.registry,
            name=reference.repository,
            endpoint=endpoint,
            http=self._http,
            authorizer=authorizer,
            settings=self.settings,
            tell=tell,
        )

    def _is_private(self, endpoint: Endpoint) -> bool:
        """Whether a password may go to a token server by plain HTTP: nobody listens in, or somebody said so."""
        return is_loopback(endpoint.host) or endpoint.address in self.settings.insecure


class _One:
    """One login, whatever the registry."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def find(self, registry: str) -> Login | None:
        return self._login
