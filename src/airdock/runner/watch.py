"""Watches one running try from the supervisor's loop: its output, its channel, its time, its end."""

import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

from airdock.errors import AirdockError, RunnerError
from airdock.model.outcome import Failed, Lost
from airdock.record import record
from airdock.runner.attempt import Attempt, Pipe
from airdock.runner.base import Starter
from airdock.runner.loop import READ, WRITE, Loop, Timer

__all__ = ["Watch", "Watching"]

_HELLO_S: Final = 120.0
"""How long a runner may take until it says hello: interpreters start in a blink, but not from a slow disk."""
_LINGER_S: Final = 60.0
"""How long a process may stay after it reported its result."""
_OWN_TIMEOUT_S: Final = 2.0
"""How much later than the runner the supervisor ends what runs too long: the runner can let the task say goodbye."""
_LEASE_SHARE: Final = 0.8
"""The part of a lease after which a try is killed that didn't get it renewed: dying takes its time too."""

Reply = Callable[[Mapping[str, Any]], None]


@record
class Watching:
    """What all watches of a supervisor share.

    `ask` answers a request from another thread; `renew`, where there are leases, comes back once the try's lease was
    renewed and raises AirdockError where it wasn't; `run` runs something in another thread. `ended` is told once.
    """

    loop: Loop
    starter: Starter
    grace_s: float
    ask: Callable[[Attempt, Mapping[str, Any], Reply], None]
    renew: Callable[[Attempt], None] | None
    run: Callable[[Callable[[], None]], None]
    ended: Callable[[Attempt], None]


class Watch:
    """Lives in the loop: every method is called from its thread."""

    def __init__(self, attempt: Attempt, watching: Watching) -> None:
        assert attempt.running is not None
        self._attempt = attempt
        self._running = attempt.running
        self._with = watching
        self._loop = watching.loop
        self._timers: dict[str, Timer] = {}
        self._is_over = False

    def begin(self) -> None:
        """Watch everything the try has."""
        attempt = self._attempt
        for descriptor, pipe in attempt.pipes.items():
            self._loop.watch(descriptor, READ, lambda pipe=pipe: self._read(pipe))  # type: ignore[misc]
        if attempt.listener is not None:
            self._loop.watch(attempt.listener.fileno(), READ, self._accept)
            self._arm("hello", _HELLO_S, lambda: self.end(Failed(reason="the runner never reported")))
        else:
            self._arm_deadline()
        self._loop.watch(self._running.fileno(), READ, self._ended)
        if self._with.renew is not None:
            self._keep_lease()
        if attempt.seen.stop is not None:
            self._terminate()

    def end(self, ending: Failed | Lost) -> None:
        """End the try with this ending, unless it has reported or ended by itself: SIGTERM, grace, SIGKILL."""
        seen = self._attempt.seen
        if seen.stop is not None or (self._is_over and seen.prepared is None):
            return
        if seen.result is None:
            seen.stop = ending
        if not self._is_over:
            self._terminate()

    def _terminate(self) -> None:
        self._running.signal(signal.SIGTERM)
        self._arm("kill", self._with.grace_s, lambda: self._running.signal(signal.SIGKILL))

    def _read(self, pipe: Pipe) -> None:
        if not pipe.read():
            self._loop.unwatch(pipe.descriptor)

    def _accept(self) -> None:
        listener = self._attempt.listener
        assert listener is not None
        self._loop.unwatch(listener.fileno())
        channel = self._attempt.accept()
        if channel is None:  # gone again before it was taken
            self._loop.watch(listener.fileno(), READ, self._accept)
        else:
            self._loop.watch(channel.fileno(), READ, self._talk)

    def _talk(self) -> None:
        channel = self._attempt.channel
        if channel is None or self._is_over:
            return
        try:
            channel.flush()
            for message in channel.receive():
                self._hear(message)
        except RunnerError as error:
            self._attempt.seen.broken = error.message
            self._loop.unwatch(channel.fileno())
            self._running.signal(signal.SIGKILL)
            return
        if channel.is_open:
            self._loop.watch(channel.fileno(), READ | WRITE if channel.has_unsent else READ, self._talk)
        else:
            self._loop.unwatch(channel.fileno())

    def _hear(self, message: Mapping[str, Any]) -> None:
        attempt = self._attempt
        match message["type"]:
            case "hello":
                self._disarm("hello")
                attempt.greet(message, self._with.starter.paths(attempt.workload))
            case "request":
                self._with.ask(attempt, message, self._reply)
            case "user_code":
                attempt.mark(user_code=attempt.clock.now())
                self._arm_deadline()
            case "user_ended":
                attempt.mark(user_ended=attempt.clock.now())
                self._disarm("deadline")
            case "result":
                self._disarm("deadline")
                attempt.take_result(message)
                self._arm("linger", _LINGER_S, self._terminate)
            case other:
                raise RunnerError(f"expected hello, request, user_code, user_ended or result, found {other!r}")

    def _reply(self, response: Mapping[str, Any]) -> None:
        """Send a response; the one method that is called from other threads."""

        def send() -> None:
            channel = self._attempt.channel
            if channel is not None and channel.is_open and not self._is_over:
                channel.send(response)
                self._talk()

        self._loop.post(send)

    def _arm_deadline(self) -> None:
        deadline_s = self._attempt.workload.deadline_s
        if deadline_s is not None:
            slack_s = _OWN_TIMEOUT_S if self._attempt.workload.payload.get("execution_timeout_s") else 0.0
            reason = f"ran longer than its execution_timeout of {deadline_s:g} s"
            self._arm("deadline", deadline_s + slack_s, lambda: self.end(Failed(reason=reason)))

    def _keep_lease(self) -> None:
        """Count the lease from before it was asked for, so that it never ends later here than at its giver."""
        lease_s = self._attempt.workload.lease_s

        def lost() -> None:
            self.end(Lost(reason=f"its lease of {lease_s:g} s could not be renewed"))
            self._running.signal(signal.SIGKILL)

        def renew() -> None:
            asked = self._loop.time()
            self._arm("renew", lease_s / 3, renew)
            self._with.run(lambda: self._renew(lambda: self._arm_at("lease", asked + lease_s * _LEASE_SHARE, lost)))

        self._arm("lease", lease_s * _LEASE_SHARE, lost)
        renew()

    def _renew(self, renewed: Callable[[], None]) -> None:
        assert self._with.renew is not None
        try:
            self._with.renew(self._attempt)
        except AirdockError:
            return  # asked again in a third of the lease; the timer that runs out decides
        self._loop.post(renewed)

    def _ended(self) -> None:
        attempt = self._attempt
        self._is_over = True
        attempt.mark(ended=attempt.clock.now())
        for timer in self._timers.values():
            timer.cancel()
        descriptors = [self._running.fileno(), *attempt.pipes]
        descriptors += [end.fileno() for end in (attempt.listener, attempt.channel) if end is not None]
        for descriptor in descriptors:
            self._loop.unwatch(descriptor)
        self._with.ended(attempt)

    def _arm(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        self._arm_at(name, self._loop.time() + delay_s, callback)

    def _arm_at(self, name: str, due: float, callback: Callable[[], None]) -> None:
        self._disarm(name)
        if not self._is_over:
            self._timers[name] = self._loop.at(due, callback)

    def _disarm(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
