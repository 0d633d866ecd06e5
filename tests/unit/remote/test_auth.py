"""Passwords and tokens, as a registry asks for them."""

import base64
import gc

import pytest

from airdock.errors import AirdockError, DeniedError, RegistryError
from airdock.oci.descriptor import Descriptor
from airdock.oci.digest import Digest
from airdock.oci.media_types import LAYER_GZIP, MANIFEST
from airdock.remote.base import Login
from airdock.remote.http import Response

from .conftest import OpenRepository
from .server import Server, answer

RIGHT = Login(username="somebody", password="a secret")
WRONG = Login(username="somebody", password="a guess")
_MANIFEST = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}'


def fill(server: Server, repository: str = "team/app") -> None:
    server.add_manifest(_MANIFEST, MANIFEST, "1", repository)


def blob_of(server: Server, content: bytes, repository: str = "team/app") -> Descriptor:
    return Descriptor(media_type=LAYER_GZIP, digest=Digest(server.add_blob(content, repository)), size=len(content))


def test_nothing_is_said_to_a_registry_that_asks_for_nothing(server: Server, open_repository: OpenRepository) -> None:
    fill(server)
    open_repository(login=RIGHT).manifest("1")
    assert not any("Authorization" in request.headers for request in server.requests)


@pytest.mark.parametrize("kind", ["basic", "bearer"])
def test_the_right_password_opens(kind: str, server: Server, open_repository: OpenRepository) -> None:
    server.auth = kind
    fill(server)
    assert open_repository(login=RIGHT).manifest("1").content == _MANIFEST


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize("login", [WRONG, None])
def test_others_are_told_to_log_in(
    kind: str, login: Login | None, server: Server, open_repository: OpenRepository
) -> None:
    server.auth = kind
    server.grants = lambda access: login is not None
    fill(server)
    with pytest.raises(DeniedError) as caught:
        open_repository(login=login).manifest("1")
    assert f"airdock image login {server.address}" in caught.value.hint
    assert "a guess" not in str(caught.value.to_dict())


def test_a_token_is_anonymous_where_nobody_is_logged_in(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    fill(server)
    open_repository().manifest("1")
    (asked,) = server.asked("GET", "/token")
    assert "Authorization" not in asked.headers
    assert asked.query["scope"] == ["repository:team/app:pull"] and asked.query["service"] == ["tests, all of them"]


def test_the_password_goes_to_the_token_server_only(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    fill(server)
    open_repository(login=RIGHT).manifest("1")
    secret = base64.b64encode(b"somebody:a secret").decode()
    said = {request.path for request in server.requests if secret in request.headers.get("Authorization", "")}
    assert said == {"/token"}


def test_one_token_serves_until_it_ends(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    fill(server)
    repository = open_repository(login=RIGHT)
    for _ in range(3):
        repository.manifest("1")
    assert len(server.asked("GET", "/token")) == 1
    server.tokens.clear()  # as if it had ended on the registry's clock
    repository.manifest("1")
    assert len(server.asked("GET", "/token")) == 2


def test_writing_needs_another_token_than_reading(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    fill(server)
    repository = open_repository(login=RIGHT)
    repository.manifest("1")
    repository.put_manifest("2", _MANIFEST, MANIFEST)
    assert [asked.query["scope"] for asked in server.asked("GET", "/token")] == [
        ["repository:team/app:pull"],
        ["repository:team/app:pull,push"],
    ]


def test_a_smaller_grant_is_a_refusal(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    server.grants = lambda access: access.endswith(":pull")
    fill(server)
    repository = open_repository(login=RIGHT)
    repository.manifest("1")
    with pytest.raises(DeniedError):
        repository.put_manifest("2", _MANIFEST, MANIFEST)


def test_a_mount_that_the_token_server_does_not_grant_is_no_error(
    server: Server, open_repository: OpenRepository
) -> None:
    server.auth = "bearer"
    server.grants = lambda access: "team/app" in access
    blob = blob_of(server, b"of the others", "others/secret")
    assert not open_repository(login=RIGHT).mount(blob, "others/secret")


def test_a_mount_asks_for_both_repositories(server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    blob = blob_of(server, b"of the others", "others/base")
    assert open_repository(login=RIGHT).mount(blob, "others/base")
    assert set(server.asked("GET", "/token")[-1].query["scope"]) == {
        "repository:team/app:pull,push",
        "repository:others/base:pull",
    }
    assert ("team/app", blob.digest) in server.owners


def test_a_token_server_that_takes_forms_only_gets_one(server: Server, open_repository: OpenRepository) -> None:
    server.auth, server.takes_get = "bearer", False
    fill(server)
    assert open_repository(login=RIGHT).manifest("1").content == _MANIFEST
    assert b"grant_type=password" in server.asked("POST", "/token")[0].body


def test_an_identity_token_is_exchanged(server: Server, open_repository: OpenRepository) -> None:
    server.auth, server.identity_token = "bearer", "long"
    fill(server)
    assert open_repository(login=Login(identity_token="long")).manifest("1").content == _MANIFEST
    assert b"grant_type=refresh_token" in server.asked("POST", "/token")[0].body


def test_an_identity_token_that_is_not_taken_any_more(server: Server, open_repository: OpenRepository) -> None:
    server.auth, server.identity_token = "bearer", "another"
    fill(server)
    with pytest.raises(DeniedError, match="token server") as caught:
        open_repository(login=Login(identity_token="long")).manifest("1")
    assert "airdock image login" in caught.value.hint


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"token": 3}', b'{"token": ""}', b'{"token": "a\\r\\nX: y"}', b"\xff", b"[" * 100_000]
)
def test_a_token_server_that_says_something_else(body: bytes, server: Server, open_repository: OpenRepository) -> None:
    server.auth = "bearer"
    server.fault("/token", answer(200, body), times=9)
    with pytest.raises(RegistryError, match="expected a token"):
        open_repository(login=RIGHT).manifest("1")


@pytest.mark.parametrize("realm", ["", "file:///etc/passwd", "ftp://a.example/", "http://", "http://[", "token"])
def test_a_token_server_at_an_address_that_is_none(realm: str, server: Server, open_repository: OpenRepository) -> None:
    refusal = answer(401, WWW_Authenticate=f'Bearer realm="{realm}",service="s"')
    server.fault("/v2/", refusal, times=9)
    with pytest.raises(RegistryError, match="address"):
        open_repository(login=RIGHT).manifest("1")


def test_an_answer_whose_login_can_not_be_had_is_closed(server: Server, open_repository: OpenRepository) -> None:
    refusal = answer(401, body=b"x" * 100_000, WWW_Authenticate='Bearer realm="http://127.0.0.1:1/",service="s"')
    server.fault("/v2/.+", refusal, times=99)
    with pytest.raises(AirdockError) as caught:
        open_repository(retries=0).manifest("1")
    assert caught.value.__traceback__  # which holds all that led to it, so nothing is closed by being forgotten
    answers = [each for each in gc.get_objects() if isinstance(each, Response)]
    assert [each.status for each in answers if each._connection is not None] == []
    assert 401 in [each.status for each in answers]


def test_logins_are_looked_up_only_where_one_is_asked_for(server: Server, open_repository: OpenRepository) -> None:
    fill(server)
    repository = open_repository(login=RIGHT)
    repository.manifest("1")
    assert repository._authorizer._credentials.count == 0  # type: ignore[attr-defined]
