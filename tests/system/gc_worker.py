"""One of several processes at one store: `gc_worker.py ROLE SEED SECONDS ARCHIVE`. Prints what it did as JSON.

What may fail is what a person would see as somebody else's doing: an image that was removed, or is in use. Anything
else ends the process with its trace.
"""

import collections
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from airdock.app import App
from airdock.builder.base import BuildRequest
from airdock.config import load_config
from airdock.engine import RunRequest
from airdock.errors import ImageError, UnknownImageError
from airdock.images.archive_load import load_images
from airdock.images.room import shrink

role, seed, seconds, archive = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
chance = random.Random(f"{role} {seed}")
NAMES = [f"shared:{number}" for number in range(3)]
READ = "for i in 1 2 3 4 5 6; do cat /f /g /f > /dev/null || exit 9; sleep 0.02; done"
done: collections.Counter[str] = collections.Counter()


def build(app: App, folder: Path) -> None:
    """What a process has built stays for it, whoever prunes meanwhile."""
    content = f"{chance.randrange(4)}\n" * 2000
    (folder / "f").write_text(content)
    text = f"FROM host\nCOPY f /f\nRUN cat /f > /g\nENV N={chance.randrange(3)}\n"
    tags = (chance.choice(NAMES),) if chance.random() < 0.6 else ()
    image = app.engine.build(
        BuildRequest(dockerfile=text, name="Dockerfile", context=folder, tags=tags, label="x"), lambda event: None
    )
    done["built"] += 1
    if not tags:
        run_image(app, image)


def run(app: App, folder: Path) -> None:
    """What runs keeps its files to its end."""
    try:
        image = app.images.find(chance.choice(NAMES))
    except UnknownImageError:
        done["nothing to run"] += 1
        return
    try:
        run_image(app, image)
    except ImageError as error:
        if "in the store, found none" not in error.message and "blob of a layer, found none" not in error.message:
            raise
        done["removed before it ran"] += 1


def run_image(app: App, image: object) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    try:
        request = RunRequest(argv=["/bin/sh", "-c", READ], transient=True)
        container = app.engine.run(image, request, stdin=nothing, stdout=nothing, stderr=2)  # type: ignore[arg-type]
        try:
            ended = container.wait()
            assert ended is not None and ended.exit_code == 0, f"a container lost its files: {ended}"
        finally:
            container.remove()
    finally:
        os.close(nothing)
    done["ran"] += 1


def remove(app: App, folder: Path) -> None:
    try:
        app.images.remove(chance.choice(NAMES), force=chance.random() < 0.5)
        done["removed"] += 1
    except UnknownImageError:
        done["nothing to remove"] += 1
    except ImageError as error:
        assert "in use" in error.message, error
        done["in use"] += 1


def prune(app: App, folder: Path) -> None:
    what = chance.randrange(4)
    if what == 0:
        app.reclaim.prune_images()
    elif what == 1:
        app.reclaim.prune_images(unused=True)
    elif what == 2:
        app.reclaim.prune_cache(everything=chance.random() < 0.5)
    else:
        shrink(app.images, 0, lambda row: row.repository == "shared")
    done["pruned"] += 1


def load(app: App, folder: Path) -> None:
    with archive.open("rb") as file:
        (loaded,) = load_images(app.images, file)
    done["loaded"] += 1
    try:
        app.images.layer_paths([layer.diff_id for layer in app.images.find(loaded.digest).layers])
    except ImageError:
        done["removed after it came"] += 1


ROLES = {"build": build, "run": run, "remove": remove, "prune": prune, "load": load}
end = time.monotonic() + seconds
with tempfile.TemporaryDirectory() as name:
    while time.monotonic() < end:
        with App(load_config()) as app:
            ROLES[role](app, Path(name))
sys.stdout.write(json.dumps(done))
