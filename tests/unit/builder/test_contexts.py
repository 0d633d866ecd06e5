"""Where the files of a build come from, and what stands in for what a Dockerfile names."""

import gzip
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from airdock.builder.contexts import open_context
from airdock.builder.outputs import Output, parse_output
from airdock.builder.times import newest_time
from airdock.errors import BuildError


def packed(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def test_a_folder(tmp_path: Path) -> None:
    assert open_context(str(tmp_path), place=tmp_path / "x").folder == tmp_path
    assert not (tmp_path / "x").exists()
    with pytest.raises(BuildError, match="found nothing"):
        open_context(str(tmp_path / "no"), place=tmp_path / "x")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_archive_on_standard_input(tmp_path: Path, pack) -> None:
    data = pack(packed({"Dockerfile": "FROM scratch\n", "d/a": "1"}))
    found = open_context("-", place=tmp_path / "x", stdin=io.BytesIO(data))
    assert found.folder is not None
    assert (found.folder / "d/a").read_text() == "1"
    assert found.dockerfile is None


def test_a_dockerfile_on_standard_input(tmp_path: Path) -> None:
    found = open_context("-", place=tmp_path / "x", stdin=io.BytesIO(b"FROM scratch\n"))
    assert (found.folder, found.dockerfile) == (None, "FROM scratch\n")


def test_bytes_that_are_neither(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="found neither"):
        open_context("-", place=tmp_path / "x", stdin=io.BytesIO(b"\xff\xfe\x00"))


def test_an_archive_that_reaches_out(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"'\.\.'"):
        open_context("-", place=tmp_path / "x", stdin=io.BytesIO(packed({"../out": "1"})))
    assert not (tmp_path / "out").exists()


def test_an_archive_and_a_dockerfile_from_the_web(tmp_path: Path) -> None:
    served = {"/files.tar.gz": gzip.compress(packed({"a": "1"})), "/Dockerfile": b"FROM scratch\n"}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served[self.path])))
            self.send_header("Last-Modified", "Sun, 09 Sep 2001 01:46:40 GMT")
            self.end_headers()
            self.wfile.write(served[self.path])

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        files = open_context(f"{address}/files.tar.gz", place=tmp_path / "x")
        text = open_context(f"{address}/Dockerfile", place=tmp_path / "y")
        server.shutdown()
    assert files.folder is not None
    assert (files.folder / "a").read_text() == "1"
    assert files.time_s == 1_000_000_000
    assert (text.folder, text.dockerfile) == (None, "FROM scratch\n")


def test_the_newest_time(tmp_path: Path) -> None:
    import os

    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("")
    for path, time_s in ((tmp_path / "d/a", 2000), (tmp_path / "d", 1000), (tmp_path, 1000)):
        os.utime(path, (time_s, time_s))
    assert newest_time(tmp_path) == 2000


def test_a_named_folder_stands_in_for_an_image_and_a_stage(bench, tmp_path: Path) -> None:
    more = tmp_path / "more"
    more.mkdir()
    (more / "a").write_text("named")
    text = "FROM scratch AS build\nCOPY nothing /\nFROM other\nCOPY --from=build a /b\n"
    image = bench.build(text, contexts={"build": str(more), "other": str(more)})
    assert (bench.text(image, "a"), bench.text(image, "b")) == ("named", "named")
    assert [text for *_, text, _ in bench.ended] == ["FROM other", "COPY --from=build a /b"]


def test_a_named_image_and_a_named_stage(bench) -> None:
    bench.base("real")
    text = "FROM scratch AS one\nCOPY a /a\nFROM two\nCOPY --from=three /usr/lib/old /\n"
    bench.write({"a": "1"})
    image = bench.build(text, contexts={"two": "target:one", "three": "docker-image://real"})
    assert (bench.text(image, "a"), bench.text(image, "old")) == ("1", "old")


def test_labels_annotations_and_outputs(bench, tmp_path: Path) -> None:
    bench.write({"a": "1"})
    out, tar = tmp_path / "out", tmp_path / "out.tar"
    outputs = (Output(kind="local", target=str(out)), Output(kind="tar", target=str(tar)))
    made = bench.build("FROM scratch\nCOPY a /d/a\nLABEL x=1\n", outputs=outputs, labels={"y": "2"})
    assert made.config.labels == {"x": "1", "y": "2"}
    assert (out / "d/a").read_text() == "1"
    with tarfile.open(tar) as archive:
        assert archive.getnames() == ["d", "d/a"]
    assert bench.store.list() == []
    archive_output = Output(kind="oci", target=str(tmp_path / "oci.tar"))
    kept = bench.build("FROM scratch\nCOPY a /\n", outputs=(archive_output,), annotations={"note": "yes"})
    assert kept.manifest.annotations == {"note": "yes"}
    with tarfile.open(tmp_path / "oci.tar") as archive:
        assert f"blobs/sha256/{kept.digest.hex}" in archive.getnames()
    folder = Output(kind="oci", target=str(tmp_path / "layout"), packed=False)
    assert bench.build("FROM scratch\nCOPY a /\n", outputs=(folder,), annotations={"note": "yes"}) == kept
    assert json.loads((tmp_path / "layout/index.json").read_text())["manifests"][0]["digest"] == kept.digest
    assert (tmp_path / "layout/oci-layout").is_file()
    nowhere = Output(kind="oci", target=str(tmp_path / "no/where.tar"))
    with pytest.raises(BuildError, match="expected a file for the output"):
        bench.build("FROM scratch\nCOPY a /\n", outputs=(nowhere,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("out", Output(kind="local", target="out")),
        ("-", Output(kind="tar", target="/dev/stdout")),
        ("type=local,dest=x", Output(kind="local", target="x")),
        ("type=tar", Output(kind="tar", target="/dev/stdout")),
        ("type=oci,dest=a.tar,name=b", Output(kind="oci", target="a.tar", names=("b",))),
        ("type=docker", Output(kind="docker")),
        ("type=image,name=x", Output(kind="image", names=("x",))),
        ("type=registry", Output(kind="registry", push=True)),
        ('type=image,"name=x,y:1",push=true', Output(kind="image", names=("x", "y:1"), push=True)),
        ("type=oci,dest=d,tar=false", Output(kind="oci", target="d", packed=False)),
        ("type=image,annotation.a=b,oci-mediatypes=true", Output(kind="image", annotations={"a": "b"})),
    ],
)
def test_outputs(text: str, expected: Output) -> None:
    assert parse_output(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("type=zip,dest=x", "dest=x", "type=local", "type=oci,dest", "type=oci,tar=false", "type=oci,tar=maybe"),
        *("type=image,compression=zstd", "type=image,push=x", "type=tar,push=true", "type=local,dest=x,name=a"),
    ],
)
def test_outputs_that_are_none(text: str) -> None:
    with pytest.raises(BuildError, match="expected"):
        parse_output(text)
