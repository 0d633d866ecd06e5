"""The golden builds, with commands that are functions; `tests/system` builds and runs the same ones for real.

<case>/
  base.json            the base image's name, and the `config` object that it has
  context/             Dockerfile and files
  expected.json        the `config` object of the image, and its history lines
  expected-output      what its container prints
"""

import io
import json
from pathlib import Path

import pytest

from airdock.builder.base import BuildRequest
from airdock.builder.build import build
from airdock.builder.memory import FunctionRun
from airdock.clock import ManualClock
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.images.tar import END, Entry, render_header
from airdock.oci.config import ImageConfig

CASES = [Path(__file__).parent / name for name in ("hello-world-docker", "airflow-classic")]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_image_is_configured_as_expected(case: Path, tmp_path: Path) -> None:
    store = ImageStore(root=tmp_path / "images", calls=DirectCalls())
    base = json.loads((case / "base.json").read_text())
    root = render_header(Entry(name=b"usr", kind=b"5", mode=0o755)) + END
    config = ImageConfig.from_json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": base["config"],
            "rootfs": {"type": "layers", "diff_ids": []},
        }
    )
    image = store.put_image(config, [store.commit_tar(io.BytesIO(root))])
    store.tag(base["name"], image.digest)
    run = FunctionRun(store=store, programs=dict.fromkeys(("set", "chown"), lambda command, output: {"ran": ""}))
    context = case / "context"
    built = build(
        BuildRequest(dockerfile=(context / "Dockerfile").read_text(), context=context, label=case.name),
        store=store,
        run=run,
        find=store.find,
        report=lambda event: None,
        clock=ManualClock(),
        cache=tmp_path / "cache",
    )
    document = built.config.to_json()
    found = {
        "config": document["config"],
        "history": [
            entry["created_by"] + (" (no layer)" if entry.get("empty_layer") else "") for entry in document["history"]
        ],
    }
    assert found == json.loads((case / "expected.json").read_text())
