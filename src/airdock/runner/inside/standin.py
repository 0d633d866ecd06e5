"""The names of `airdock.sdk` and `airflow.sdk` for a function that runs away from its file.

A real Airflow in the image is left alone: for its names this finder is asked last. For Airdock's it is asked first: an
image made from the host image has Airdock on its path, which knows nothing of the task that runs.
"""

import sys

from . import context

__all__ = ["LATER", "NAMES", "AirflowTaskTimeout", "install"]


class AirflowException(Exception):  # noqa: N818  Airflow's name
    """A task can't go on."""


class AirflowSkipException(AirflowException):
    """The task wants to be skipped."""


class AirflowFailException(AirflowException):
    """The task wants to fail without another try."""


class AirflowSensorTimeout(AirflowException):
    """A sensor waited longer than its timeout."""


class AirflowTaskTimeout(BaseException):
    """The task ran longer than its execution_timeout."""


class AirflowTaskTerminated(BaseException):
    """The task was told to stop."""


def get_current_context():
    """The context of the task that is running."""
    if not context.current:
        raise RuntimeError("get_current_context() was called outside of a running task, which is where there is one")
    return context.current[-1]


NAMES = {
    "AirflowException": AirflowException,
    "AirflowFailException": AirflowFailException,
    "AirflowSensorTimeout": AirflowSensorTimeout,
    "AirflowSkipException": AirflowSkipException,
    "AirflowTaskTerminated": AirflowTaskTerminated,
    "AirflowTaskTimeout": AirflowTaskTimeout,
    "Context": dict,
    "get_current_context": get_current_context,
}

LATER = {
    "Asset": "standin_assets",
    "AssetAlias": "standin_assets",
    "BaseHook": "standin_asking",
    "Connection": "standin_asking",
    "Dataset": "standin_assets",
    "Metadata": "standin_assets",
    "Variable": "standin_asking",
}
"""Those that few functions name, and where they are."""

_AIRDOCK = ("airdock", "airdock.sdk")
_AIRFLOW = (
    "airflow",
    "airflow.datasets",
    "airflow.exceptions",
    "airflow.hooks",
    "airflow.hooks.base",
    "airflow.models",
    "airflow.models.connection",
    "airflow.models.variable",
    "airflow.operators",
    "airflow.operators.python",
    "airflow.providers",
    "airflow.providers.common",
    "airflow.providers.common.compat",
    "airflow.providers.common.compat.sdk",
    "airflow.providers.standard",
    "airflow.providers.standard.operators",
    "airflow.providers.standard.operators.python",
    "airflow.sdk",
    "airflow.sdk.bases",
    "airflow.sdk.bases.hook",
    "airflow.sdk.exceptions",
    "airflow.utils",
    "airflow.utils.context",
)


class _Module(type(sys)):
    def __getattr__(self, name):
        if name in NAMES:
            return NAMES[name]
        if name in LATER:
            from importlib import import_module

            return getattr(import_module("." + LATER[name], __package__), name)
        if name.startswith("__"):
            raise AttributeError(name)
        raise ImportError(
            "%s.%s isn't there in an image without Airdock; there are %s"
            % (self.__name__, name, ", ".join([*NAMES, *LATER]))
        )


class _Finder(object):
    def __init__(self, modules):
        self._modules = modules

    def find_spec(self, name, path=None, target=None):
        if name not in self._modules:
            return None
        return type(sys.__spec__)(name, self, is_package=True)

    def create_module(self, spec):
        return _Module(spec.name)

    def exec_module(self, module):
        pass


def install():
    """Let `import airdock.sdk` find these names, and `import airflow…` where nothing else has them."""
    sys.meta_path.insert(0, _Finder(_AIRDOCK))
    sys.meta_path.append(_Finder(_AIRFLOW))
