"""What a container changes becomes a layer, through the real launcher; says what came of it as JSON.

commit_changes.py FOLDER BASE.tar
"""

import gzip
import io
import json
import os
import sys
import tarfile
from contextlib import closing
from pathlib import Path

from airdock.images.store import ImageStore
from airdock.oci.digest import Digest
from airdock.runtime.launcher import Bundle, Launcher
from airdock.runtime.spec import make_config

CHANGES = """
set -e
cd /opt
mkdir kept && echo one > kept/file && ln kept/file kept/other && ln -s file kept/link
echo program > program && chmod 4755 program && touch -d '2020-01-02 03:04:05.678901234' program
rm /etc/debian_version
rm -r /usr/share/doc && mkdir /usr/share/doc && echo new > /usr/share/doc/file
chmod 600 /etc/issue
mkfifo pipe
if chown 0:42 /opt/kept/file 2> /dev/null; then echo owners; else echo no owners; fi
"""

LOOK = """
cat /opt/kept/other /usr/share/doc/file
ls /usr/share/doc
test -e /etc/debian_version || echo gone
stat -c '%a %u:%g %h %y' /opt/kept/file /opt/program /etc/issue
"""


def run(launcher: Launcher, store: ImageStore, folder: Path, name: str, layers: list[Digest], script: str) -> str:
    """Run a shell script over these layers; its upper folder stays for the caller."""
    reading, writing = os.pipe()
    bundle = Bundle(
        id=name,
        config=make_config(argv=["/bin/sh", "-c", script], env=["PATH=/usr/bin:/bin", "TZ=UTC"], network="none"),
        layers=tuple(store.layer_path(layer) for layer in layers),
        folder=folder / "run/containers" / name,
    )
    with open(os.devnull) as nothing:
        container = launcher.run(bundle, stdin=nothing.fileno(), stdout=writing, stderr=writing)
    os.close(writing)
    with os.fdopen(reading) as output:
        said = output.read()
    ended = container.wait()
    assert ended is not None and ended.exit_code == 0, said
    container.remove(keep_upper=True)
    return said


def main(folder: Path, base: Path) -> None:
    launcher = Launcher(folder=folder / "run")
    launcher.start()
    try:
        with closing(ImageStore(root=folder / "images", calls=launcher)) as store:
            json.dump(commit(launcher, store, folder, base), sys.stdout)
    finally:
        launcher.stop()
        launcher.join()


def commit(launcher: Launcher, store: ImageStore, folder: Path, base: Path) -> dict[str, object]:
    image = store.import_tar(base)
    first = list(image.config.diff_ids)
    owners = run(launcher, store, folder, "first", first, CHANGES)
    upper = folder / "run/containers/first/upper"
    layer = store.commit_upper(upper)
    moved = not upper.exists()
    with store.open_blob(layer.descriptor.digest) as blob:
        content = gzip.decompress(blob.read())
    seen = run(launcher, store, folder, "second", [*first, layer.diff_id], LOOK)
    # The same layer, unpacked from its blob instead of moved into its place.
    with closing(ImageStore(root=folder / "other", calls=launcher)) as other:
        again = other.commit_tar(io.BytesIO(content))
        base_again = other.import_tar(base)
        layers = [*base_again.config.diff_ids, again.diff_id]
        seen_again = run(launcher, other, folder, "third", layers, LOOK)
        for entry in other.list():
            other.remove(entry.digest)
        other.prune()
    with closing(ImageStore(root=folder / "other", calls=launcher)) as other:
        other.prune()
        left = [
            str(path.relative_to(other.root))
            for kind in ("blobs/*/*", "layers/*/*", "diffs/*")
            for path in other.root.glob(kind)
        ]
    for name in ("first", "second", "third"):
        launcher.remove(folder / "run/containers" / name)
    complete = store.put_image(image.config, [*image.layers, layer])
    store.tag("changed", complete.digest)
    return {
        "mapping": launcher.mapping,
        "owners": owners.strip(),
        "moved": moved,
        "same": again.diff_id == layer.diff_id and base_again.image_id == image.image_id,
        "image_id": image.image_id,
        "seen": seen,
        "seen_again": seen_again,
        "left": left,
        "members": members(content),
    }


def members(content: bytes) -> dict[str, object]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {info.name: describe(info) for info in archive.getmembers()}


def describe(info: tarfile.TarInfo) -> dict[str, object]:
    return {
        "type": info.type.decode(),
        "mode": oct(info.mode),
        "owners": [info.uid, info.gid],
        "link": info.linkname,
        "time": info.pax_headers.get("mtime", ""),
    }


main(Path(sys.argv[1]), Path(sys.argv[2]))
