"""`airdock image build` from end to end: what its flags do, and that equal builds are equal images everywhere."""

import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

DOCKERFILE = """
FROM scratch AS tools
COPY root /
RUN mkdir -p /usr/share /tmp && date > /tmp/x && rm /tmp/x
FROM tools AS left
RUN mkdir -p /a/b && echo left > /a/b/left && chmod 0750 /a/b
FROM tools AS right
RUN echo right > /right && ln /right /hard && ln -s /right /soft && touch -d 2001-02-03 /old
FROM tools
COPY --from=left /a /a
COPY --from=right /right /hard /soft /old /r/
COPY --chmod=0604 files /files
WORKDIR /srv/deep
RUN echo more >> /files/one; rm /r/old
LABEL made=yes
CMD ["/bin/sh"]
"""

PROGRAMS = ("cat", "chmod", "date", "dash", "ln", "mkdir", "rm", "sh", "sleep", "touch")
LIBRARIES = ("libc.so", "libselinux.so", "libpcre2-8.so", "ld-linux")


def wanted(name: str) -> bool:
    path = name.removeprefix("./").rstrip("/")
    last = path.rpartition("/")[2]
    return path in ("bin", "lib", "lib64", "usr", "usr/lib64") or (
        path.startswith(("usr/bin/", "usr/lib/", "usr/lib64/")) and (last in PROGRAMS or last.startswith(LIBRARIES))
    )


@pytest.fixture
def context(tmp_path: Path, debian_base: Path) -> Path:
    """A context with a shell, some programs and what they need."""
    folder = tmp_path / "context"
    (folder / "files").mkdir(parents=True)
    with tarfile.open(debian_base) as archive:
        archive.extractall(folder / "root", [member for member in archive if wanted(member.name)])
    (folder / "files/one").write_text("one\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    for path in (tmp_path, *tmp_path.parents[:2], folder, folder / "files"):
        path.chmod(0o755)
    return folder


def facts(account, home: str, context: Path, *flags: str) -> dict[str, str]:
    """Build in a home of its own; the digests of what came out."""
    out = f"{account.home}/{home}.json"
    done = account.airdock(
        *("--home", f"{account.home}/{home}", "image", "build", "--metadata-file", out, *flags, str(context))
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(account.run("cat", out).stdout)
    found["progress"] = done.stderr
    return found


def test_equal_builds_are_equal_images_for_every_account(
    context: Path, root_account, plain_account, ranged_account, unchanged_machine
) -> None:
    made = []
    for account in (root_account, plain_account, ranged_account):
        for path in context.rglob("*"):
            os.utime(path, follow_symlinks=False)  # as a fresh checkout would
        found = facts(account, "equal", context, "--no-cache")
        made.append((found["containerimage.config.digest"], found["containerimage.digest"]))
    assert made[1:] == made[:-1]


def test_source_date_epoch_bounds_what_commands_write(context: Path, root_account, tmp_path: Path) -> None:
    out = tmp_path / "files.tar"
    build = ["image", "build", "-q", "-o", f"type=tar,dest={out}", str(context)]
    done = root_account.airdock(*build, env={"SOURCE_DATE_EPOCH": "1000000000"})
    assert done.returncode == 0, done.stderr
    with tarfile.open(out) as archive:
        times = {member.name: int(member.mtime) for member in archive}
    assert max(times.values()) == 1_000_000_000
    assert times["a/b/left"] == 1_000_000_000


def test_cached_steps_travel_in_a_folder(context: Path, root_account, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = facts(root_account, "from", context, "--cache-to", f"type=local,dest={cache},mode=max")
    again = facts(root_account, "to", context, "--cache-from", f"type=local,src={cache}")
    assert again["containerimage.digest"] == first["containerimage.digest"]
    assert "done in" not in again["progress"]


def test_cached_steps_travel_through_a_registry(context: Path, root_account, registry) -> None:
    place = f"type=registry,ref={registry.address}/cache:steps"
    first = facts(root_account, "push", context, "--cache-to", f"{place},mode=max")
    again = facts(root_account, "pull", context, "--cache-from", place)
    assert again["containerimage.digest"] == first["containerimage.digest"]
    assert "done in" not in again["progress"]


def test_a_step_that_fails_ends_the_others_and_leaves_nothing(context: Path, root_account, unchanged_machine) -> None:
    (context / "Dockerfile").write_text(
        "FROM scratch AS slow\nCOPY root /\nRUN sleep 300\n"
        "FROM scratch AS wrong\nCOPY root /\nRUN echo broken; exit 7\n"
        "FROM slow\nCOPY --from=wrong / /\n"
    )
    done = root_account.airdock("image", "build", str(context), timeout_s=60)
    assert done.returncode == 1
    assert "exit code 7" in done.stderr
    assert "Dockerfile:6" in done.stderr
    assert "broken" in done.stderr
    unchanged_machine()


def test_an_archive_on_stdin_and_files_as_output(root_account, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in {"Dockerfile": "FROM scratch\nCOPY a /d/a\n", "a": "1"}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    done = subprocess.run(
        [root_account.python, "-m", "airdock", "image", "build", "-q", "-o", str(tmp_path / "out"), "-"],
        input=buffer.getvalue(),
        capture_output=True,
        env=root_account.environment,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out/d/a").read_text() == "1"


def test_several_names_and_an_id_in_a_file(root_account, tmp_path: Path) -> None:
    text = "FROM scratch\nLABEL a=1\n"
    file = tmp_path / "id"
    done = root_account.airdock(
        *("image", "build", "-t", "names:1", "-t", "names:2", "--iidfile", str(file), "--label", "b=2", "-"), input=text
    )
    assert done.returncode == 0, done.stderr
    assert file.read_text() == done.stdout.strip()
    for name in ("names:1", "names:2"):
        found = json.loads(root_account.airdock("image", "inspect", name).stdout)
        assert found[0]["Config"]["Labels"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "code"), [("FROM scratch\nCMD sleep 1\n", 1), ('FROM scratch\nCMD ["sleep", "1"]\n', 0)]
)
def test_check_says_what_it_found_by_its_exit_code(root_account, text: str, code: int) -> None:
    done = root_account.airdock("image", "build", "--check", "-", input=text)
    assert done.returncode == code, done.stderr
    assert ("JSONArgsRecommended" in done.stdout) == bool(code)


def test_warnings_come_after_the_build(root_account) -> None:
    done = root_account.airdock("image", "build", "-", input="FROM scratch\nCMD sleep 1\n")
    assert done.returncode == 0
    assert "JSONArgsRecommended" in done.stderr.splitlines()[-1]


def test_docker_reads_the_image_that_is_an_output(root_account, docker, context: Path, tmp_path: Path) -> None:
    file = tmp_path / "image.tar"
    output = f"type=docker,dest={file}"
    done = root_account.airdock("image", "build", "-q", "-t", "made:1", "-o", output, str(context))
    assert done.returncode == 0, done.stderr
    docker("load", "-i", str(file))
    ran = docker("run", "--rm", "--network=none", "made:1", "/bin/sh", "-c", "cat /files/one /r/right")
    assert ran.stdout == b"one\nmore\nright\n"
