"""A Dockerfile of six steps, as the whole process `airdock image build`: with nothing cached, and with everything."""

from pathlib import Path

from ground import IMAGE, Ground
from measure import Figure, contest, timed
from peers import buildah_build, docker_build

__all__ = ["NAME", "measure"]

NAME = "build"
COLD_MS, CACHED_MS = 250.0, 60.0
_DOCKERFILE = f"""\
FROM {IMAGE}
COPY one.txt /srv/one.txt
RUN echo built > /srv/built
COPY many /srv/many
RUN ls /srv/many > /srv/list
CMD ["cat", "/srv/list"]
"""


def measure(ground: Ground) -> list[Figure]:
    context = _make_context(ground.folder / "context")
    return [_figure(ground, context, cached=False), _figure(ground, context, cached=True)]


def _make_context(folder: Path) -> Path:
    (folder / "many").mkdir(parents=True)
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    (folder / "one.txt").write_text("one\n")
    for number in range(50):
        (folder / "many" / f"{number}.txt").write_text(f"{number}\n" * 100)
    return folder


def _figure(ground: Ground, context: Path, *, cached: bool) -> Figure:
    flags = () if cached else ("--no-cache",)
    assert ground.image == IMAGE
    ours, peers = contest(
        timed(lambda: ground.run_airdock("image", "build", *flags, "-t", "bench-ours", context)),
        {
            "docker build": lambda: docker_build(ground, context, cached=cached),
            "buildah bud": lambda: buildah_build(ground, context, cached=cached),
        },
        rounds=ground.rounds(11, 3),
        warm_up=2,
    )
    return Figure(
        title=f"6-step build, {'cached' if cached else 'cold'}",
        unit="ms",
        ours=ours,
        budget=CACHED_MS if cached else COLD_MS,
        peers=peers,
        notes=() if cached else ["the whole process; the two commands of the Dockerfile take a few milliseconds of it"],
    )
