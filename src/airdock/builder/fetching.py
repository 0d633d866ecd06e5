"""ADD of addresses: what is fetched for one step, and with whose rights."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airdock.builder.access import git_header, http_header
from airdock.builder.remotes import remote_host
from airdock.builder.steps import RemoteSource
from airdock.images.trees import remove_tree
from airdock.record import record

if TYPE_CHECKING:
    from airdock.builder.git import Git

__all__ = ["Fetcher"]


@record
class Fetcher:
    """Fetches into `folder`. `time_s` is the time of a file whose server says nothing about it."""

    folder: Path
    secrets: Mapping[str, bytes]
    ssh: Mapping[str, str]
    time_s: int

    @contextmanager
    def fetch(self, sources: tuple[RemoteSource, ...]) -> Iterator[list[dict[str, Any]]]:
        """What the sources came to, as `copying.copy_files` takes it; gone afterwards. Raises `BuildError`."""
        places = []
        try:
            found = []
            for source in sources:
                places.append(self.folder / f"fetched-{os.urandom(8).hex()}")
                found.append(self._fetch(source, places[-1]))
            yield found
        finally:
            for place in places:
                remove_tree(place)

    def identify(self, sources: tuple[RemoteSource, ...]) -> list[str] | None:
        """What names the sources' content without fetching it: commits and checksums; None where one has nothing."""
        if not sources:
            return None
        from airdock.builder.git import find_commit  # most builds fetch nothing

        found = [
            find_commit(source, self.folder, git=self._git(source)) if source.kind == "git" else source.checksum
            for source in sources
        ]
        return found if all(found) else None

    def _git(self, source: RemoteSource) -> "Git":
        from airdock.builder.git import Git

        return Git(header=git_header(self.secrets, remote_host(source.url)), agent=self.ssh.get("default", ""))

    def _fetch(self, source: RemoteSource, place: Path) -> dict[str, Any]:
        if source.kind == "git":
            from airdock.builder.git import fetch_git

            return {"folder": str(fetch_git(source, place, git=self._git(source)))}
        from airdock.builder.download import download  # HTTP and TLS take longer to import than a cached build takes

        header = http_header(self.secrets, remote_host(source.url))
        headers = {"Authorization": header} if header else {}
        found = download(source.url, place, headers=headers, checksum=source.checksum)
        mtime_s = self.time_s if found.mtime_s is None else found.mtime_s
        return {"file": str(place), "name": source.name, "mtime_s": mtime_s}
