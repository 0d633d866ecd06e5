"""Addresses: which are files of a web server, which are repositories, and what of them is meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.remotes import is_remote, parse_remote, remote_host
from airdock.errors import DockerfileError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SHA256 = f"sha256:{'ab' * 32}"


@pytest.mark.parametrize(
    ("text", "kind", "url", "ref", "folder"),
    [
        ("https://e.org/a/b.tgz", "http", "https://e.org/a/b.tgz", "", ""),
        ("HTTP://e.org/a?x=1#y", "http", "http://e.org/a?x=1", "", ""),
        ("https://e.org/a.git", "git", "https://e.org/a.git", "", ""),
        ("https://e.org/a.git#v1", "git", "https://e.org/a.git", "v1", ""),
        ("https://e.org/a.git#v1:docs/../src/", "git", "https://e.org/a.git", "v1", "src"),
        ("https://e.org/a.git#:docs", "git", "https://e.org/a.git", "", "docs"),
        ("https://e.org/a.git?tag=v1&subdir=docs", "git", "https://e.org/a.git", "refs/tags/v1", "docs"),
        ("https://e.org/a.git?branch=main", "git", "https://e.org/a.git", "refs/heads/main", ""),
        (f"https://e.org/a.git?commit={COMMIT}", "git", "https://e.org/a.git", COMMIT, ""),
        ("git://e.org/a#v1", "git", "git://e.org/a", "v1", ""),
        ("ssh://git@e.org:22/a#v1", "git", "ssh://git@e.org:22/a", "v1", ""),
        ("git@e.org:a/b.git#v1:..", "git", "git@e.org:a/b.git", "v1", ""),
    ],
)
def test_addresses(text: str, kind: str, url: str, ref: str, folder: str) -> None:
    assert is_remote(text)
    found = parse_remote(text)
    assert (found.kind, found.url, found.ref, found.folder) == (kind, url, ref, folder)
    assert remote_host(found.url) == "e.org"


@pytest.mark.parametrize("text", ["a.txt", "./a", "a:b", "c/d@e:f g", "/http://", "http:/a", "*.git"])
def test_paths(text: str) -> None:
    assert not is_remote(text)


def test_the_name_of_a_file_is_what_its_path_ends_with() -> None:
    assert parse_remote("https://e.org/a/with%20blank.txt?x=/y").name == "with blank.txt"
    assert parse_remote("https://e.org/").name == ""


@pytest.mark.parametrize(
    ("text", "checksum", "keep"),
    [
        ("https://e.org/a", SHA256, None),
        ("https://e.org/a.git#main", COMMIT, True),
        ("https://e.org/a.git#main", COMMIT[:8], None),
        (f"https://e.org/a.git?checksum={COMMIT}", COMMIT[:8], None),
    ],
)
def test_checksums(text: str, checksum: str, keep: bool | None) -> None:
    found = parse_remote(text, checksum=checksum, keep_git_dir=keep)
    assert (found.checksum, found.keep_git_dir) == (checksum, bool(keep))


@pytest.mark.parametrize(
    ("text", "checksum", "keep", "message"),
    [
        ("ftp://e.org/a", "", None, "http, https, git or ssh"),
        ("http:///a", "", None, "http, https, git or ssh"),
        ("https://e.org:x/a", "", None, "expected an address"),
        ("https://e.org/a", "sha256:1", None, "64 hexadecimal digits"),
        ("https://e.org/a", COMMIT, None, "64 hexadecimal digits"),
        ("https://e.org/a", "", True, "with a git address"),
        ("https://e.org/a.git", SHA256, None, "a commit's id"),
        ("https://e.org/a.git#--upload-pack=x", "", None, "a branch, tag or commit"),
        ("https://e.org/a.git?colour=red", "", None, "unexpected 'colour'"),
        ("https://e.org/a.git?tag=a&branch=b", "", None, "one of ref, branch and tag"),
        (f"https://e.org/a.git?commit={COMMIT}", "fedcba98", None, "expected one commit"),
    ],
)
def test_what_is_refused(text: str, checksum: str, keep: bool | None, message: str) -> None:
    with pytest.raises(DockerfileError, match=message):
        parse_remote(text, checksum=checksum, keep_git_dir=keep)


@given(st.one_of(st.text(), st.text(alphabet="htps:/@.git#?=&[]%-a").map("https://".__add__)))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        if is_remote(text):
            parse_remote(text)
    except DockerfileError:
        pass
