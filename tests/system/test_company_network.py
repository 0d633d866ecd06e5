"""A machine on a company's network: an index of its own behind a password, a certificate authority that nobody else
knows, a proxy. Packages come from there for requirements and for pip in a Dockerfile; the password stays outside."""

import base64
import http.server
import select
import shutil
import socket
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

NAME = "airdock-company-greeting"
WHEEL = "airdock_company_greeting-1.0-py3-none-any.whl"
FAR = "pypi.company.invalid"
"""A host that only the proxy knows."""
USER, PASSWORD = "ada", "pa55-of-the-company"
NOTHING_SET = dict.fromkeys(
    [
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "PIP_FIND_LINKS"),
        *("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX"),
        *("UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_CONFIG_FILE", "PIP_CONFIG_FILE"),
    ],
    "",
)
DAG = f"""
import os
from pathlib import Path
from airdock.sdk import DAG, task

def tell(name, text):
    Path(os.environ["AIRDOCK_WORKSPACE"], name).write_text(text)

with DAG("company"):
    @task(requirements=["{NAME}"])
    def listed():
        import company_greeting
        tell("listed", company_greeting.TEXT)

    listed()
"""
WITH_DOCKERFILE = """
    @task(dockerfile="Dockerfile")
    def built():
        import company_greeting
        tell("built", company_greeting.TEXT)

    built()
"""
DOCKERFILE = f"""FROM host
RUN python3 -m venv /opt/env && /opt/env/bin/pip install -q --disable-pip-version-check --no-cache-dir {NAME}
ENV PATH=/opt/env/bin:$PATH
"""


@dataclass
class Company:
    """`port` is the index's on localhost, `proxy` the proxy's; `authority` the certificate to trust, as text."""

    port: int
    proxy: int
    authority: str
    asked: list[str] = field(default_factory=list)
    """What the proxy was asked to connect to."""


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("company")
    make_certificates(folder)
    (folder / "simple" / NAME).mkdir(parents=True)
    make_wheel(folder / WHEEL)
    (folder / "simple" / NAME / "index.html").write_text(f'<!DOCTYPE html><a href="../../{WHEEL}">{WHEEL}</a>')
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    index = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_index(folder))
    index.socket = context.wrap_socket(index.socket, server_side=True)
    made = Company(port=index.server_port, proxy=0, authority=(folder / "ca.pem").read_text())
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), make_proxy(made))
    made.proxy = proxy.server_port
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (index, proxy)]
    for thread in threads:
        thread.start()
    yield made
    for server in (index, proxy):
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


def make_certificates(folder: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("a certificate authority needs openssl (apt-get install openssl)")
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    authority = ["-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=The Company", "-addext", "keyUsage=keyCertSign"]
    server = ["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem", "-subj", "/CN=Index"]
    server += ["-addext", f"subjectAltName=DNS:localhost,DNS:{FAR}", "-addext", "basicConstraints=critical,CA:FALSE"]
    for options in (authority, server):
        subprocess.run([*new, *options], cwd=folder, check=True, capture_output=True)


def make_wheel(path: Path) -> None:
    about = f"{NAME.replace('-', '_')}-1.0.dist-info"
    files = {
        "company_greeting.py": "TEXT = 'hello from the company'\n",
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{about}/RECORD"))
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in (*files.items(), (f"{about}/RECORD", record)):
            wheel.writestr(name, text)


def make_index(folder: Path) -> type[http.server.BaseHTTPRequestHandler]:
    """Serves the folder to whoever gives the password."""
    expected = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Index(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def do_GET(self) -> None:
            if self.headers.get("Authorization") == expected:
                super().do_GET()
                return
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET  # noqa: N815 - the name is http.server's

        def log_message(self, *_: object) -> None: ...

    return Index


def make_proxy(company: Company) -> type[http.server.BaseHTTPRequestHandler]:
    """Leads every connection to the index."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            company.asked.append(self.path)
            with socket.create_connection(("127.0.0.1", company.port)) as beyond:
                self.send_response(200)
                self.end_headers()
                ends = {self.connection: beyond, beyond: self.connection}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            self.close_connection = True
                            return
                        ends[ready].sendall(data)

        def log_message(self, *_: object) -> None: ...

    return Proxy


@pytest.fixture
def settings(account: Any, company: Company) -> Iterator[Path]:
    """A folder of the account's with the authority's certificate; goes with pip's settings at the end."""
    folder: Path = account.home / "company"
    account.run("mkdir", "-p", str(folder), str(account.home / ".config/pip"))
    (folder / "ca.pem").write_text(company.authority)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(account.home / ".config/pip")


def run(account: Any, folder: Path, text: str, env: Mapping[str, str]) -> dict[str, str]:
    """Run the DAG in a home of its own, so that nothing is remembered; what its tasks told."""
    home = folder / "home"
    (folder / "dag.py").write_text(text)
    done = account.airdock("run", str(folder / "dag.py"), env={**NOTHING_SET, "AIRDOCK_HOME": str(home), **env})
    assert done.returncode == 0, done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    blobs = list((home / "images/blobs/sha256").iterdir())
    assert blobs
    # Manifests, configurations and locks are small; layers are searched where they lie unpacked.
    files = [*blobs, *(home / "images/layers").rglob("*.lock"), *(home / "cache/environments").rglob("*")]
    small = [file for file in files if file.is_file() and file.stat().st_size < 100_000]
    assert [file.name for file in small if PASSWORD.encode() in file.read_bytes()] == []
    [told] = (home / "workspaces/company").iterdir()
    return {file.name: file.read_text() for file in told.iterdir()}


def test_pips_settings(account: Any, company: Company, settings: Path, unchanged_machine: object) -> None:
    (account.home / ".config/pip/pip.conf").write_text(
        f"[global]\nindex-url = https://{USER}:{PASSWORD}@localhost:{company.port}/simple\ncert = {settings}/ca.pem\n"
    )
    told = run(account, settings, DAG + WITH_DOCKERFILE, {})
    assert told == dict.fromkeys(("listed", "built"), "hello from the company")


def test_uvs_settings(account: Any, company: Company, settings: Path, unchanged_machine: object) -> None:
    env = {
        "UV_DEFAULT_INDEX": f"https://{USER}:{PASSWORD}@localhost:{company.port}/simple",
        "SSL_CERT_FILE": str(settings / "ca.pem"),
    }
    assert run(account, settings, DAG, env) == {"listed": "hello from the company"}


def test_a_proxy(account: Any, company: Company, settings: Path, unchanged_machine: object) -> None:
    env = {
        "HTTPS_PROXY": f"http://127.0.0.1:{company.proxy}",
        "NO_PROXY": "",
        "PIP_INDEX_URL": f"https://{USER}:{PASSWORD}@{FAR}/simple",
        "PIP_CERT": str(settings / "ca.pem"),
    }
    company.asked.clear()
    told = run(account, settings, DAG + WITH_DOCKERFILE, env)
    assert told == dict.fromkeys(("listed", "built"), "hello from the company")
    assert set(company.asked) == {f"{FAR}:443"}


def test_an_authority_that_is_not_trusted(account: Any, company: Company, settings: Path) -> None:
    (settings / "dag.py").write_text(DAG)
    env = {"PIP_INDEX_URL": f"https://{USER}:{PASSWORD}@localhost:{company.port}/simple"}
    done = account.airdock(
        "run", str(settings / "dag.py"), env={**NOTHING_SET, "AIRDOCK_HOME": str(settings / "home"), **env}
    )
    assert done.returncode == 1
    assert "certificate" in done.stdout
    assert "listed" in done.stdout
    assert PASSWORD not in done.stdout + done.stderr
