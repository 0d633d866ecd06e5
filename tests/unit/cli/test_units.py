"""Sizes and durations, held against what Docker prints."""

from datetime import timedelta

import pytest

from airdock.cli.units import parse_size, render_age, render_memory, render_seconds, render_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1024", 1024),
        ("512m", 512 << 20),
        ("512M", 512 << 20),
        ("64MiB", 64 << 20),
        ("64mb", 64 << 20),
        ("1.5g", 3 << 29),
        ("2 GB", 2 << 30),
        ("10k", 10240),
        ("7b", 7),
    ],
)
def test_sizes_are_read_in_steps_of_1024(text: str, count: int) -> None:
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "m", "12x", "-5m", "1,5g", "0x10"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 512m"):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (13256, "13.3kB"),
        (5_610_000, "5.61MB"),
        (117_000_000, "117MB"),
        (1_240_000_000, "1.24GB"),
    ],
)
def test_sizes_are_printed_as_docker_does(count: int, text: str) -> None:
    assert render_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "Less than a second"),
        (1, "1 second"),
        (59, "59 seconds"),
        (61, "About a minute"),
        (150, "2 minutes"),
        (3600, "About an hour"),
        (3 * 3600, "3 hours"),
        (47 * 3600, "47 hours"),
        (3 * 86400, "3 days"),
        (15 * 86400, "2 weeks"),
        (90 * 86400, "3 months"),
        (800 * 86400, "2 years"),
        (-5, "Less than a second"),
    ],
)
def test_ages_are_dockers_words(seconds: float, text: str) -> None:
    assert render_age(timedelta(seconds=seconds)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0042, "4 ms"), (0.42, "0.42 s"), (9.999, "10.0 s"), (99.96, "1m 40s"), (185, "3m 05s"), (7800, "2h 10m")],
)
def test_durations_fit_a_column(seconds: float, text: str) -> None:
    assert render_seconds(seconds) == text


def test_memory_is_in_the_unit_of_limits() -> None:
    assert render_memory(64 << 20) == "64 MiB"
    assert render_memory(7_800_000) == "7.4 MiB"
