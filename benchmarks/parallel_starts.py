"""Twenty containers with `true`, four at a time: from one warm launcher, and as twenty whole processes."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ground import Ground
from measure import Contestant, Figure, contest, timed
from peers import docker_run, podman_run, runc_run

from airdock.engine import Engine, RunRequest
from airdock.images.image import Image

__all__ = ["NAME", "measure"]

NAME = "parallel"
BUDGET_S = 0.25
STARTS, AT_A_TIME = 20, 4


def measure(ground: Ground) -> list[Figure]:
    name = ground.image
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    peers: dict[str, Callable[[], Contestant]] = {
        "runc run": lambda: _many(runc_run(ground)),
        "docker run": lambda: _many(docker_run(ground)),
        "podman run": lambda: _many(podman_run(ground)),
    }
    with ground.app() as app:
        app.open()
        image = app.engine.find(name)
        warm, found = contest(
            _many(lambda: _run(app.engine, image, nothing)), peers, rounds=ground.rounds(7, 2), warm_up=1
        )
    os.close(nothing)
    whole, _ = contest(
        _many(timed(lambda: ground.run_airdock("container", "run", "--rm", name, "true"))),
        {},
        rounds=ground.rounds(7, 2),
    )
    note = f"as {STARTS} whole processes of airdock container run --rm, {whole.median:.2f} s"
    title = f"{STARTS} starts, {AT_A_TIME} at a time"
    return [Figure(title=title, unit="s", ours=warm, budget=BUDGET_S, peers=found, notes=[note])]


def _many(one: Callable[[], object]) -> Contestant:
    """All of them, in seconds."""

    def work() -> None:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            for future in [pool.submit(one) for _ in range(STARTS)]:
                future.result()

    return timed(work, scale=1.0)


def _run(engine: Engine, image: Image, nothing: int) -> None:
    container = engine.run(image, RunRequest(argv=("true",)), stdin=nothing, stdout=nothing, stderr=nothing)
    ended = container.wait()
    container.remove()
    assert ended is not None and ended.exit_code == 0
