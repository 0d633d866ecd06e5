"""Signals: the time limit of the user's code, and being told to stop."""

import _signal  # what `signal` wraps; wrapping it imports enum

from .endings import Terminated

__all__ = ["on_termination", "time_limit"]


class time_limit(object):  # noqa: N801  reads as a statement: `with time_limit(5, …)`
    """Raises `make_error()` in the block once it has run for `seconds`; None is no limit."""

    def __init__(self, seconds, make_error):
        self._seconds = seconds
        self._make_error = make_error

    def __enter__(self):
        if self._seconds:
            _signal.signal(_signal.SIGALRM, self._over)
            _signal.setitimer(_signal.ITIMER_REAL, self._seconds)

    def __exit__(self, kind, error, traceback):
        if self._seconds:
            _signal.setitimer(_signal.ITIMER_REAL, 0)

    def _over(self, number, frame):
        raise self._make_error()


def on_termination(clean_up):
    """On SIGTERM call `clean_up` and raise Terminated in the main thread; a second SIGTERM does nothing more."""

    def stop(number, frame):
        _signal.signal(_signal.SIGTERM, _signal.SIG_IGN)
        try:
            clean_up()
        finally:
            raise Terminated()

    _signal.signal(_signal.SIGTERM, stop)
