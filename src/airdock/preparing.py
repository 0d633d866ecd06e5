"""Makes environments beside the scheduler, which never waits for them."""

import errno
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from airdock.environments.base import Environments
from airdock.environments.base import Prepared as Made
from airdock.errors import AirdockError, LauncherDiedError
from airdock.model.environment import Environment
from airdock.scheduler.prepare import Prepared, PrepareFailed, Reply

__all__ = ["Preparing"]

_TIMES: Final = 3
"""How often an environment is begun whose launcher dies."""
_PAUSE_S: Final = 1.0

_log = logging.getLogger(__name__)


class Preparing:
    """Asks for environments without waiting for them: `scheduler.prepare.Prepare` over threads."""

    def __init__(self, environments: Environments, *, side_by_side: int = 8) -> None:
        self._environments = environments
        self._stopping = threading.Event()
        self._threads = ThreadPoolExecutor(side_by_side, thread_name_prefix="airdock-prepare")

    def request(self, environment: Environment, *, where: str, answer: Callable[[Reply], None]) -> None:
        self._threads.submit(self._prepare, environment, where, answer)

    def stop(self) -> None:
        """Begin nothing more; what is being built is finished."""
        self._stopping.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        self._threads.shutdown(wait=True)

    def _make(self, environment: Environment, where: str) -> Made:
        """Again where the launcher dies meanwhile, or the disk is full: that says nothing of the environment."""
        deaths = 0
        while True:
            try:
                return self._environments.prepare(environment, where=where)
            except LauncherDiedError:
                deaths += 1
                if deaths == _TIMES:
                    raise
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                _log.warning("an environment has to wait: %s", error)
                if self._stopping.wait(_PAUSE_S):
                    raise

    def _prepare(self, environment: Environment, where: str, answer: Callable[[Reply], None]) -> None:
        try:
            made = self._make(environment, where)
            answer(Prepared(environment=environment, digest=made.digest, reused=made.reused))
        except AirdockError as error:
            answer(PrepareFailed(environment=environment, error=error.to_dict()))
        except Exception as error:  # the scheduler waits for an answer, whatever went wrong
            _log.exception("an environment could not be made")
            failed = AirdockError(f"{type(error).__name__}: {error}", where=where)
            answer(PrepareFailed(environment=environment, error=failed.to_dict()))
