"""What our builds make of changed files, as another tool unpacks it: the same files as a container of ours sees."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from .conftest import Account

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="umoci keeps owners only as root")

CHANGES = r"""
set -e
rm -rf /usr/share/doc /etc/debian_version
rm -rf /etc/apt && mkdir /etc/apt && echo new > /etc/apt/new
mv /etc/issue /etc/issue.moved
ln /etc/issue.moved /etc/issue.linked
ln -s nowhere /etc/dangling
chmod 4711 /bin/true && chmod 1777 /srv && chmod 0 /etc/issue.net
mkdir -p /made/deep && echo f > /made/deep/file && touch -d @1600000000 /made/deep/file /made/deep
mkfifo -m 640 /made/pipe
truncate -s 300000 /made/sparse && printf end >> /made/sparse
name=$(printf 'n%.0s' $(seq 1 230)) && echo long > /made/$name
mkdir -p /made/$name.d/$name.d && echo deep > /made/$name.d/$name.d/x
echo snow > "/made/$(printf '\342\230\203') blank"
rm /usr/bin/env && mkdir /usr/bin/env && echo folder > /usr/bin/env/inside
"""
OWNERS = "chown 1234:60001 /made/deep/file && chown -h 33:33 /etc/dangling && chgrp 42 /made/pipe"
LIST = (
    r"cd {root} && find . -xdev \( -path ./dev -o -path ./proc -o -path ./sys -o -path ./run -o -path ./tmp "
    r"-o -path ./etc/hosts -o -path ./etc/hostname -o -path ./etc/resolv.conf \) -prune -o "
    r"-printf '%p|%y|%m|{owners}|%l|' \( -type f -printf '%n|%s|%T@' -o -true \) -printf '\n' | "
    r"sort && find . -xdev -path ./dev -prune -o -path ./proc -prune -o -path ./sys -prune -o "
    r"-type f -path './made/*' -exec sha256sum {{}} + | sort -k 2"
)


@pytest.mark.parametrize("kind", ["plain", "ranged"])
def test_umoci_unpacks_what_our_container_sees(
    kind: str, request: pytest.FixtureRequest, debian_base: Path, tmp_path: Path
) -> None:
    if shutil.which("umoci") is None:
        pytest.skip("needs umoci (apt-get install umoci)")
    account: Account = request.getfixturevalue(f"{kind}_account")
    home = {"AIRDOCK_HOME": str(account.home / "built")}
    imported = account.airdock("image", "import", "-q", str(debian_base), "base:1", env=home)
    assert imported.returncode == 0, imported.stderr
    context = account.home / "context"
    context.mkdir(exist_ok=True)
    (context / "changes.sh").write_text(CHANGES + ("" if kind == "plain" else OWNERS))
    context.joinpath("Dockerfile").write_text("FROM base:1\nCOPY changes.sh /\nRUN sh -x /changes.sh\n")
    subprocess.run(["chmod", "-R", "a+rX", str(context)], check=True)
    built = account.airdock("image", "build", "-t", "made:1", str(context), env=home)
    assert built.returncode == 0, built.stderr
    # With one id every file is the account's own, whoever it belongs to in the archive.
    owners = "" if kind == "plain" else "%U:%G"
    script = LIST.format(root="/", owners=owners)
    ours = account.airdock("container", "run", "--rm", "--user", "0:0", "made:1", "sh", "-c", script, env=home)
    assert ours.returncode == 0, ours.stderr
    archive = account.home / "made.tar"
    saved = account.airdock("image", "save", "--format", "oci", "-o", str(archive), "made:1", env=home)
    assert saved.returncode == 0, saved.stderr
    theirs = unpack_by_umoci(archive, tmp_path, LIST, owners)
    assert sorted(set(ours.stdout.splitlines()) ^ set(theirs.splitlines())) == []
    assert ours.stdout == theirs
    for argv in (("system", "prune", "-a", "-f"),):
        assert account.airdock(*argv, env=home).returncode == 0
    assert account.run("rm", "-rf", home["AIRDOCK_HOME"], str(archive)).returncode == 0
    shutil.rmtree(context)


def unpack_by_umoci(archive: Path, folder: Path, script: str, owners: str) -> str:
    layout = folder / "layout"
    with tarfile.open(archive) as opened:
        opened.extractall(layout)
    index = layout / "index.json"
    index.write_text(index.read_text().replace("docker.io/library/made:1", "one"))
    subprocess.run(
        ["umoci", "unpack", "--image", f"{layout}:one", str(folder / "bundle")], check=True, capture_output=True
    )
    shell = ["sh", "-c", script.format(root=folder / "bundle/rootfs", owners=owners)]
    return subprocess.run(shell, check=True, capture_output=True, text=True).stdout
