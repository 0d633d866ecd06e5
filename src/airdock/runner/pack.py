"""Packs `inside` into one file that any CPython from 3.7 on runs, and says with which options.

A zip would be opened with `runpy` and `zipimport`, which cost as much again as starting Python; so it is a plain script
that holds the modules as text and compiles the ones that are imported. The name stays `runner.pyz`.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Final

from airdock.files import save_bytes

__all__ = ["SIZE_LIMIT", "make_runner", "pack", "runner_argv"]

SIZE_LIMIT: Final = 100 * 1024
"""Bytes that the packed runner may have."""

_SAYS: Final = re.compile(r'^(?P<indent> *)"""[^"]*(?:"(?!"")[^"]*)*"""$', re.MULTILINE)
"""A docstring, or what is said below a constant."""
_INSIDE: Final = Path(__file__).parent / "inside"
_HEAD: Final = '''\
"""Airdock's runner: calls the code of one try of one task. Made from airdock/runner/inside; see there."""

import sys

if sys.version_info < (3, 7):
    sys.exit("expected Python 3.7 or newer in the image, found " + sys.version.split()[0])

_FILES = "<airdock runner>/"
_SOURCES = {
'''
_TAIL: Final = """\
}


class _Modules(object):
    def find_spec(self, name, path=None, target=None):
        if name in _SOURCES:
            return _Spec(name, self, is_package=name == "airdock_runner")
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        file = _FILES + module.__name__.replace("airdock_runner", "__init__", 1).replace("__init__.", "") + ".py"
        module.__file__ = file
        exec(compile(_SOURCES[module.__name__], file, "exec", dont_inherit=True), module.__dict__)


if __name__ == "__main__":
    _Spec = type(sys.__spec__)
    sys.meta_path.insert(0, _Modules())
    if sys.path[:1] == [__file__.rpartition("/")[0]]:
        del sys.path[0]  # the folder of this file, where there is nothing to import
    from airdock_runner.__main__ import main

    sys.exit(main())
"""


@lru_cache(maxsize=1)
def pack() -> bytes:
    """The runner's text, the same bytes for the same sources."""
    names = sorted(path.stem for path in _INSIDE.glob("*.py"))
    entries = (f"    {_module(name)!r}: {_source(name)!a},\n" for name in names)
    return (_HEAD + "".join(entries) + _TAIL).encode("ascii")


def make_runner(folder: Path) -> Path:
    """The packed runner as a file in `folder`, written where it isn't there yet or is another version's."""
    path = folder / "runner.pyz"
    content = pack()
    if not path.is_file() or path.read_bytes() != content:
        save_bytes(path, content, durable=False)
        path.chmod(0o644)  # whatever the umask: who reads it in a container is somebody else
    return path


def runner_argv(mode: str, python: str, runner: str = "/run/airdock/runner.pyz") -> tuple[str, ...]:
    """The command that starts the runner.

    In sdk mode the payload brings the whole of `sys.path`, and nothing else of the host's environment may add to it. In
    an image of its own, what the image says with PYTHONPATH and user packages counts.
    """
    return (python, "-I", runner) if mode == "sdk" else (python, runner)


def _module(name: str) -> str:
    return "airdock_runner" if name == "__init__" else f"airdock_runner.{name}"


def _source(name: str) -> str:
    """The module without what it says of itself; its lines stay where they are, for tracebacks."""
    text = (_INSIDE / f"{name}.py").read_text(encoding="utf-8")
    return _SAYS.sub(lambda found: f'{found["indent"]}""' + "\n" * found[0].count("\n"), text)
