"""Archives by every kind of account: with one id or with ranges, an image comes out as it came in."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from airdock.images.archive_save import save_images
from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore

from .conftest import Account
from .interop import NAME, put_hard_image


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The hard image as an archive that everybody can read."""
    folder = tmp_path_factory.mktemp("hard")
    store = ImageStore(root=folder / "images", calls=DirectCalls(mapping="root" if os.geteuid() == 0 else "one"))
    path = folder / "hard.tar"
    try:
        put_hard_image(store)
        with path.open("wb") as file:
            save_images(store, [NAME], file)
    finally:
        store.close()
    yield path
    path.unlink()


def test_what_was_loaded_is_saved_as_it_was(account: Account, archive: Path) -> None:
    home = {"AIRDOCK_HOME": str(account.home / "interop")}
    mine = account.home / "hard.tar"
    mine.write_bytes(archive.read_bytes())
    mine.chmod(0o644)
    loaded = account.airdock("image", "load", "-i", str(mine), env=home)
    assert (loaded.stdout, loaded.returncode) == (f"Loaded image: {NAME}\n", 0), loaded.stderr
    saved = account.run("sh", "-c", f"{account.python} -m airdock image save {NAME} | sha256sum", env=home)
    assert saved.stdout.split()[0] == hashlib.sha256(archive.read_bytes()).hexdigest(), saved.stderr
    inspected = account.airdock("image", "inspect", NAME, env=home)
    assert json.loads(inspected.stdout)[0]["Config"]["Labels"] == {"k": "v"}
    history = account.airdock("image", "history", "-q", NAME, env=home)
    assert history.returncode == 0
    listed = account.airdock("image", "ls", "--tree", env=home)
    assert NAME in listed.stdout and "└─ linux/" in listed.stdout
    used = account.airdock("system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}", env=home)
    assert used.stdout.startswith("Images 1 0\n"), used.stdout + used.stderr
    removed = account.airdock("image", "prune", "-a", "-f", env=home)
    assert f"Untagged: {NAME}" in removed.stdout and "Total reclaimed space" in removed.stdout
    images = account.home / "interop/images"
    assert [path for pattern in ("blobs/*/*", "layers/*/*") for path in images.glob(pattern)] == []
    assert account.run("rm", "-rf", str(images.parent), str(mine)).returncode == 0


def test_import_keeps_what_the_account_may_have(account: Account, archive: Path) -> None:
    home = {"AIRDOCK_HOME": str(account.home / "interop")}
    script = "cd /etc && tar -c os-release | gzip | {python} -m airdock image import -c 'CMD [\"x\"]' -m hi - os:1"
    made = account.run("sh", "-c", script.replace("{python}", account.python), env=home)
    assert made.returncode == 0, made.stderr
    shown = account.airdock("image", "inspect", "-f", "{{.Comment}} {{json .Config.Cmd}}", "os:1", env=home)
    assert shown.stdout == 'hi ["x"]\n'
    refused = account.airdock("image", "import", "-c", "FROM x", "/dev/null", env=home)
    assert refused.returncode == 1 and "found FROM" in refused.stderr
    assert account.airdock("image", "rm", "os:1", env=home).returncode == 0
    assert account.run("rm", "-rf", str(account.home / "interop")).returncode == 0
