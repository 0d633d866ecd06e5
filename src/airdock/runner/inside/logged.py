"""What a task logs is in its log, from INFO on, unless its code says otherwise.

Importing `logging` costs milliseconds that most tasks don't need, so it is set up when somebody imports it.
"""

import sys

__all__ = ["listen"]

_FORMAT = "{%(filename)s:%(lineno)d} %(levelname)s - %(message)s"


def listen():
    """Set `logging` up now, where it was imported, or as soon as it is."""
    logging = sys.modules.get("logging")
    if logging is None:
        sys.meta_path.insert(0, _Finder())
    else:
        _set_up(logging)


def _set_up(logging):
    root = logging.getLogger()
    if root.handlers:
        return
    handler = logging._StderrHandler(logging.NOTSET)  # what is stderr when a line is written, not now
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    root.setLevel(logging.INFO)


class _Finder(object):
    """Finds `logging` as the finders after it do, once."""

    def find_spec(self, name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                spec.loader = _Loader(spec.loader)
                return spec
        return None


class _Loader(object):
    """The loader that it was given, and then what is to be set up."""

    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        module.__loader__ = module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _set_up(module)
