"""The golden builds for real: on a small Debian that carries the base's name, as root and with id ranges."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = ["hello-world-docker", "airflow-classic"]

IMPORT = """
import json, sys
from pathlib import Path
from airdock.app import App
from airdock.config import load_config
from airdock.oci.config import ImageConfig
from airdock.oci.descriptor import host_platform

tar, base = Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text())
platform = host_platform()
config = ImageConfig.from_json({
    "os": "linux", "architecture": platform.architecture, "created": "2024-01-01T00:00:00Z",
    "config": base["config"], "rootfs": {"type": "layers", "diff_ids": []},
})
with App(load_config()) as app:
    app.images.tag(base["name"], app.images.import_tar(tar, config).digest)
"""


@pytest.fixture
def builder(account, request: pytest.FixtureRequest) -> Iterator[object]:
    """An account, with a copy of the golden cases that it can read, and a home that goes afterwards."""
    folder = account.home / f"golden-{request.node.name[:20].replace('[', '-')}"
    shutil.copytree(GOLDEN, folder)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    try:
        yield account
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        account.run(account.python, "-c", REMOVE_HOME)


REMOVE_HOME = """
import shutil
from airdock.app import App
from airdock.config import load_config
config = load_config()
with App(config) as app:
    app.launcher.call("airdock.images.unpack:remove_tree", {"path": str(config.home / "images")})
shutil.rmtree(config.home)
"""


def import_base(account, debian_base: Path, case: Path) -> None:
    done = account.run(account.python, "-c", IMPORT, str(debian_base), str(case / "base.json"))
    assert done.returncode == 0, done.stderr


def inspect(account, name: str) -> dict[str, object]:
    """The image's configuration, read from the blobs by nothing of ours."""
    images = account.home / ".airdock" / "images"
    index = json.loads((images / "index.json").read_text())
    [entry] = [
        entry
        for entry in index["manifests"]
        if any(value.endswith(name) for value in entry.get("annotations", {}).values())
    ]
    manifest = json.loads(blob(images, entry["digest"]).read_text())
    return json.loads(blob(images, manifest["config"]["digest"]).read_text())


def blob(images: Path, digest: str) -> Path:
    return images / "blobs" / "sha256" / digest.removeprefix("sha256:")


@pytest.mark.parametrize("name", CASES)
def test_golden(
    name: str, builder, debian_base: Path, unchanged_machine: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    [folder] = builder.home.glob("golden-*")
    case = folder / name
    import_base(builder, debian_base, case)
    built = builder.airdock("image", "build", "-t", f"{name}:1", "--plain", str(case / "context"))
    if name == "airflow-classic" and "plain" in request.node.callspec.id:
        assert built.returncode == 1
        assert "single id" in built.stderr
        lines = (case / "context" / "Dockerfile").read_text().splitlines()
        number = next(number for number, line in enumerate(lines, 1) if line.startswith("RUN chown"))
        assert f"Dockerfile:{number}\n" in built.stderr
        return
    assert built.returncode == 0, built.stderr
    config = inspect(builder, f"{name}:1")
    expected = json.loads((case / "expected.json").read_text())
    assert config["config"] == expected["config"]
    made = [entry["created_by"] + (" (no layer)" if entry.get("empty_layer") else "") for entry in config["history"]]
    assert made == expected["history"]
    ran = builder.airdock("container", "run", "--rm", f"{name}:1")
    assert (ran.returncode, ran.stdout) == (0, (case / "expected-output").read_text()), ran.stderr
    again = builder.airdock("image", "build", "-t", f"{name}:1", "--plain", str(case / "context"))
    assert again.stdout == built.stdout
    assert "done in" not in again.stderr
