"""What the sources of a COPY mean: patterns become paths of a tree, folders become all that is in them."""

import itertools
import posixpath
from collections.abc import Iterator

from airdock.builder.globs import compile_glob, has_wildcards
from airdock.builder.ignore import IgnoreRules
from airdock.builder.trees import ContextTree, Item, Tree, resolve
from airdock.errors import BuildError

__all__ = ["find_sources", "split_pivot", "walk", "walk_matches"]


def find_sources(tree: Tree, source: str) -> list[str]:
    """The paths that a source names: one, or those that its wildcards match, sorted; these may be none.

    `..` stops at the top. Raises `BuildError` where a source without wildcards isn't there.
    """
    path = posixpath.normpath(f"/{source}").lstrip("/")
    if has_wildcards(source):
        return _match(tree, path)
    if tree.look(resolve(tree, path)) is None:
        raise _missing(tree, source, path)
    return [path]


def _match(tree: Tree, pattern: str) -> list[str]:
    found = [""]
    for part in pattern.split("/"):
        prefixes = [(f"{path}/" if path else "", resolve(tree, path)) for path in found]
        if not has_wildcards(part):
            found = [prefix + part for prefix, _ in prefixes]
            continue
        matches = compile_glob(part, deep=False)
        found = [
            prefix + name for prefix, folder in prefixes if _is_folder(tree, folder) for name in tree.names(folder)
            if matches(name)
        ]  # fmt: skip
    return [path for path in sorted(found) if tree.look(resolve(tree, path)) is not None]


def _is_folder(tree: Tree, path: str) -> bool:
    item = tree.look(path)
    return item is not None and item.kind == "folder"


def _missing(tree: Tree, source: str, path: str) -> BuildError:
    if not isinstance(tree, ContextTree):
        return BuildError(f"expected {source!r} in the stage or image that --from names, found nothing")
    message = f"expected {source!r} in the build context {tree.top}, found nothing"
    if tree.look_unfiltered(path) is not None:
        return BuildError(message, hint=f"it is there, but {tree.rules.where} leaves it out")
    folder, _, name = path.rpartition("/")
    names = tree.names(folder) if _is_folder(tree, folder) else []
    import difflib  # only for a mistake; costs every build a millisecond

    close = difflib.get_close_matches(name, names[:10_000], n=1)
    return BuildError(message, hint=f"did you mean {posixpath.join(folder, close[0])}?" if close else "")


def walk(tree: Tree, top: str, excludes: IgnoreRules) -> Iterator[tuple[str, Item]]:
    """All below the folder `top`, paths relative to it, folders before what is in them, names sorted.

    A folder that the ignore rules leave out comes only where something in it is kept.
    """
    prefix = f"{top}/" if top else ""
    waiting = tree.names(top)[::-1]
    told: set[str] = set()
    while waiting:
        path = waiting.pop()
        item = tree.look(prefix + path)
        if item is None or (len(excludes) and excludes.ignores(path)):
            continue
        if item.kind == "folder":
            waiting += [f"{path}/{name}" for name in reversed(tree.names(prefix + path))]
            if item.ignored:
                continue
            told.add(path)
        for above in _folders_above(path):
            folder = tree.look(prefix + above) if above not in told else None
            if folder is not None:
                told.add(above)
                yield above, folder
        yield path, item


def split_pivot(tree: Tree, source: str) -> tuple[str, str]:
    """Where a source of `COPY --parents` begins to count (`/./` marks it, else the top), links followed, and the rest.

    Raises `BuildError` where that is no folder.
    """
    before, pivot, rest = source.partition("/./")
    if not pivot:
        before, rest = "", source
    base = resolve(tree, posixpath.normpath(f"/{before}").lstrip("/"))
    if not _is_folder(tree, base):
        raise _missing(tree, before, base)
    return base, posixpath.normpath(f"/{rest}").lstrip("/")


def walk_matches(tree: Tree, top: str, pattern: str, excludes: IgnoreRules) -> Iterator[tuple[str, Item]]:
    """What a pattern (with `**`) matches below the folder `top`, all in its folders, and the folders that lead there.

    No links are followed. Raises `BuildError` where a pattern without wildcards matches nothing.
    """
    parts = pattern.split("/") if pattern else []
    literal = next((count for count, part in enumerate(parts) if has_wildcards(part)), len(parts))
    start = "/".join(parts[:literal])
    full = "/".join(part for part in (top, start) if part)
    # Looked at only where no link is on the way: a link could lead anywhere on the machine.
    first = tree.look(full) if resolve(tree, full, follow_last=False) == full else None
    if first is None:
        if literal == len(parts):
            raise _missing(tree, pattern, full)
        return
    told: set[str] = set()
    matches = compile_glob(pattern, deep=True) if literal < len(parts) else None
    below = walk(tree, full, IgnoreRules(())) if first.kind == "folder" else iter(())
    found = ((f"{start}/{path}" if start else path, item) for path, item in below)
    for path, item in itertools.chain([(start, first)] if start and matches is None else [], found):
        above = list(_folders_above(path))
        if len(excludes) and excludes.ignores(path):
            continue
        if matches is not None and not any(map(matches, (path, *above))):
            continue
        for name in (name for name in above if name not in told):
            told.add(name)
            folder = tree.look("/".join(part for part in (top, name) if part))
            if folder is not None:
                yield name, folder
        if path not in told:
            told.add(path)
            yield path, item


def _folders_above(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
