"""The images that a build takes something from: of the store, of registries, of build contexts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from airdock.builder.base import FindBase
from airdock.builder.contexts import open_context
from airdock.builder.copies import import_folder
from airdock.builder.instructions import Dockerfile
from airdock.builder.interpret import HOST_LABEL
from airdock.builder.named import LAYOUT, folder_image, is_folder, load_layout, replacement
from airdock.builder.performer import Performer
from airdock.builder.plan import Selection
from airdock.builder.platforms import is_same, render_platform, split_platform
from airdock.errors import BuildError, ImageError, UnknownImageError
from airdock.images.image import Image
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import Platform, host_platform

__all__ = ["Bases"]

_TRIES: Final = 10
"""How often a base is looked for that others remove at once."""


@dataclass(frozen=True, kw_only=True)
class Bases:
    """Looks up what FROM, `--from` and `from=` name; `images` is what was found by name.

    The layers of each are leased for `owner`, so that they stay while they're built upon, whoever removes their image.
    """

    file: Dockerfile
    find: FindBase
    performer: Performer
    owner: str
    images: dict[str, Image] = field(default_factory=dict)

    def look_up(self, name: str, line: int) -> Image:
        """The image of a name, the line of the Dockerfile being where it's told missing. Raises `UnknownImageError`."""
        if name not in self.images:
            self.images[name] = self._find_context(name) or self._find(name, line)
        return self.images[name]

    @property
    def configs(self) -> Mapping[str, ImageConfig]:
        return {name: image.config for name, image in self.images.items()}

    def variables(self, base: int | str | None) -> list[str] | None:
        """The names of variables that a base sets; None where nobody knows it."""
        if isinstance(base, str):
            return [entry.partition("=")[0] for entry in self.images[base].config.env] if base in self.images else None
        return [] if base is None else None

    def platforms(self, selection: Selection) -> Iterator[tuple[int, Platform, Platform]]:
        """By stage, the platform that its image was asked for and the one that it has."""
        for index, base in selection.bases.items():
            if isinstance(base, str) and not base.startswith("build context "):
                yield index, selection.platforms[index], self.images[base].platform

    def _find(self, name: str, line: int) -> Image:
        where = f"{self.file.name}:{line}"
        plain, platform = split_platform(name)
        try:
            image = self._lease(plain, platform)
        except UnknownImageError as error:
            raise UnknownImageError(error.message, where=where, hint=error.hint) from error
        if platform is not None and HOST_LABEL in image.labels and not is_same(platform, host_platform()):
            raise UnknownImageError(
                f"expected an image for {render_platform(platform)}, found {plain}, which is this machine itself",
                where=where,
            )
        return image

    def _lease(self, name: str, platform: Platform | None) -> Image:
        """Find an image and lease its layers; one that somebody removes between the two is looked for anew."""
        store = self.performer.store
        for _ in range(_TRIES):
            image = self.find(name, platform=platform)
            store.lease((layer.diff_id for layer in image.layers), self.owner)
            try:
                store.find(image.digest)
            except ImageError:
                continue
            return image
        raise UnknownImageError(f"expected image {name}, found that it was removed as often as it came")

    def _find_context(self, name: str) -> Image | None:
        """The image that a build context makes; None for the name of a plain image."""
        plain, platform = split_platform(name)
        request, folder = self.performer.request, self.performer.folder
        for context, value in request.contexts.items():
            if replacement(context, value) != plain:
                continue
            if value.startswith(LAYOUT):
                return load_layout(self.performer.store, value, folder / "layout.tar")
            if is_folder(value):
                opened = open_context(
                    value, place=folder / f"named-{len(self.images)}", ssh=request.ssh, secrets=request.secrets
                )
                if opened.folder is None:
                    raise BuildError("expected a folder, an archive or a repository, found a text", where=value)
                return folder_image(import_folder(self.performer, opened.folder), platform or host_platform())
        return None
