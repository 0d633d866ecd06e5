"""How a try ended, for the supervisor, and what of it belongs into the log."""

import sys

from .channel import ChannelError
from .values import NotJsonError

__all__ = ["Terminated", "ending_of", "reason_of", "show", "success"]

_FINAL = ("AirflowFailException", "AirflowSensorTimeout", "AirflowTaskTerminated")
_OWN = __file__.rpartition("/")[0]


class Terminated(BaseException):
    """The supervisor told the runner to stop."""


def success(instance):
    """The ending of a try whose code returned: with what it decided to skip, did to assets, and is shown as."""
    ending = {"kind": "succeeded"}
    for name, value in (("skip", instance.skipped), ("events", instance.events), ("label", instance.label)):
        if value:
            ending[name] = value
    return ending


def ending_of(error, instance=None):
    """The ending that an exception means. Airflow's exceptions are known by name: there are several of each about.

    `instance` is the task instance, where it is there already.
    """
    names = [kind.__name__ for kind in type(error).__mro__]
    if "AirflowSkipException" in names:
        return _labelled({"kind": "skipped", "reason": _text(error)}, instance)
    try:
        if "TaskDeferred" in names:
            return _deferred(error)
        if "AirflowRescheduleException" in names:
            return {"kind": "rescheduled", "at": _zoned(error.reschedule_date).isoformat()}
        if "DownstreamTasksSkipped" in names and instance is not None:
            instance.skip(error.tasks)
            return success(instance)
    except Exception as second:  # what the user's code gave along isn't what it has to be
        error, names = second, []
    retryable = not any(name in _FINAL for name in names)
    return _labelled({"kind": "failed", "reason": reason_of(error), "retryable": retryable}, instance)


def _labelled(ending, instance):
    return dict(ending, label=instance.label) if instance is not None and instance.label else ending


def _deferred(error):
    from . import wire

    trigger, kwargs = error.trigger.serialize()
    ending = {"kind": "deferred", "trigger": trigger, "kwargs": wire.pack(kwargs, "kwargs of the trigger")}
    ending["method"] = error.method_name
    ending["method_kwargs"] = wire.pack(error.kwargs or {}, "kwargs of the method")
    timeout = getattr(error, "timeout", None)
    if timeout is not None:
        ending["timeout_s"] = float(timeout.total_seconds() if hasattr(timeout, "total_seconds") else timeout)
    return ending


def _zoned(moment):
    """The moment with its zone; without one it is UTC."""
    if moment.tzinfo is not None:
        return moment
    from datetime import timezone

    return moment.replace(tzinfo=timezone.utc)


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
