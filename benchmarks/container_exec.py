"""The whole process `airdock container exec NAME true`, in a container that runs beside."""

import os

from ground import Ground
from measure import Figure, contest, timed
from peers import docker_exec, podman_exec

__all__ = ["NAME", "measure"]

NAME = "exec"
BUDGET_MS = 60.0


def measure(ground: Ground) -> list[Figure]:
    name = f"bench-{os.getpid()}"
    ground.run_airdock("container", "run", "--detach", "--name", name, ground.image, "sleep", "3600")
    try:
        ours, peers = contest(
            timed(lambda: ground.run_airdock("container", "exec", name, "true")),
            {"docker exec": lambda: docker_exec(ground), "podman exec": lambda: podman_exec(ground)},
            rounds=ground.rounds(25, 5),
        )
    finally:
        ground.run_airdock("container", "rm", "--force", name)
    return [Figure(title="container exec, process", unit="ms", ours=ours, budget=BUDGET_MS, peers=peers)]
