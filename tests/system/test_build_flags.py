"""Flags of `airdock image build` that reach outside: registries, agents, rights, servers that ask who is there."""

import base64
import http.server
import json
import os
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SCRATCH = "FROM scratch\nARG TARGETARCH\nCOPY {} /x\nLABEL arch=$TARGETARCH\n"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "a").write_text("a")
    return folder


def build(
    account, context: Path, text: str, *flags: str, code: int = 0, **env: str
) -> subprocess.CompletedProcess[str]:
    (context / "Dockerfile").write_text(text)
    done: subprocess.CompletedProcess[str] = account.airdock("image", "build", *flags, str(context), env=env)
    assert done.returncode == code, done.stderr
    return done


def manifest(address: str, name: str, tag: str) -> dict[str, Any]:
    """What the registry has, asked by nothing of ours."""
    request = urllib.request.Request(f"http://{address}/v2/{name}/manifests/{tag}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
    with urllib.request.urlopen(request) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize(
    "flags", [("-t", "{}/push:1", "--push"), ("-t", "{}/push:2", "-o", "type=registry"),
              ("-o", "type=image,name={}/push:3,push=true")],
)  # fmt: skip
def test_pushed_images_are_in_the_registry(root_account, registry, context: Path, flags: tuple[str, ...]) -> None:
    given = [flag.format(registry.address) for flag in flags]
    made = build(root_account, context, SCRATCH.format("a"), *given)
    tag = next(flag for flag in given if "/push:" in flag).partition("push:")[2][0]
    assert manifest(registry.address, "push", tag)["config"]["digest"] == made.stdout.strip()


def test_a_push_needs_a_name(root_account, context: Path) -> None:
    refused = build(root_account, context, SCRATCH.format("a"), "-o", "type=registry", code=2)
    assert "-t REGISTRY/NAME" in refused.stderr


def test_several_platforms_are_pushed_as_one(root_account, registry, context: Path) -> None:
    name = f"{registry.address}/several"
    text = SCRATCH.format("$TARGETARCH")
    for arch in ("amd64", "arm64"):
        (context / arch).write_text(arch)
    made = build(root_account, context, text, "-t", f"{name}:1", "--platform", "linux/amd64,linux/arm64", "--push")
    found = manifest(registry.address, "several", "1")
    assert [part["platform"]["architecture"] for part in found["manifests"]] == ["amd64", "arm64"]
    assert made.stdout.strip().startswith("sha256:")
    # Built upon for the other machine: that one is fetched, and files can be taken from it.
    root_account.airdock("image", "rm", f"{name}:1")
    upon = f"FROM {name}:1\nCOPY --from={name}:1 /x /y\nCOPY a /z\n"
    build(root_account, context, upon, "--platform", "linux/arm64", "-o", str(context / "out"))
    assert [(context / "out" / file).read_text() for file in "xyz"] == ["arm64", "arm64", "a"]
    refused = build(root_account, context, f"{upon}RUN true\n", "--platform", "linux/arm64", code=1)
    assert "qemu-user-static" in refused.stderr
    assert "$BUILDPLATFORM" in refused.stderr
    assert f"{context}/Dockerfile:4" in refused.stderr


def test_an_image_of_another_platform_is_told(root_account, context: Path) -> None:
    build(root_account, context, SCRATCH.format("a"), "-t", "other:1", "--platform", "linux/arm64")
    told = build(root_account, context, "FROM other:1\nCOPY a /b\n")
    assert (
        'InvalidBaseImagePlatform: Base image other:1 was pulled with platform "linux/arm64", expected' in told.stderr
    )
    checked = build(root_account, context, "FROM other:1\nCOPY a /b\n", "--check", code=1)
    assert "InvalidBaseImagePlatform" in checked.stdout


def test_pull_takes_the_newest_base(root_account, registry, context: Path) -> None:
    base = f"{registry.address}/base:1"
    build(root_account, context, SCRATCH.format("a"), "-t", base, "--push")
    (context / "a").write_text("newer")
    other = Path(f"{root_account.home}/other")
    (context / "Dockerfile").write_text(SCRATCH.format("a"))
    pushed = root_account.airdock("--home", str(other), "image", "build", "-t", base, "--push", str(context))
    assert pushed.returncode == 0, pushed.stderr
    shutil.rmtree(other)
    for flags, expected in (((), "a"), (("--pull",), "newer"), ((), "newer")):
        build(root_account, context, f"FROM {base}\n", *flags, "-o", str(context / "out"))
        assert (context / "out/x").read_text() == expected


HOST = "FROM host\nRUN {}\n"


def test_ssh_gives_the_socket_of_an_agent(root_account, context: Path, unchanged_machine: Callable[[], None]) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("the test needs ssh-agent (apt-get install openssh-client)")
    key = context / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "of-the-test", "-f", key], check=True)
    path = f"/tmp/airdock-agent-{os.getpid()}"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            if os.path.exists(path):
                break
            threading.Event().wait(0.02)
        subprocess.run(
            ["ssh-add", "-q", key], check=True, env={**os.environ, "SSH_AUTH_SOCK": path}, stderr=subprocess.DEVNULL
        )
        text = HOST.format("--mount=type=ssh ssh-add -l") + "RUN --mount=type=ssh,id=other ssh-add -l\n"
        text += 'RUN test -z "$SSH_AUTH_SOCK"\n'
        told = build(root_account, context, text, "--ssh", "default", "--ssh", f"other={path}", SSH_AUTH_SOCK=path)
        assert told.stderr.count("of-the-test") == 2
        build(root_account, context, HOST.format("--mount=type=ssh,required true"), code=1)
    finally:
        agent.terminate()
        agent.wait()
    missing = build(root_account, context, text, "--ssh", "default", code=2, SSH_AUTH_SOCK="")
    assert "ssh-agent" in missing.stderr


def test_allow_gives_rights(root_account, context: Path, unchanged_machine: Callable[[], None]) -> None:
    text = HOST.format("--security=insecure unshare --mount true")
    refused = build(root_account, context, text, code=1)
    assert "--allow security.insecure" in refused.stderr
    build(root_account, context, text, "--allow", "security.insecure")


class Server(http.server.BaseHTTPRequestHandler):
    """Serves a folder to those who say who they are; `asked` are the words that came."""

    folder: Path
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        path = self.folder / self.path.partition("?")[0].lstrip("/")
        is_known = self.asked[-1] in ("Bearer t0ken", "Digest whole", f"Basic {TOKEN}")
        self.send_response(200 if is_known and path.is_file() else 404 if is_known else 401)
        body = path.read_bytes() if is_known and path.is_file() else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


TOKEN = base64.b64encode(b"x-access-token:t0ken").decode()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("Handler", (Server,), {"folder": folder, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}", folder, handler.asked
        serving.shutdown()
        thread.join()


def make_repository(folder: Path) -> None:
    """A repository that a plain web server can serve."""
    work = folder.parent / "work"
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, "init", "-q", work], check=True)
    (work / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    (work / "f").write_text("from git")
    subprocess.run(["git", "-C", work, "add", "."], check=True)
    subprocess.run(["git", "-C", work, *identity, "commit", "-q", "-m", "1"], check=True)
    subprocess.run(["git", "clone", "-q", "--bare", work, folder / "repo.git"], check=True)
    subprocess.run(["git", "-C", folder / "repo.git", "update-server-info"], check=True)


@pytest.mark.parametrize(
    ("name", "value"),
    [("GIT_AUTH_TOKEN", "t0ken"), ("GIT_AUTH_HEADER", "Digest whole"), ("GIT_AUTH_TOKEN.127.0.0.1", "t0ken")],
)
def test_git_servers_are_told_who_asks(root_account, server, context: Path, name: str, value: str) -> None:
    address, folder, _ = server
    make_repository(folder)
    out = str(context / "out")
    secret = context / "secret"
    secret.write_text(f"{value}\n")
    flags = ("-q", "--secret", f"id={name},src={secret}", "-o", out)
    as_context = root_account.airdock("image", "build", *flags, f"{address}/repo.git")
    assert as_context.returncode == 0, as_context.stderr
    build(root_account, context, f"FROM scratch\nADD {address}/repo.git /added/\n", *flags)
    assert [(context / "out" / path).read_text() for path in ("f", "added/f")] == ["from git", "from git"]
    refused = root_account.airdock("image", "build", f"{address}/repo.git")
    assert refused.returncode == 1
    assert "GIT_AUTH_TOKEN" in refused.stderr


@pytest.mark.parametrize(("kind", "value"), [("TOKEN", "t0ken"), ("HEADER", "Digest whole")])
def test_web_servers_are_told_who_asks(root_account, server, context: Path, kind: str, value: str) -> None:
    address, folder, asked = server
    (folder / "Dockerfile.txt").write_text(f"FROM scratch\nADD {address}/file /f\n")
    (folder / "file").write_text("from the web")
    secret = ("--secret", f"id=HTTP_AUTH_{kind}_127.0.0.1,env=WORD")
    out = str(context / "out")
    done = root_account.airdock("image", "build", *secret, "-o", out, f"{address}/Dockerfile.txt", env={"WORD": value})
    assert done.returncode == 0, done.stderr
    assert (context / "out/f").read_text() == "from the web"
    assert set(asked) == {f"Bearer {value}" if kind == "TOKEN" else value}
    refused = build(root_account, context, f"FROM scratch\nADD {address}/file /f\n", "--no-cache", code=1)
    assert "401" in refused.stderr
    assert "HTTP_AUTH_TOKEN_127.0.0.1" in refused.stderr
