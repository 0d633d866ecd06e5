"""Functions that run where the account has all its ids: in a child of the launcher, inside its namespaces."""

import importlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from airdock.errors import ContainerError
from airdock.runtime.shed import close_others
from airdock.runtime.wire import dump_error, pack

__all__ = ["answer_call", "find_function"]


def find_function(name: str) -> Callable[..., Any]:
    """The function "package.module:function". The launcher imports it before it forks, so the next call is quick."""
    module, colon, attribute = name.partition(":")
    if not colon or not module.startswith("airdock."):
        raise ContainerError(f"expected a function as 'airdock.module:name', found {name!r}")
    found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return found


def answer_call(
    function: Callable[..., Any], arguments: Mapping[str, Any], session: socket.socket, descriptors: Sequence[int] = ()
) -> NoReturn:
    """In a fork of the launcher: call, send what came of it, end."""
    try:
        close_others([session.fileno(), *descriptors])
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        session.setblocking(True)
        try:
            given = {"descriptors": list(descriptors)} if descriptors else {}
            answer = pack({"value": function(**arguments, **given)})
        except BaseException as error:
            answer = pack({"error": dump_error(error)})
        session.sendall(answer)
        os._exit(0)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(1)
