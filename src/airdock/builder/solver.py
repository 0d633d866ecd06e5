"""Building the stages of a plan: each goes as far as it can on its own, beside the others.

A stage waits only where it needs another one: at its beginning when it is built upon it, or at the step that copies or
mounts files of it. What comes out is the same whatever the order. The first step that fails breaks off all others.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from airdock.builder.cancel import Cancel
from airdock.builder.perform import perform
from airdock.builder.performer import Built, Performer
from airdock.builder.steps import Plan, PlannedStage, Step
from airdock.builder.times import FIXED_TIME
from airdock.clock import Clock
from airdock.errors import BuildCancelledError
from airdock.images.image import Layer
from airdock.model.progress import BuildStep
from airdock.oci.config import History

__all__ = ["Solver", "Stages"]

_COMMENT: Final = "airdock.dockerfile.v1"
_FEWEST_AT_ONCE: Final = 4
"""Stages at work at one time where there are fewer processors: they wait for disk and network most of the time."""


class Stages(Mapping[int, Built]):
    """The finished stages of a plan by their index; looking one up waits for it.

    Raises `BuildCancelledError` for a stage that failed.
    """

    def __init__(self, indexes: Iterator[int]) -> None:
        self._futures: dict[int, Future[Built]] = {index: Future() for index in indexes}

    def __getitem__(self, index: int) -> Built:
        try:
            return self._futures[index].result()
        except BaseException as error:
            raise BuildCancelledError from error

    def __iter__(self) -> Iterator[int]:
        return iter(self._futures)

    def __len__(self) -> int:
        return len(self._futures)

    def finish(self, index: int, built: Built) -> None:
        """A stage is there."""
        self._futures[index].set_result(built)

    def fail(self, index: int, error: BaseException) -> None:
        """A stage won't come."""
        self._futures[index].set_exception(error)

    def wait(self) -> list[BaseException]:
        """Wait for all; gives why stages failed, in their order, those that only followed others left out."""
        errors = [future.exception() for future in self._futures.values()]
        return [error for error in errors if error is not None and not isinstance(error, BuildCancelledError)]


@dataclass(kw_only=True)
class Solver:
    """Does the steps of one plan and tells how far they are. `performer.done` are the `stages`."""

    performer: Performer
    plan: Plan
    stages: Stages
    cancel: Cancel
    clock: Clock
    first_numbers: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        number = 1
        for stage in self.plan.stages:
            self.first_numbers[stage.index] = number
            number += 1 + sum(step.action is not None for step in stage.steps)

    def solve(self) -> Built:
        """Build everything; gives the last stage. Raises what the first stage that failed raised."""
        stages = self.plan.stages
        if len(stages) == 1:
            self._finish(stages[0])  # with a thread of its own it would only start later
        else:
            self._solve_beside(stages)
        return self.stages[stages[-1].index]

    def _solve_beside(self, stages: Sequence[PlannedStage]) -> None:
        # Stages come in the order in which they need each other, so those at work never wait for one in the queue.
        with ThreadPoolExecutor(min(len(stages), max(_FEWEST_AT_ONCE, os.cpu_count() or 1))) as pool:
            try:
                for stage in stages:
                    pool.submit(self._try, stage)
                errors = self.stages.wait()
            except BaseException:
                self.cancel.set()
                raise
        if errors:
            raise errors[0]

    def _try(self, stage: PlannedStage) -> None:
        try:
            self._finish(stage)
        except BaseException as error:
            self.cancel.set()
            self.stages.fail(stage.index, error)

    def _finish(self, stage: PlannedStage) -> None:
        self.stages.finish(stage.index, self._build_stage(stage))

    def _build_stage(self, stage: PlannedStage) -> Built:
        number = self.first_numbers[stage.index]
        # Waiting for the stage below is no part of this one.
        below = self._base(stage)
        self._tell(stage, stage.text, number)
        self._tell(stage, stage.text, number, cached=True, seconds=0.0)
        self._begin(stage, below)
        created = self._created(below.config.created)
        layers, history = list(below.layers), list(below.config.history)
        for step in stage.steps:
            layer = None
            if step.action is not None:
                number += 1
                layer = self._perform(stage, step, replace(below, layers=tuple(layers)), number)
            if layer is not None:
                layers.append(layer)
            history.append(
                History(created=created, created_by=step.created_by, comment=_COMMENT, empty_layer=layer is None)
            )
        config = replace(stage.config, created=created, history=tuple(history))
        return replace(below, layers=tuple(layers), config=config)

    def _perform(self, stage: PlannedStage, step: Step, below: Built, number: int) -> Layer | None:
        self.cancel.check()
        request = self.performer.request
        fresh = request.no_cache or stage.name in request.no_cache_filter
        position = number - self.first_numbers[stage.index]
        performer = replace(self.performer, number=number, fresh=fresh, stage=stage.name, position=position)
        self._tell(stage, step.text, number)
        started = self.clock.monotonic()
        layer, cached = perform(performer, step, below)
        self._tell(stage, step.text, number, cached=cached, seconds=self.clock.monotonic() - started)
        return layer

    def _begin(self, stage: PlannedStage, below: Built) -> None:
        if self.performer.journal is not None:
            layers = [str(diff_id) for diff_id in below.diff_ids]
            self.performer.journal.begin(stage.name, base=str(stage.base), layers=layers)

    def _base(self, stage: PlannedStage) -> Built:
        if stage.base is None:
            return Built(layers=(), config=stage.config, labels={})
        if isinstance(stage.base, int):
            return self.stages[stage.base]
        image = self.performer.images[stage.base]
        return Built(layers=image.layers, config=image.config, labels=image.labels)

    def _created(self, base: str | None) -> str:
        if self.performer.epoch is not None:
            return _render_time(self.performer.epoch)
        return base or _render_time(FIXED_TIME)

    def _tell(
        self, stage: PlannedStage, text: str, number: int, *, cached: bool = False, seconds: float | None = None
    ) -> None:
        self.performer.report(
            BuildStep(
                build=self.performer.request.label,
                number=number,
                total=len(self.plan.texts),
                text=self.plan.texts[number - 1],
                cached=cached,
                seconds=seconds,
            )
        )


def _render_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
