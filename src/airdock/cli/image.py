"""`airdock image`: Docker's verbs, flags and columns for images; each verb is imported when it is called."""

from typing import Final

import click

from airdock.cli.lazy import LazyGroup

__all__ = ["image"]

_COMMANDS: Final = {
    "build": ("airdock.cli.image_build:build", "Build an image from a Dockerfile and the files in PATH."),
    "ls": ("airdock.cli.image_look:list_images", "List images, the newest first."),
    "inspect": ("airdock.cli.image_look:inspect", "Print all there is to know of images."),
    "history": ("airdock.cli.image_look:history", "Show how an image came about."),
    "pull": ("airdock.cli.image_registry:pull", "Fetch an image from its registry."),
    "push": ("airdock.cli.image_registry:push", "Send an image to its registry."),
    "login": ("airdock.cli.image_registry:login", "Log in to a registry."),
    "logout": ("airdock.cli.image_registry:logout", "Forget the login of a registry."),
    "save": ("airdock.cli.image_archive:save", "Write images into one archive."),
    "load": ("airdock.cli.image_archive:load", "Take the images of an archive into the store."),
    "import": ("airdock.cli.image_archive:import_image", "Make an image of a root filesystem's tar."),
    "tag": ("airdock.cli.image_change:tag", "Give an image one more name."),
    "rm": ("airdock.cli.image_change:rm", "Remove images: their names, and what no other image needs."),
    "prune": ("airdock.cli.image_change:prune", "Remove images without a name, and layers that no image needs."),
    "make-base": ("airdock.cli.image_base:make_base", "Make a Debian base image from Debian's archive."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def image() -> None:
    """Build, list, tag, inspect, remove, pull and push images.

    Images live in the home folder (see 'airdock config'); no daemon is asked.
    """
