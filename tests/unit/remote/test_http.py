"""Connections: kept, through proxies, by TLS with private certificates; and redirects that may not be followed."""

import base64
import gc
import shutil
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from airdock.errors import RegistryError, UnreachableError
from airdock.remote.base import RemoteSettings
from airdock.remote.http import Http, is_loopback

from .server import Handler, Server, answer, endless, hang_up, raw, serve, trickle


@contextmanager
def http_of(**settings: Any) -> Iterator[Http]:
    made = Http(RemoteSettings(**{"timeout_s": 5.0, **settings}))
    try:
        yield made
    finally:
        made.close()


def get(http: Http, url: str, headers: Mapping[str, str] | None = None) -> bytes:
    with http.request("GET", url, headers=headers) as response:
        return response.read(1 << 20)


# connections


def test_a_connection_is_kept(server: Server) -> None:
    ports: list[int] = []
    server.fault("/v2/", lambda handler: ports.append(handler.client_address[1]) or handler.reply(200), times=9)
    with http_of() as http:
        for _ in range(3):
            get(http, f"http://{server.address}/v2/")
    assert len(ports) == 3 and len(set(ports)) == 1


def test_an_answer_that_was_not_read_ends_its_connection(server: Server) -> None:
    server.fault("/v2/", endless())
    with http_of() as http:
        with http.request("GET", f"http://{server.address}/v2/"):
            pass
        assert get(http, f"http://{server.address}/v2/") == b"{}"


def answer_and_close(handler: Handler) -> None:
    handler.reply(200)
    handler.close_connection = True


def test_a_kept_connection_that_was_closed_meanwhile_is_no_failure(server: Server) -> None:
    with http_of() as http:
        server.fault("/v2/$", answer_and_close)
        get(http, f"http://{server.address}/v2/")
        assert get(http, f"http://{server.address}/v2/") == b"{}"


def test_a_body_is_read_up_to_a_bound_only(server: Server) -> None:
    server.fault("/v2/", endless())
    refused = pytest.raises(RegistryError, match="at most 1000 bytes")
    with http_of() as http, http.request("GET", f"http://{server.address}/v2/") as response, refused:
        response.read(1000)


def test_a_document_that_comes_in_drops_for_ever_is_given_up(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airdock.remote.http._DOCUMENT_S", 0.05)
    server.fault("/v2/", trickle(0.005))
    late = pytest.raises(UnreachableError, match=r"within 0.05 s, found \d+ bytes")
    with http_of() as http, http.request("GET", f"http://{server.address}/v2/") as response, late:
        response.read(1000)


# what may be followed


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_when_reading(status: int, server: Server) -> None:
    server.fault("/here", answer(status, Location="/v2/"))
    with http_of() as http:
        assert get(http, f"http://{server.address}/here") == b"{}"


def test_redirects_are_not_followed_when_writing(server: Server) -> None:
    server.fault("/here", answer(307, Location="/v2/"), method="POST")
    with http_of() as http, http.request("POST", f"http://{server.address}/here") as response:
        assert response.status == 307


def test_authorization_stays_with_its_host(server: Server) -> None:
    with serve() as other, http_of() as http:
        server.fault("/here", answer(302, Location=f"http://{other.address}/v2/"))
        server.fault("/there", answer(302, Location="/v2/"))
        get(http, f"http://{server.address}/here", {"Authorization": "Basic secret"})
        get(http, f"http://{server.address}/there", {"Authorization": "Basic secret"})
        assert not any("Authorization" in one.headers for one in other.requests)
        assert server.asked("GET", "/v2/")[0].headers["Authorization"] == "Basic secret"


@pytest.mark.parametrize(
    "url", ["", "registry/v2/", "file:///etc/passwd", "http://", "http://a:port/", "http://a\r\nX: y/", "http://a b/"]
)
def test_only_web_addresses_are_asked(url: str) -> None:
    with http_of() as http, pytest.raises(RegistryError, match="web address"):
        http.request("GET", url)


# failures that say what to do


def test_an_unknown_host_is_named() -> None:
    with http_of() as http, pytest.raises(UnreachableError, match=r"nowhere\.invalid") as caught:
        http.request("GET", "https://nowhere.invalid/v2/")
    assert "HTTPS_PROXY" in caught.value.hint


@pytest.mark.parametrize("act", [hang_up, raw(b"SSH-2.0-OpenSSH\r\n"), raw(b"HTTP/9.9 what\r\n\r\n")])
def test_what_is_no_web_server_is_told(act: Any, server: Server) -> None:
    server.fault("/v2/", act, times=9)
    with http_of() as http, pytest.raises(UnreachableError) as caught:
        get(http, f"http://{server.address}/v2/")
    assert server.address in caught.value.where


# proxies


class Proxy:
    """Passes requests and tunnels on, and remembers their heads."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.refuses = False
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.targets: dict[str, str] = {}
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.heads.append(head)
            if self.refuses:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, url, _ = head.split(b"\r\n")[0].decode().split()
            host = url if method == "CONNECT" else url.split("/")[2]
            name, port = self.targets.get(host, host).rsplit(":", 1)
            with socket.create_connection((name, int(port))) as target:
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    target.sendall(head)
                back = threading.Thread(target=self._pump, args=(target, client), daemon=True)
                back.start()
                self._pump(client, target)
                back.join()

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


def test_plain_requests_go_through_a_proxy_with_its_password(server: Server, proxy: Proxy) -> None:
    proxy.targets["registry.example"] = server.address
    with http_of(proxies={"http_proxy": f"http://me:p%40ss@{proxy.address}"}) as http:
        assert get(http, "http://registry.example/v2/") == b"{}"
    said = base64.b64encode(b"me:p@ss")
    assert proxy.heads[0].startswith(b"GET http://registry.example/v2/ HTTP/1.1\r\n")
    assert b"Proxy-Authorization: Basic " + said in proxy.heads[0]


def test_loopback_and_exceptions_go_straight(server: Server, proxy: Proxy) -> None:
    with http_of(proxies={"http_proxy": f"http://{proxy.address}"}) as http:
        get(http, f"http://{server.address}/v2/")
    assert not proxy.heads


@pytest.mark.parametrize(
    ("host", "exceptions", "is_direct"),
    [
        ("a.example", "a.example", True),
        ("a.example", "example", True),
        ("a.example", ".example", True),
        ("a.example", "*.example", True),
        ("a.example", "b.example, a.example", True),
        ("a.example", "a.example:80", True),
        ("a.example", "a.example:81", False),
        ("a.example", "le", False),
        ("a.example", "*", True),
        ("a.example", "", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("10.1.2.3", "11.0.0.0/8", False),
        ("10.1.2.3", "10.1.2.3", True),
        ("[fd00::1]", "fd00::/8", True),
    ],
)
def test_exceptions_from_the_proxy(host: str, exceptions: str, is_direct: bool) -> None:
    from urllib.parse import urlsplit

    with http_of(proxies={"http_proxy": "http://proxy.example:3128", "no_proxy": exceptions}) as http:
        assert (http._proxy_for(urlsplit(f"http://{host}/v2/")) == "") is is_direct


def test_a_proxy_that_refuses_a_tunnel_is_told(proxy: Proxy) -> None:
    proxy.refuses = True
    refused = pytest.raises(UnreachableError, match="407")
    with http_of(proxies={"https_proxy": f"http://{proxy.address}"}) as http, refused:
        http.request("GET", "https://registry.example/v2/")
    # Before Python 3.11.4 http.client keeps what it read of the proxy's answer until it is collected.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("[::1]", True),
        ("registry.localhost", True), ("localhost.example", False), ("10.0.0.1", False), ("127.0.0.1.example", False),
        ("", False),
    ],
)  # fmt: skip
def test_loopback_is_where_nobody_listens_in(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# TLS


class Authority:
    """A certificate authority of the tests' own, made with openssl."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                  "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.crt")  # fmt: skip
        for name in ("server", "client"):
            (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:registry.example\n")
            self._run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                      "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")  # fmt: skip
            self._run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip

    def _run(self, *words: str) -> None:
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, capture_output=True)

    def context(self, *, asks_back: bool = False) -> ssl.SSLContext:
        made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        made.load_cert_chain(self.folder / "server.crt", self.folder / "server.key")
        if asks_back:
            made.load_verify_locations(self.folder / "ca.crt")
            made.verify_mode = ssl.CERT_REQUIRED
        return made


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    return Authority(tmp_path_factory.mktemp("authority"))


def test_an_unknown_certificate_is_refused_with_what_to_do(authority: Authority) -> None:
    refused = pytest.raises(UnreachableError, match="certificate")
    with serve(context=authority.context()) as server, http_of() as http, refused as caught:
        http.request("GET", f"https://{server.address}/v2/")
    assert f"certs.d/{server.address}/ca.crt" in caught.value.hint and "registries.insecure" in caught.value.hint


def test_a_private_authority_is_read_from_certs_d(authority: Authority, tmp_path: Path) -> None:
    with serve(context=authority.context()) as server, http_of(certificates=[tmp_path]) as http:
        (tmp_path / server.address).mkdir()
        shutil.copy(authority.folder / "ca.crt", tmp_path / server.address)
        assert get(http, f"https://{server.address}/v2/") == b"{}"


def test_a_private_authority_is_read_from_the_environment(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.crt"))
    with serve(context=authority.context()) as server, http_of() as http:
        assert get(http, f"https://{server.address}/v2/") == b"{}"


def test_a_registry_may_ask_for_our_certificate(authority: Authority, tmp_path: Path) -> None:
    with serve(context=authority.context(asks_back=True)) as server, http_of(certificates=[tmp_path]) as http:
        folder = tmp_path / server.address
        folder.mkdir()
        shutil.copy(authority.folder / "ca.crt", folder)
        shutil.copy(authority.folder / "client.crt", folder / "client.cert")
        shutil.copy(authority.folder / "client.key", folder)
        assert get(http, f"https://{server.address}/v2/") == b"{}"


def test_an_insecure_registry_needs_no_certificate(authority: Authority) -> None:
    with serve(context=authority.context()) as server, http_of(insecure=frozenset({server.address})) as http:
        assert get(http, f"https://{server.address}/v2/") == b"{}"


def test_damaged_certificates_are_told(authority: Authority, tmp_path: Path) -> None:
    with serve(context=authority.context()) as server, http_of(certificates=[tmp_path]) as http:
        (tmp_path / server.address).mkdir()
        (tmp_path / server.address / "ca.crt").write_text("no certificate")
        with pytest.raises(RegistryError, match="certificates that can be read"):
            http.request("GET", f"https://{server.address}/v2/")


def test_tls_goes_through_a_proxy_in_a_tunnel(
    authority: Authority, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.crt"))
    with serve(context=authority.context()) as server:
        proxy.targets["registry.example:443"] = server.address
        with http_of(proxies={"https_proxy": f"http://me:hush@{proxy.address}"}) as http:
            assert get(http, "https://registry.example/v2/", {"Authorization": "Basic secret"}) == b"{}"
    assert proxy.heads[0].startswith(b"CONNECT registry.example:443 ")
    assert base64.b64encode(b"me:hush") in proxy.heads[0] and b"secret" not in proxy.heads[0]


def test_there_is_no_way_from_tls_to_plain_http(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.crt"))
    with serve(context=authority.context()) as server, http_of() as http:
        server.fault("/v2/", answer(302, Location="http://storage.example/blob"))
        with pytest.raises(RegistryError, match="https") as caught:
            get(http, f"https://{server.address}/v2/")
    assert "registries.insecure" in caught.value.hint


def test_a_file_is_sent_through_tls(authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from airdock.remote.http import Body

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.folder / "ca.crt"))
    (tmp_path / "file").write_bytes(bytes(3_000_000))
    with serve(context=authority.context()) as server, http_of() as http:
        server.fault("/x", answer(201), method="PUT")
        with (tmp_path / "file").open("rb", buffering=0) as file:
            file.seek(1_000_000)
            with http.request("PUT", f"https://{server.address}/x", body=Body(file, 2_000_000)) as response:
                assert response.status == 201
        assert len(server.asked("PUT")[0].body) == 2_000_000
