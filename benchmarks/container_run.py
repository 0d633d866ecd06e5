"""The whole process `airdock container run --rm IMAGE true`, as a shell starts it."""

import sys

from ground import Ground, run
from measure import Figure, contest, timed
from peers import docker_run, podman_run

__all__ = ["NAME", "measure"]

NAME = "run"
BUDGET_MS = 90.0


def measure(ground: Ground) -> list[Figure]:
    image = ground.image
    ours, peers = contest(
        timed(lambda: ground.run_airdock("container", "run", "--rm", image, "true")),
        {
            "podman run": lambda: podman_run(ground),
            "docker run": lambda: docker_run(ground),
            "python -c pass": lambda: timed(lambda: run([sys.executable, "-c", "pass"])),
        },
        rounds=ground.rounds(25, 5),
    )
    return [
        Figure(
            title="container run, process",
            unit="ms",
            ours=ours,
            budget=BUDGET_MS,
            peers=peers,
            notes=["python -c pass is the interpreter that we start in, with nothing in it"],
        )
    ]
