"""A real registry between us and other tools: what one side pushes the other pulls, file by file, by every account."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airdock.images.calls import DirectCalls
from airdock.images.store import ImageStore
from airdock.remote.base import Login, RemoteSettings
from airdock.remote.client import Remote
from airdock.remote.credentials import DockerCredentials
from airdock.transfer import Transfers

from ..conftest import Docker, Registry
from .conftest import Account
from .interop import NAME, Tree, describe, differences, merged, put_hard_image

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="other tools keep owners only as root")

Open = Callable[..., tuple[ImageStore, Transfers]]
DOCKERS_OWN = frozenset(
    {".dockerenv", "dev", "proc", "sys", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"}
)


def need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (apt-get install {program})")


def do(*argv: str | Path, **more: Any) -> str:
    ended = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, **more)
    assert ended.returncode == 0, f"{' '.join(map(str, argv))}: {ended.stderr}"
    return ended.stdout.strip()


def skopeo(*words: str | Path) -> str:
    need("skopeo")
    return do("skopeo", "--insecure-policy", *words)


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    made: list[tuple[ImageStore, Transfers]] = []

    def make(name: str, *, compression: str = "gzip") -> tuple[ImageStore, Transfers]:
        mapping = "root" if os.geteuid() == 0 else "one"
        store = ImageStore(root=tmp_path / name, calls=DirectCalls(mapping=mapping), compression=compression)
        credentials = DockerCredentials([tmp_path / "logins.json"])
        remote = Remote(settings=RemoteSettings(), credentials=credentials)
        cache = tmp_path / f"{name}-cache"
        transfers = Transfers(images=store, remote=remote, credentials=credentials, cache=cache, bound="airdock.host")
        made.append((store, transfers))
        return made[-1]

    yield make
    for store, transfers in made:
        transfers.close()
        store.close()


@pytest.fixture
def podman(tmp_path: Path) -> Iterator[Callable[..., str]]:
    need("podman")
    run = Path(f"/tmp/airdock-podman-{os.getpid()}")  # its path may have 50 characters
    roots = ["--root", tmp_path / "podman", "--runroot", run, "--storage-driver", "vfs"]
    try:
        yield lambda *words: do("podman", *roots, *words)
    finally:
        shutil.rmtree(run, ignore_errors=True)


def tree_of(store: ImageStore, name: str, folder: Path, **options: Any) -> Tree:
    with merged(store, name, folder) as top:
        return describe(top, **options)


def push_hard(open_store: Open, name: str, tmp_path: Path, *, compression: str = "gzip") -> tuple[Tree, str]:
    """The hard image from a store of its own into a registry; gives its tree and its digest."""
    store, transfers = open_store(f"pushing-{compression}", compression=compression)
    put_hard_image(store)
    store.tag(name, store.find(NAME).digest)
    digest = transfers.push(name)
    return tree_of(store, NAME, tmp_path), digest


# ours, to others


@as_root
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_skopeo_takes_what_we_push(compression: str, registry: Registry, open_store: Open, tmp_path: Path) -> None:
    name = f"{registry.address}/to-skopeo/{compression}:1"
    expected, digest = push_hard(open_store, name, tmp_path, compression=compression)
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert seen["Digest"] == digest and seen["Labels"] == {"k": "v"}
    layout = tmp_path / "layout"
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{layout}:{NAME}")
    copied = ImageStore(root=layout, calls=DirectCalls(mapping="root"))
    try:
        assert differences(tree_of(copied, NAME, tmp_path / "skopeo"), expected) == []
    finally:
        copied.close()


@as_root
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_podman_takes_what_we_push(
    compression: str, registry: Registry, open_store: Open, podman: Callable[..., str], tmp_path: Path
) -> None:
    name = f"{registry.address}/to-podman/{compression}:1"
    expected, digest = push_hard(open_store, name, tmp_path, compression=compression)
    podman("pull", "-q", "--tls-verify=false", name)
    assert podman("image", "inspect", "--format", "{{.Digest}}", name) == digest
    top = podman("image", "mount", name)
    try:
        assert differences(describe(Path(top)), expected) == []
    finally:
        podman("image", "unmount", name)


@as_root
def test_docker_takes_what_we_push(registry: Registry, docker: Docker, open_store: Open, tmp_path: Path) -> None:
    name = f"{registry.address}/to-docker/hard:1"
    expected, digest = push_hard(open_store, name, tmp_path)
    docker("pull", "-q", name)
    try:
        seen = json.loads(docker("image", "inspect", name).stdout)[0]
        assert seen["RepoDigests"] == [f"{registry.address}/to-docker/hard@{digest}"]
        assert len(seen["RootFS"]["Layers"]) == 3 and len(expected) > 30
    finally:
        docker("image", "rm", "-f", name)


# others', to us


@as_root
@pytest.mark.parametrize(
    "options",
    [
        ["--format=oci"],
        ["--format=v2s2"],
        ["--format=oci", "--dest-compress", "--dest-compress-format=zstd"],
        ["--format=oci", "--dest-compress", "--dest-compress-level=9"],
    ],
    ids=["oci", "schema 2", "zstd", "gzip 9"],
)
def test_we_take_what_skopeo_pushes(options: list[str], registry: Registry, open_store: Open, tmp_path: Path) -> None:
    source, _ = open_store("source")
    put_hard_image(source)
    name = f"{registry.address}/from-skopeo/app:{len(options)}-{options[-1].rpartition('=')[2]}"
    skopeo("copy", "--dest-tls-verify=false", *options, f"oci:{source.root}:{NAME}", f"docker://{name}")
    target, transfers = open_store("target")
    image = transfers.pull(name)
    assert image.digest == json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"]
    assert differences(tree_of(target, name, tmp_path / "ours"), tree_of(source, NAME, tmp_path / "source")) == []


@as_root
def test_we_take_what_podman_pushes(
    registry: Registry, open_store: Open, podman: Callable[..., str], tmp_path: Path
) -> None:
    name = f"{registry.address}/from-podman/hard:1"
    expected, _ = push_hard(open_store, name, tmp_path)
    podman("pull", "-q", "--tls-verify=false", name)
    for form in ("oci", "v2s2"):
        again = f"{registry.address}/from-podman/again-{form}:1"
        podman("push", "-q", "--tls-verify=false", "--format", form, name, again)
        store, transfers = open_store(f"target-{form}")
        transfers.pull(again)
        assert differences(tree_of(store, again, tmp_path / form), expected) == []


@as_root
def test_we_take_what_docker_pushes(registry: Registry, docker: Docker, open_store: Open, tmp_path: Path) -> None:
    name = f"{registry.address}/from-docker/hard:1"
    expected, _ = push_hard(open_store, name, tmp_path)
    docker("pull", "-q", name)
    again = f"{registry.address}/from-docker/again:1"
    docker("tag", name, again)
    docker("push", again)
    docker("image", "rm", "-f", name, again)
    store, transfers = open_store("target")
    transfers.pull(again)
    found = tree_of(store, again, tmp_path / "ours", without=DOCKERS_OWN)
    assert differences(found, {path: value for path, value in expected.items() if path not in DOCKERS_OWN}) == []


@as_root
def test_an_index_of_podmans_comes_by_platform(
    registry: Registry, open_store: Open, podman: Callable[..., str], tmp_path: Path
) -> None:
    from airdock.oci.index import parse_platform

    name = f"{registry.address}/from-podman/many:1"
    podman("manifest", "create", "many")
    for architecture in ("amd64", "arm64", "s390x"):
        (tmp_path / f"{architecture}.Dockerfile").write_text("FROM scratch\nCOPY only /only\n")
        (tmp_path / "only").write_text(architecture)
        podman("build", "-q", "--platform", f"linux/{architecture}", "--manifest", "many",
               "-f", tmp_path / f"{architecture}.Dockerfile", tmp_path)  # fmt: skip
    podman("manifest", "push", "--all", "--tls-verify=false", "many", f"docker://{name}")
    store, transfers = open_store("target")
    for architecture in ("amd64", "arm64", "s390x"):
        image = transfers.pull(name, platform=parse_platform(f"linux/{architecture}"))
        assert image.config.architecture == architecture
        layer = store.layer_path(store.find(image.digest).layers[-1].diff_id)
        assert (layer / "only").read_text() == architecture
    assert len(store.list()) == 1


# by the command, as every kind of account


def home_of(account: Account) -> dict[str, str]:
    return {"AIRDOCK_HOME": str(account.home / "registries"), "DOCKER_CONFIG": str(account.home / "registries/docker")}


@pytest.fixture
def home(account: Account) -> Iterator[dict[str, str]]:
    environment = home_of(account)
    yield environment
    account.airdock("image", "prune", "-a", "-f", env=environment)
    assert account.run("rm", "-rf", str(account.home / "registries")).returncode == 0


_DOCKERFILE = "FROM scratch\nCOPY hello /hello\nLABEL made=here\n"


def test_an_image_goes_to_a_registry_and_comes_back(
    account: Account, home: dict[str, str], registry: Registry, unchanged_machine: object
) -> None:
    name = f"{registry.address}/accounts/{account.name}:1"
    folder = account.home / "registries"
    script = (
        f"mkdir -p {folder}/context && cd {folder}/context && echo hi > hello && printf '{_DOCKERFILE}' > Dockerfile"
    )
    assert account.run("sh", "-c", script.replace("\n", "\\n")).returncode == 0
    built = account.airdock("image", "build", "-q", "-t", name, str(folder / "context"), env=home)
    assert built.returncode == 0, built.stderr
    pushed = account.airdock("image", "push", name, env=home)
    assert pushed.returncode == 0 and pushed.stdout.split()[1].startswith("sha256:"), pushed.stderr
    assert account.airdock("image", "rm", "-f", name, env=home).returncode == 0
    pulled = account.airdock("image", "pull", "--json", name, env=home)
    assert pulled.returncode == 0, pulled.stderr
    events = [json.loads(line) for line in pulled.stdout.splitlines()]
    assert events[-1]["event"] == "pulled" and events[-1]["id"] == built.stdout.strip()
    assert events[-1]["digest"] == pushed.stdout.split()[1]
    shown = account.airdock("image", "inspect", "-f", "{{.Config.Labels.made}}", name, env=home)
    assert shown.stdout == "here\n"


def test_a_missing_base_is_fetched(account: Account, home: dict[str, str], registry: Registry) -> None:
    name = f"{registry.address}/accounts/base-{account.name}:1"
    folder = account.home / "registries"
    script = (
        f"mkdir -p {folder}/context && cd {folder}/context && echo hi > hello && printf '{_DOCKERFILE}' > Dockerfile"
    )
    assert account.run("sh", "-c", script.replace("\n", "\\n")).returncode == 0
    context = str(folder / "context")
    for words in (["build", "-q", "-t", name, context], ["push", "-q", name], ["rm", "-f", name]):
        done = account.airdock("image", *words, env=home)
        assert done.returncode == 0, done.stderr
    over = f"FROM {name}\nCOPY hello /again\n"
    assert account.run("sh", "-c", f"cat > {context}/Dockerfile", input=over).returncode == 0
    built = account.airdock("image", "build", "-q", "-t", "over:1", context, env=home)
    assert built.returncode == 0, built.stderr
    missing = account.airdock("container", "run", "--rm", "--pull", "never", f"{name}-no", "x", env=home)
    assert missing.returncode == 125, missing.stderr


def test_login_and_logout(account: Account, home: dict[str, str], locked_registry: Registry) -> None:
    address, user = locked_registry.address, locked_registry.user
    missing = account.airdock("image", "pull", f"{address}/accounts/none:1", env=home)
    assert missing.returncode == 1 and f"airdock image login {address}" in missing.stderr
    wrong = account.airdock("image", "login", "-u", user, "--password-stdin", address, input="guess\n", env=home)
    assert wrong.returncode == 1 and "guess" not in wrong.stdout + wrong.stderr
    right = account.airdock(
        "image", "login", "-u", user, "--password-stdin", address, input=f"{locked_registry.password}\n", env=home
    )
    assert right.returncode == 0 and "Login Succeeded" in right.stdout, right.stderr
    assert locked_registry.password not in right.stdout + right.stderr
    file = Path(home["DOCKER_CONFIG"]) / "config.json"
    assert account.run("stat", "-c", "%a %U", str(file)).stdout == f"600 {account.name}\n"
    nothing = account.airdock("image", "pull", f"{address}/accounts/none:1", env=home)
    assert nothing.returncode == 1 and "none" in nothing.stderr and "login" not in nothing.stderr
    out = account.airdock("image", "logout", address, env=home)
    assert out.returncode == 0, out.stderr
    assert json.loads(account.run("cat", str(file)).stdout)["auths"] == {}


def test_our_logins_are_skopeos_too(locked_registry: Registry, open_store: Open, tmp_path: Path) -> None:
    need("skopeo")
    _, transfers = open_store("images")
    login = Login(username=locked_registry.user, password=locked_registry.password)
    transfers.login(locked_registry.address, login)
    words = ["login", "--authfile", tmp_path / "logins.json", "--get-login", locked_registry.address]
    assert do("skopeo", *words) == locked_registry.user
    do("skopeo", "logout", "--authfile", tmp_path / "logins.json", locked_registry.address)
    assert transfers.known_login(locked_registry.address) is None
    do("skopeo", "login", "--authfile", tmp_path / "logins.json", "--tls-verify=false", "-u", locked_registry.user,
       "-p", locked_registry.password, locked_registry.address)  # fmt: skip
    assert transfers.known_login(locked_registry.address) == login


def test_the_host_image_stays_here(registry: Registry, root_account: Account) -> None:
    home = home_of(root_account)
    name = f"{registry.address}/accounts/host:1"
    assert root_account.airdock("image", "tag", "host", name, env=home).returncode == 0
    refused = root_account.airdock("image", "push", name, env=home)
    assert refused.returncode == 1 and "machine's folders" in refused.stderr and "environments.base" in refused.stderr
    assert root_account.run("rm", "-rf", home["AIRDOCK_HOME"]).returncode == 0
