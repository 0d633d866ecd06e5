"""Templates for --format: what Go's own package makes of them."""

import click
import pytest

from airdock.cli.go_template import render_go

VALUE = {
    "Id": "sha256:0123456789",
    "RepoTags": ["a:1", "b:2"],
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"x.y": "z", "k": "v"}, "Cmd": None, "Tty": False},
    "Size": 12,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "sha256:0123456789"),
        ("{{ .Size }} bytes", "12 bytes"),
        ("{{.RepoTags}} {{.Config.Labels}}", "[a:1 b:2] map[k:v x.y:z]"),
        ("{{json .Config.Env}} {{.RepoTags | json}}", '["A=1", "B=2"] ["a:1", "b:2"]'),
        ("{{json .Config.Cmd}} {{.Config.Cmd}} {{.Config.Cmd.More}}", "null <no value> <no value>"),
        ('{{index .RepoTags 0}} {{index .Config.Labels "x.y"}}', "a:1 z"),
        ('{{join .RepoTags ", "}}', "a:1, b:2"),
        ("{{len .RepoTags}}", "2"),
        ("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n"),
        ("{{range $i, $e := .RepoTags}}{{$i}}={{$e}} {{end}}", "0=a:1 1=b:2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}:{{$v}};{{end}}", "k:v;x.y:z;"),
        ("{{range $e := .RepoTags}}{{$e}}{{end}}", "a:1b:2"),
        ("{{range .Config.Cmd}}x{{else}}none{{end}}", "none"),
        ("{{if .Config.Tty}}tty{{else if .Size}}sized{{else}}no{{end}}", "sized"),
        ("{{if not .Config.Tty}}plain{{end}}", "plain"),
        ("{{with .Config}}{{.Env}}{{end}}", "[A=1 B=2]"),
        ("{{with .Config.Cmd}}{{.}}{{else}}nothing{{end}}", "nothing"),
        ("{{$x := .Size}}{{$x}}{{with .Config}}{{$.Size}}{{end}}", "1212"),
        ("{{slice .Id 7 12}} {{upper (index .RepoTags 1)}}", "01234 B:2"),
        ('{{if eq .Size 12}}yes{{end}}{{if and (gt .Size 3) (lt .Size 20)}}!{{end}}', "yes!"),
        ('{{printf "%-5s|%d|%q" "ab" .Size .Id}}', 'ab   |12|"sha256:0123456789"'),
        ('{{(index (split .Id ":") 1)}}', "0123456789"),
        ("a {{- .Size -}} b", "a12b"),
        ("a{{/* nothing */}}b", "ab"),
        ('{{"}}"}}', "}}"),
        ("{{`raw`}}", "raw"),
        ("{{true}} {{title \"word\"}} {{or .Config.Tty .Size}}", "true Word 12"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_comes_out(template: str, text: str) -> None:
    assert render_go(template, VALUE) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{.Nothing}}", "got .Nothing; there are: Config Id RepoTags Size"),
        ("{{.Size.More}}", "no fields in 12"),
        ("{{nothing .Size}}", "found 'nothing'; there are: and eq"),
        ("{{index .RepoTags 7}}", "expected other arguments for index"),
        ("{{if .Size}}", "expected {{end}} for {{if .Size}}"),
        ("{{end}}", "before {{end}}"),
        ("{{.Size", "expected '}}' after '{{.Size'"),
        ("{{.Size .Id}}", "expected a function before '.Id'"),
        ("{{$x}}", "expected a variable that is set, found $x"),
        ("{{ | }}", "expected a value, found '|'"),
        ("{{#}}", "found '#'"),
        ("{{(.Size}}", "closing parenthesis"),
    ],
)
def test_what_is_wrong(template: str, said: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        render_go(template, VALUE)
    assert said in caught.value.message
