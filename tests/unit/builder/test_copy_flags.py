"""COPY --parents, --link and --exclude, and ADD of what was fetched: what goes where."""

import gzip
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airdock.errors import BuildError
from airdock.images.tar import DIRECTORY, REGULAR


def files(bench, instruction: str, base: str = "base") -> set[str]:
    found = bench.entries(bench.build(f"FROM {base}\n{instruction}\n").layers[-1])
    return {name for name, entry in found.items() if entry.kind != DIRECTORY}


@pytest.fixture
def based(bench):
    bench.base("base")
    bench.write({"a.txt": "a", "d/e.txt": "e", "d/f/g.txt": "g", "d/f/h.md": "h", "x/y/z/w.txt": "w", "x/y/v.py": "v"})
    (bench.context / "d/link").symlink_to("f")
    return bench


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("COPY --parents a.txt d/f/g.txt /o/", {"o/a.txt", "o/d/f/g.txt"}),
        ("COPY --parents d/f /o/", {"o/d/f/g.txt", "o/d/f/h.md"}),
        ("COPY --parents d/./f/g.txt /o/", {"o/f/g.txt"}),
        ("COPY --parents ./d/./f /o/", {"o/f/g.txt", "o/f/h.md"}),
        ("COPY --parents **/*.txt /o/", {"o/a.txt", "o/d/e.txt", "o/d/f/g.txt", "o/x/y/z/w.txt"}),
        ("COPY --parents x/**/*.txt /o/", {"o/x/y/z/w.txt"}),
        ("COPY --parents x/./**/*.py /o/", {"o/y/v.py"}),
        ("COPY --parents d/* /o/", {"o/d/e.txt", "o/d/f/g.txt", "o/d/f/h.md", "o/d/link"}),
        ("COPY --parents */f/*.md /o/", {"o/d/f/h.md"}),
        ("COPY --parents --exclude=**/*.md --exclude=x . /o/", {"o/a.txt", "o/d/e.txt", "o/d/f/g.txt", "o/d/link"}),
        ("COPY --parents ../../d/e.txt /o/", {"o/d/e.txt"}),
        ("COPY --exclude=f/*.md --exclude=link d /o/", {"o/e.txt", "o/f/g.txt"}),
        ("COPY --exclude=*.txt * /o/", {"o/f/g.txt", "o/f/h.md", "o/link", "o/y/z/w.txt", "o/y/v.py"}),
    ],
)
def test_where_files_go(based, instruction: str, expected: set[str]) -> None:
    assert files(based, instruction) == expected


def test_folders_on_the_way_are_like_those_they_come_from(based) -> None:
    (based.context / "d").chmod(0o700)
    (based.context / "d/f").chmod(0o710)
    found = based.entries(based.build("FROM base\nCOPY --parents --chown=3:4 d/f/g.txt /o/\n").layers[-1])
    assert (found["o/d"].mode, found["o/d/f"].mode, found["o/d/f"].uid) == (0o700, 0o710, 3)


@pytest.mark.parametrize("source", ["none", "d/./none", "none/./a.txt", "d/link/g.txt", "out/passwd", "out/./passwd"])
def test_what_is_missing_is_told(based, source: str) -> None:
    (based.context / "out").symlink_to("/etc")
    with pytest.raises(BuildError, match="expected") as raised:
        files(based, f"COPY --parents {source} /o/")
    assert raised.value.where == "Dockerfile:2"


def test_a_linked_copy_knows_nothing_of_the_stage(based) -> None:
    assert files(based, "COPY --link a.txt /lib/") == {"lib/a.txt"}  # where the base has a link to usr/lib
    found = based.entries(based.build("FROM base\nCOPY --link a.txt /home/airflow/a\n").layers[-1])
    assert (found["home/airflow"].mode, found["home/airflow"].uid) == (0o755, 0)


def test_a_linked_copy_is_known_on_another_base(based) -> None:
    based.base("other", [])
    one = based.build("FROM base\nCOPY --link d /d\n")
    two = based.build("FROM other\nCOPY --link d /d\n")
    assert one.layers[-1] == two.layers[-1]
    assert based.ended[-1][3]
    from_stage = "FROM base AS s\nFROM {}\nCOPY --link --from=s /home /h\n"
    one = based.build(from_stage.format("base"))
    two = based.build(from_stage.format("other"))
    assert one.layers[-1] == two.layers[-1]
    assert based.ended[-1][3]


def test_the_owner_of_a_linked_copy_is_looked_up_in_the_stage(based) -> None:
    found = based.entries(based.build("FROM base\nCOPY --link --chown=airflow a.txt /x/a\n").layers[-1])
    assert {(entry.uid, entry.gid) for entry in found.values()} == {(1000, 1001)}


class Handler(BaseHTTPRequestHandler):
    """Serves what the test put into `answers`: by path the status, headers and body."""

    answers: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        status, headers, body = self.answers.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    handler = type("Own", (Handler,), {"answers": {}, "asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        handler.url = f"http://127.0.0.1:{made.server_port}"
        yield handler
        made.shutdown()
        thread.join()


def test_a_file_of_a_server(based, server) -> None:
    server.answers["/f.txt"] = (200, {"Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}, b"hello")
    server.answers["/plain"] = (200, {}, b"plain")
    image = based.build(
        f"FROM base\nADD {server.url}/f.txt /o/\nADD --chmod=644 {server.url}/plain {server.url}/f.txt /p/\n"
    )
    first, second = (based.entries(layer) for layer in image.layers[1:])
    entry = first["o/f.txt"]
    assert (entry.kind, entry.mode, entry.uid, entry.size) == (REGULAR, 0o600, 0, 5)
    assert entry.mtime_ns == 1_445_412_480 * 10**9
    assert second["p/plain"].mode == 0o644
    assert second["p/plain"].mtime_ns == 946_684_800 * 10**9
    # The same bytes are the same layer; others aren't.
    again = based.build(f"FROM base\nADD {server.url}/f.txt /o/\n")
    assert based.ended[-1][3]
    assert again.layers[1] == image.layers[1]
    server.answers["/f.txt"] = (200, {}, b"other")
    assert based.build(f"FROM base\nADD {server.url}/f.txt /o/\n").layers[1] != image.layers[1]


def test_an_archive_of_a_server_is_unpacked_when_asked(based, server) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("in/side"), io.BytesIO())
    server.answers["/a.tgz"] = (200, {}, gzip.compress(packed.getvalue()))
    assert files(based, f"ADD {server.url}/a.tgz /o/") == {"o/a.tgz"}
    assert files(based, f"ADD --unpack {server.url}/a.tgz /o/") == {"o/in/side"}


def test_checksums_hold(based, server) -> None:
    server.answers["/f"] = (200, {}, b"hello")
    good = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert files(based, f"ADD --checksum={good} {server.url}/f /f") == {"f"}
    with pytest.raises(BuildError, match=f"found {good}") as raised:
        files(based, f"ADD --checksum=sha256:{'0' * 64} {server.url}/f /f")
    assert raised.value.where == "Dockerfile:2"


def test_tokens_go_to_their_host_only(based, server) -> None:
    server.answers["/f"] = (302, {"Location": server.url.replace("127.0.0.1", "localhost") + "/g"}, b"")
    server.answers["/g"] = (200, {}, b"moved")
    based.build(f"FROM base\nADD {server.url}/f /f\n", secrets={"HTTP_AUTH_TOKEN_127.0.0.1": b"open sesame\n"})
    assert server.asked == [("/f", "Bearer open sesame"), ("/g", "")]
    based.build(f"FROM base\nADD {server.url}/g /g\n", secrets={"HTTP_AUTH_HEADER_127.0.0.1": b"Basic abc"})
    assert server.asked[-1] == ("/g", "Basic abc")
    assert b"sesame" not in b"".join(path.read_bytes() for path in based.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((404, {}, b""), "404"),
        ((302, {"Location": "file:///etc/passwd"}, b""), "302|not allowed"),
        ((200, {"Content-Length": "9"}, b"short"), "broke off|IncompleteRead"),
    ],
)
def test_what_cannot_be_had_is_told(based, server, answer, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airdock.builder.download._PAUSES_S", ())
    server.answers["/f"] = answer
    with pytest.raises(BuildError, match=message) as raised:
        files(based, f"ADD {server.url}/f /f")
    assert raised.value.where == "Dockerfile:2"
    assert not list(based.folder.glob("cache/.tmp*"))
