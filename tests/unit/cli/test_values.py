"""Values of flags, templates and tables."""

import json
from pathlib import Path

import click
import pytest

from airdock.cli.parameters import load_env_file, parse_env, to_hostname, to_name
from airdock.cli.run import parse_target
from airdock.cli.tables import Column, fit, render_table, width
from airdock.cli.template import render_rows

TITLES = {"Repository": "REPOSITORY", "Tag": "TAG", "ID": "IMAGE ID"}
ROWS = [{"Repository": "chart", "Tag": "1", "ID": "3f2a"}, {"Repository": "<none>", "Tag": "<none>", "ID": "aa11"}]


def test_a_bare_variable_takes_our_value_and_is_left_out_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "ours")
    monkeypatch.delenv("NOWHERE", raising=False)
    assert parse_env(("A=1", "B=", "C=x=y", "HERE", "NOWHERE")) == {"A": "1", "B": "", "C": "x=y", "HERE": "ours"}


def test_a_file_of_variables(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("# a comment\n\nA=1\n  B='quoted'\n")
    assert load_env_file(path) == {"A": "1", "B": "'quoted'"}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Repository}}:{{.Tag}}", "chart:1\n<none>:<none>"),
        ("{{ .ID }}", "3f2a\naa11"),
        ("{{json .Tag}}", '"1"\n"<none>"'),
        ("json", "\n".join(map(json.dumps, ROWS))),
        (r"table {{.ID}}\t{{.Tag}}", "IMAGE ID   TAG\n3f2a       1\naa11       <none>"),
    ],
)
def test_templates(template: str, text: str) -> None:
    assert render_rows(ROWS, template, TITLES) == text


@pytest.mark.parametrize("template", ["{{.Nope}}", "{{json .Nope}}", "{{if .Nope}}x{{end}}"])
def test_a_template_that_asks_for_more_is_told_what_there_is(template: str) -> None:
    with pytest.raises(click.UsageError, match=r"there are: \{\{\.Repository\}\}"):
        render_rows(ROWS, template, TITLES)


def test_a_table_with_no_rows_is_its_heading() -> None:
    assert render_rows([], r"table {{.ID}}\t{{.Tag}}", TITLES) == "IMAGE ID   TAG"


def test_columns_count_cells_not_letters() -> None:
    red = click.style("no", fg="red")
    assert (width("表"), width(red), width("e\N{COMBINING ACUTE ACCENT}")) == (2, 2, 1)
    assert render_table((Column("A"), Column("B", right=True)), [["表", "1"], [red, "22"]]) == (
        f"A     B\n表    1\n{red}   22"
    )
    assert fit("abcdef", 4) == "abc…"
    assert fit("abcd", 4) == "abcd"
    assert fit("表" * 9 + "ab", 6) == "表表…"
    assert fit("x" * 3_000_000, 4) == "xxx…"  # a line of a Dockerfile may be that long


def test_a_dag_is_chosen_behind_a_colon(tmp_path: Path) -> None:
    assert parse_target("etl.py:nightly") == (Path("etl.py"), "nightly")
    assert parse_target("etl.py") == (Path("etl.py"), None)
    assert parse_target("a:b/etl.py") == (Path("a:b/etl.py"), None)
    odd = tmp_path / "odd:name"
    odd.mkdir()
    assert parse_target(str(odd)) == (odd, None)


@pytest.mark.parametrize("name", ["../../x", "/", "a b", "a\nb", "-x", ".x", "größe", "x" * 129])
def test_a_containers_name_is_plain(name: str) -> None:
    with pytest.raises(click.BadParameter, match="expected letters"):
        to_name(name)


@pytest.mark.parametrize("name", ["", "web", "a.b-c_1", "0", "x" * 128])
def test_plain_names_are_taken_as_they_are(name: str) -> None:
    assert to_name(name) == name


@pytest.mark.parametrize("name", ["a\nb", "a b", "-a", "a" * 65, "é"])
def test_a_hostname_is_plain(name: str) -> None:
    with pytest.raises(click.BadParameter):
        to_hostname(name)
