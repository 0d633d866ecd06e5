"""Builds that were done before, found by how their files look."""

import os
import time
from pathlib import Path

import pytest

from airdock.builder.base import BuildRequest
from airdock.builder.build import build
from airdock.builder.recall import Recall, look
from airdock.clock import ManualClock
from airdock.images.image import Image
from airdock.model.progress import BuildStep, Progress

TEXT = "FROM base\nCOPY a /a\nRUN make\n"
LONG_AGO_NS = 10**9


@pytest.fixture
def known(bench, monkeypatch: pytest.MonkeyPatch):
    bench.base("base")
    bench.programs["make"] = lambda command, output: {"out": ""}
    bench.write({"a": "1"})
    # Records are only made of files that were changed a while ago.
    monkeypatch.setattr("airdock.builder.recall._SETTLED_NS", -LONG_AGO_NS * 60)
    return bench


def request(bench, text: str = TEXT, **more: object) -> BuildRequest:
    return BuildRequest(dockerfile=text, context=bench.context, label="test", **more)  # type: ignore[arg-type]


def make(bench, asked: BuildRequest) -> tuple[Image, bool]:
    """The image, and whether it was recalled."""
    told: list[Progress] = []
    cache = bench.folder / "cache"
    recall = Recall(asked, cache=cache, store=bench.store)
    found = recall.find(find=bench.store.find, report=told.append)
    if found is not None:
        assert [event.cached for event in told if isinstance(event, BuildStep) and event.seconds is not None]
        return found, True
    made = build(
        asked,
        store=bench.store,
        run=bench.run,
        find=bench.store.find,
        report=told.append,
        clock=ManualClock(),
        cache=cache,
        recall=recall,
    )
    return made, False


def test_an_equal_build_is_recalled_and_tagged(known) -> None:
    first, was_known = make(known, request(known))
    assert not was_known
    again, was_known = make(known, request(known, tags=("again:1",)))
    assert was_known
    assert again.digest == first.digest == known.store.find("again:1").digest


@pytest.mark.parametrize("change", ["bytes", "mode", "new", "gone", "ignored", "base", "argument", "text", "cache"])
def test_whatever_changes_is_built(known, change: str) -> None:
    make(known, request(known))
    asked = request(known)
    path: Path = known.context / "a"
    match change:
        case "bytes":  # as many of them, at the time that the file had
            status = path.stat()
            path.write_text("2")
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        case "mode":
            path.chmod(0o755)
        case "new":
            known.write({"b": "1"})
        case "gone":
            known.write({"b": "1"})
            make(known, request(known))
            (known.context / "b").unlink()
        case "ignored":
            known.write({".dockerignore": "b\n"})
        case "base":
            known.base("base", [], user="somebody")
        case "argument":
            asked = request(known, args={"A": "1"})
        case "text":
            asked = request(known, TEXT + "ENV A=1\n")
        case "cache":
            for step in (known.folder / "cache").glob("[0-9a-f][0-9a-f]/*"):
                step.unlink()
    assert make(known, asked)[1] is False


@pytest.mark.parametrize("asked", [{"no_cache": True}, {"explain": True}, {"no_cache_filter": frozenset({"x"})}])
def test_whoever_wants_steps_done_gets_them(known, asked: dict[str, object]) -> None:
    make(known, request(known))
    assert make(known, request(known, **asked))[1] is False


def test_files_that_changed_just_now_are_not_trusted(bench) -> None:
    bench.write({"a": "1"})
    asked = request(bench)
    at = (bench.context / "a").stat().st_ctime_ns
    assert look(asked, now_ns=lambda: at + 1000)[1] is False
    assert look(asked, now_ns=lambda: time.time_ns() + LONG_AGO_NS)[1] is True


def test_a_link_that_leads_nowhere_and_a_folder_that_is_gone(bench) -> None:
    (bench.context / "link").symlink_to("nowhere")
    assert look(request(bench))[0] is not None
    (bench.context / "link").unlink()
    bench.context.rmdir()
    assert look(request(bench)) == (None, False)
