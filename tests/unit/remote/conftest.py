"""A registry of a test's own, and repositories of it as the client sees them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from airdock.remote.auth import Authorizer
from airdock.remote.base import Login, RemoteSettings, Transfer
from airdock.remote.endpoints import endpoints_of
from airdock.remote.http import Http
from airdock.remote.repository import Repository

from .server import Server, serve

OpenRepository = Callable[..., Repository]


class Logins:
    """Logins by registry, and how often they were looked up."""

    def __init__(self, **logins: Login) -> None:
        self.any = next(iter(logins.values()), None)
        self.count = 0

    def find(self, registry: str) -> Login | None:
        self.count += 1
        return self.any


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as made:
        yield made


@pytest.fixture
def told() -> list[Transfer]:
    return []


@pytest.fixture
def open_repository(server: Server, told: list[Transfer]) -> Iterator[OpenRepository]:
    """Opens `team/app`, or another name, of the test's registry; settings as keyword arguments."""
    with ExitStack() as stack:

        def make(
            name: str = "team/app", *, login: Login | None = None, address: str = "", **settings: Any
        ) -> Repository:
            chosen = RemoteSettings(**{"timeout_s": 5.0, **settings})
            http = Http(chosen)
            stack.callback(http.close)
            registry = address or server.address
            logins = Logins(one=login) if login else Logins()
            authorizer = Authorizer(registry=registry, http=http, credentials=logins)
            return Repository(
                registry=registry,
                name=name,
                endpoint=endpoints_of(registry, chosen, mirrors=False)[0],
                http=http,
                authorizer=authorizer,
                settings=chosen,
                tell=told.append,
            )

        yield make
