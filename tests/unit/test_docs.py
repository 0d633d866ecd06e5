"""The pages say what is so: links lead somewhere, commands parse, the README's example loads, help is as printed."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from airdock.cli.main import PROGRAM, airdock
from airdock.dag.load import load_dag_file

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TEXTS = [*PAGES, *sorted((ROOT / "docs").glob("*.svg")), *sorted((ROOT / "examples").rglob("*"))]

FORBIDDEN = re.compile(r"(?<![\w.~])/(?:work|root)/")
"""Paths of one machine have no place in pages that everybody reads."""

_LINK = re.compile(r"\]\(([^)\s]+)\)|<img src=\"([^\"]+)\"")
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(rf"(?:^|[;&|(`]|\$\(|\bsudo )\s*(?:\w+=\S+ )*(?:\S*/)?{PROGRAM} +(?!made\b)(.+)")
_END = re.compile(r"^(?:[|;&)`<>]|2>)")
_STAND_INS = {"…": "x"}


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Language and text of each fenced block."""
    return ((match[2], match[3]) for match in _FENCE.finditer(text))


def anchors(page: Path) -> set[str]:
    """The names under which the page's headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def block_commands(text: str) -> Iterator[str]:
    """What follows `airdock` on each line of shell: whole lines in shell blocks, behind a prompt in recordings."""
    for language, block in fences(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        elif language not in ("sh", "shell", "bash"):
            lines = [line for line in lines if re.match(rf"\s*(?:\S+ \| )?(?:\w+=\S+ )?{PROGRAM} [a-z-]", line)]
        for line in lines:
            yield from (match[1] for match in _COMMAND.finditer(line))


def inline_commands(text: str) -> Iterator[str]:
    """Commands within sentences; they may leave out what isn't spoken of."""
    for code in re.findall(rf"`((?:\w+=\S+ )?{PROGRAM} [a-z][^`\n]*)`", _FENCE.sub("", text)):
        yield from (match[1] for match in _COMMAND.finditer(code))


def words(command: str) -> list[str]:
    """The arguments of the first command of a line, without what the shell keeps for itself."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    found: list[str] = []
    for word in lexer:
        if _END.match(word) or set(word) <= set("()<>|;&"):
            break
        found.append(_STAND_INS.get(word, word))
    return found


def parse(arguments: list[str]) -> None:
    """Let click read the arguments of each group and of the command, and run none. Raises click.ClickException."""
    command: click.Command = airdock
    context = command.make_context(PROGRAM, list(arguments))
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        name, found, rest = command.resolve_command(context, rest)
        assert name is not None
        assert found is not None
        if isinstance(found, click.Group) and not rest:
            return
        command, context = found, found.make_context(name, rest, parent=context)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for first, second in _LINK.findall(_FENCE.sub("", page.read_text())):
        target = first or second
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{name_of(page)} links to {target}, which isn't there"
        assert not anchor or anchor in anchors(found), f"{name_of(page)} links to {target}: there are {anchors(found)}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_parse(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Files and folders that a command names needn't be there: it is read, not run.
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)
    monkeypatch.setattr("airdock.cli.parameters.Path.exists", lambda self, **_: True)
    text = page.read_text()
    blocks = set(block_commands(text))
    for command in (*blocks, *inline_commands(text)):
        given = words(command)
        try:
            parse(given)
        except click.exceptions.Exit:
            continue  # --help and --version
        except click.MissingParameter:
            assert command not in blocks, f"{name_of(page)}: airdock {command}: something is missing"
        except click.ClickException as error:
            pytest.fail(f"{name_of(page)}: airdock {command}: {error.format_message()}")


def test_commands_are_found() -> None:
    """The test above would be content with pages in which it sees no commands."""
    found = [command for page in PAGES for command in block_commands(page.read_text())]
    assert any(command.startswith("run first.py") for command in found)
    assert any(command.startswith("container run --rm --network none host ip") for command in found)
    assert any(command.startswith("image build -t chart") for command in found)


def test_wrong_commands_are_noticed() -> None:
    with pytest.raises(click.ClickException):
        parse(words("image ls --no-such-flag"))
    with pytest.raises(click.ClickException):
        parse(words("image fetch python | cat"))


@pytest.mark.parametrize("page", [ROOT / "README.md", ROOT / "docs" / "guide.md"], ids=name_of)
def test_python_examples_load_as_dags(page: Path, tmp_path: Path) -> None:
    (tmp_path / "word").mkdir()
    (tmp_path / "word" / "Dockerfile").write_text("FROM host\n")
    examples = [text for language, text in fences(page.read_text()) if language == "python"]
    assert examples
    for number, text in enumerate(examples):
        file = tmp_path / f"example_{number}.py"
        file.write_text(text)
        (dag,) = load_dag_file(file)
        assert dag.tasks


@pytest.mark.parametrize("page", TEXTS, ids=name_of)
def test_no_paths_of_one_machine(page: Path) -> None:
    if page.is_file():
        found = FORBIDDEN.search(page.read_text())
        assert found is None, f"{name_of(page)} has the path {found[0] if found else ''}…"


def test_the_page_of_commands_is_what_help_prints() -> None:
    # In a process of its own: a command that was called alone before keeps what its help was called then.
    made = subprocess.run([sys.executable, ROOT / "docs" / "make_cli.py", "-"], capture_output=True, text=True)
    assert made.stdout == (ROOT / "docs" / "cli.md").read_text(), "run: make docs"
