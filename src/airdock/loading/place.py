"""What a DAG file's code sees of where the file lies."""

from pathlib import Path

from airdock.errors import DagFileError
from airdock.model.mount import Mount

__all__ = ["make_place"]


def make_place(path: Path, *, home: Path, own: Path, empty: Path) -> tuple[Mount, ...]:
    """What a DAG file's code sees of where it lies, read-only: its folder, or a folder that is given itself.

    Where that holds the account's `home`, only the file; and of Airdock's `own` home never anything but `empty`.
    Raises DagFileError for a folder that holds the home.
    """
    folder = path if path.is_dir() else path.parent
    if home.resolve().is_relative_to(folder.resolve()):
        if path.is_dir():
            raise DagFileError(
                f"expected a folder of DAG files, found one that holds the home {home}",
                where=str(path),
                hint="name the file; of the home, tasks see nothing else",
            )
        return (Mount(source=str(path), target=str(path)),)
    seen = Mount(source=str(folder), target=str(folder))
    if own.resolve().is_relative_to(folder.resolve()):
        inside = folder / own.resolve().relative_to(folder.resolve())
        return seen, Mount(source=str(empty), target=str(_shown(inside, folder)))
    return (seen,)


def _shown(path: Path, folder: Path) -> Path:
    """The part of `path` that is there also where `folder` is bound without what is mounted below it."""
    below = [path, *path.parents]
    between = reversed(below[: below.index(folder)])
    return next((part for part in between if part.is_mount()), path)
