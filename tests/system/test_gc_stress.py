"""Builds, runs, loads, removals and prunes in processes of their own at one store, for some seconds, seeded."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Account

WORKER = Path(__file__).with_name("gc_worker.py")
ROLES = ("build", "build", "run", "run", "load", "remove", "prune")
SECONDS = 3.0
SEED = 20260101

CHECK = """
import json
from airdock.app import App
from airdock.config import load_config
from airdock.images.garbage import find_needs
with App(load_config()) as app:
    store = app.images
    for row in store.list():
        image = store.find(row.digest)
        for layer in image.layers:
            with store.open_blob(layer.descriptor.digest):
                pass
            assert store.layer_path(layer.diff_id).is_dir()
    app.reclaim.prune_cache()
    app.reclaim.prune_images(unused=True)
    print(json.dumps(sorted(
        str(path.relative_to(store.root))
        for pattern in ("blobs/*/*", "diffs/*", "layers/*/*", "**/.tmp-*")
        for path in store.root.glob(pattern)
    )))
"""


@pytest.mark.parametrize("kind", ["root", "plain"])
def test_nobody_loses_what_is_in_use(
    kind: str, request: pytest.FixtureRequest, unchanged_machine: Callable[[], None]
) -> None:
    account: Account = request.getfixturevalue(f"{kind}_account")
    home = {"AIRDOCK_HOME": str(account.home / "gc-stress")}
    worker = account.home / "gc_worker.py"
    worker.write_text(WORKER.read_text())
    worker.chmod(0o644)
    archive = str(account.home / "gc-stress.tar")
    for argv in (("image", "build", "-q", "-t", "seed:1", "-"), ("image", "save", "-o", archive, "seed:1")):
        made = account.airdock(*argv, env=home, input="FROM host\nRUN echo seed > /f && echo seed > /g\n")
        assert made.returncode == 0, made.stderr
    environment = {**account.environment, **home}
    workers = [
        subprocess.Popen(
            [*account.become, account.python, str(worker), role, str(SEED + number), str(SECONDS), archive],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=account.home,
        )
        for number, role in enumerate(ROLES)
    ]  # fmt: skip
    ended = [(process.communicate(timeout=120), process.returncode) for process in workers]
    for role, ((_, errors), code) in zip(ROLES, ended, strict=True):
        assert code == 0, f"{role}: {errors[-3000:]}"
    did = [json.loads(output) for (output, _), _ in ended]
    for what in ("built", "ran", "loaded", "pruned"):
        assert sum(each.get(what, 0) for each in did) > 0, did
    left = account.run(account.python, "-c", CHECK, env=home)
    assert left.returncode == 0, left.stderr
    assert json.loads(left.stdout) == [], did
    removed = account.run("rm", "-rf", home["AIRDOCK_HOME"], archive, str(worker))
    assert removed.returncode == 0, removed.stderr
