"""Which secret is sent to which server."""

import pytest

from airdock.builder.access import git_header, http_header
from airdock.errors import BuildError


def test_a_token_goes_before_a_header_and_a_host_before_all() -> None:
    secrets = {"GIT_AUTH_TOKEN": b"all", "GIT_AUTH_TOKEN.one.example": b"one\n", "GIT_AUTH_HEADER": b"Digest x"}
    assert git_header(secrets, "one.example") == "Basic eC1hY2Nlc3MtdG9rZW46b25l"
    assert git_header(secrets, "other.example") == "Basic eC1hY2Nlc3MtdG9rZW46YWxs"
    assert git_header({"GIT_AUTH_HEADER": b"Digest x"}, "one.example") == "Digest x"
    web = {"HTTP_AUTH_TOKEN_one.example": b"t", "HTTP_AUTH_HEADER_two.example": b"Basic y"}
    assert [http_header(web, host) for host in ("one.example", "two.example", "three.example")] == [
        "Bearer t", "Basic y", "",
    ]  # fmt: skip


def test_a_secret_of_several_lines_is_no_header() -> None:
    with pytest.raises(BuildError, match="to be one line"):
        http_header({"HTTP_AUTH_TOKEN_a": b"t\r\nHost: b"}, "a")
