"""One piece of work beside the caller's own."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Background"]

Result = TypeVar("Result")


class Background(Generic[Result]):
    """Runs a function in a thread from now on; `result` waits, and gives or raises what the function did."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._results: list[Result] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="background")
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether it has ended, whatever the end was."""
        return not self._thread.is_alive()

    def join(self) -> None:
        """Wait for the end, whatever it is."""
        self._thread.join()

    def result(self) -> Result:
        self.join()
        if self._error is not None:
            raise self._error
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._work())
        except BaseException as error:
            self._error = error
