"""How a try ended, for the supervisor, and what of it belongs into the log."""

import sys

from .channel import ChannelError
from .values import NotJsonError

__all__ = ["Terminated", "ending_of", "reason_of", "show"]

_FINAL = ("AirflowFailException", "AirflowSensorTimeout", "AirflowTaskTerminated")
_OWN = __file__.rpartition("/")[0]


class Terminated(BaseException):
    """The supervisor told the runner to stop."""


def ending_of(error):
    """The ending that an exception means. Airflow's exceptions are known by name: there are several of each about."""
    names = [kind.__name__ for kind in type(error).__mro__]
    if "AirflowSkipException" in names:
        return {"kind": "skipped", "reason": _text(error)}
    retryable = not any(name in _FINAL for name in names)
    return {"kind": "failed", "reason": reason_of(error), "retryable": retryable}


def reason_of(error):
    """One line: the class of the exception and the first line of what it says."""
    if isinstance(error, Terminated):
        return "stopped by SIGTERM"
    if isinstance(error, (NotJsonError, ChannelError)):
        return str(error)
    if isinstance(error, SystemExit):
        return "SystemExit: %s (a task ends by returning, not by exiting)" % (error.code,)
    text = _text(error).strip().split("\n")[0]
    if isinstance(error, SyntaxError) and error.lineno:
        text = "%s (%s, line %d)" % (error.msg, str(error.filename).rpartition("/")[2], error.lineno)
    name = type(error).__qualname__
    return "%s: %s" % (name, text) if text else name


def _text(error):
    """What an exception says, also where saying it goes wrong."""
    try:
        return str(error)
    except Exception as second:
        return "(and %s while it was being said)" % type(second).__qualname__


def show(error, hidden=()):
    """Print the traceback without the frames of the runner and of files below `hidden`, as far as these come first."""
    if isinstance(error, (NotJsonError, ChannelError, Terminated)):
        sys.stderr.write(reason_of(error) + "\n")
        return
    import traceback

    hidden = (_OWN, *hidden)
    place = error.__traceback__
    while place is not None and place.tb_frame.f_code.co_filename.startswith(hidden):
        place = place.tb_next
    kept = place if place is not None or isinstance(error, SyntaxError) else error.__traceback__
    traceback.print_exception(type(error), error, kept)
