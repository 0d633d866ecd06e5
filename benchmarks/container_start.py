"""A container from a warm launcher: `true`, with its seccomp filter and its cgroup, from the call until it is gone."""

import os
import time

from ground import Ground
from measure import Figure, Samples, contest
from peers import bwrap_run, runc_run

from airdock.engine import Engine, RunRequest
from airdock.images.image import Image

__all__ = ["NAME", "measure"]

NAME = "start"
BUDGET_MS = 8.0
PAUSE_S = 0.03


def measure(ground: Ground) -> list[Figure]:
    name = ground.image
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    with ground.app() as app:
        app.open()
        image = app.engine.find(name)
        began: list[float] = []

        def start() -> float:
            until_command, whole = _run(app.engine, image, nothing)
            began.append(until_command)
            return whole

        ours, peers = contest(
            start,
            {"runc run": lambda: runc_run(ground), "bwrap": lambda: bwrap_run(ground)},
            rounds=ground.rounds(60, 10),
            warm_up=3,
        )
        alone = {
            pause_s: Samples(tuple(_after(pause_s, app.engine, image, nothing) for _ in range(ground.rounds(60, 10))))
            for pause_s in (PAUSE_S, 0.0)
        }
        mapping = app.launcher.mapping
    os.close(nothing)
    until = Samples(tuple(began))
    notes = [
        f"from the call until the container is removed; until its command runs {until.median:.1f} ms",
        f"alone, with {PAUSE_S * 1000:.0f} ms between two, {alone[PAUSE_S].median:.1f} ms; with nothing between, "
        f"so that none is prepared ahead, {alone[0.0].median:.1f} ms",
        f"ids inside: {mapping}; runc has its default spec, without a seccomp filter",
    ]
    return [Figure(title="container start", unit="ms", ours=ours, budget=BUDGET_MS, peers=peers, notes=notes)]


def _after(pause_s: float, engine: Engine, image: Image, nothing: int) -> float:
    time.sleep(pause_s)
    return _run(engine, image, nothing)[1]


def _run(engine: Engine, image: Image, nothing: int) -> tuple[float, float]:
    """Milliseconds until the command runs, and until nothing is left."""
    began = time.perf_counter()
    container = engine.run(image, RunRequest(argv=("true",)), stdin=nothing, stdout=nothing, stderr=nothing)
    runs = time.perf_counter()
    ended = container.wait()
    container.remove()
    assert ended is not None and ended.exit_code == 0
    return (runs - began) * 1000, (time.perf_counter() - began) * 1000
