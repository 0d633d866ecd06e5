"""The parser, held against the files of the reference implementation."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airdock.builder.parser import Node, parse, parse_heredoc_word
from airdock.errors import DockerfileError

DATA = Path(__file__).parents[4] / "shared" / "data" / "dockerfile"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the conformance files are not at {DATA}")
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


def cases(folder: str) -> list[Path]:
    return sorted(path for path in (DATA / folder).iterdir() if path.is_dir()) if DATA.is_dir() else []


def quote(text: str) -> str:
    """A string as the reference's printer writes it: Go's quoting."""
    out = ""
    for character in text:
        if character in '"\\':
            out += "\\" + character
        elif character in _ESCAPES:
            out += _ESCAPES[character]
        else:
            out += character if character.isprintable() else f"\\x{ord(character):02x}"
    return f'"{out}"'


def render(node: Node) -> str:
    parts = [node.name]
    if node.flags:
        parts.append("[" + " ".join(quote(flag) for flag in node.flags) + "]")
    if node.trigger:
        parts.append(render(node.trigger))
    parts += (quote(argument) for argument in node.arguments)
    return "(" + " ".join(parts) + ")"


@needs_data
def test_every_case_is_there() -> None:
    assert (len(cases("parser")), len(cases("parser-negative"))) == (33, 4)


@needs_data
@pytest.mark.parametrize("case", cases("parser"), ids=lambda case: case.name)
def test_reads_the_same_tree(case: Path) -> None:
    document = parse((case / "Dockerfile").read_bytes().decode())
    expected = (case / "result").read_bytes().decode()
    assert "".join(render(node) + "\n" for node in document.nodes).strip() == expected.strip()


@needs_data
@pytest.mark.parametrize("case", cases("parser-negative"), ids=lambda case: case.name)
def test_refuses(case: Path) -> None:
    with pytest.raises(DockerfileError):
        parse((case / "Dockerfile").read_text())


def test_an_error_names_file_and_line() -> None:
    with pytest.raises(DockerfileError) as raised:
        parse("FROM a\n\n# c\nENV ONLY\n", name="sub/Dockerfile")
    assert raised.value.where == "sub/Dockerfile:4"


def test_lines_and_comments_are_kept_with_the_instruction() -> None:
    nodes = parse("# syntax=x\n# one\n\n# two\nFROM a\nRUN b \\\n # no\n\n c\nCMD d").nodes
    assert [(node.name, node.line, node.end_line, node.comments) for node in nodes] == [
        ("from", 5, 5, ("two",)),
        ("run", 6, 9, ()),
        ("cmd", 10, 10, ()),
    ]
    assert [node.blank_lines for node in nodes] == [(), (8,), ()]


def test_directives_are_read_once_and_only_at_the_top() -> None:
    assert parse("#escape=`\n#Check=skip=all\nFROM a").directives == {"escape": "`", "check": "skip=all"}
    with pytest.raises(DockerfileError, match="second"):
        parse("#escape=`\n#escape=`\nFROM a")
    with pytest.raises(DockerfileError, match="escape"):
        parse("#escape=x\nFROM a")


def test_heredocs_belong_to_their_instruction() -> None:
    text = "FROM a\nRUN cat <<A 3<<-'B C'\n1\nA\n\t2\n\tB C\nCOPY <<X <<\"Y\" /d/\nx\nX\ny\nY\nCMD z\n"
    _, run, copy, cmd = parse(text).nodes
    assert [(doc.name, doc.content, doc.text, doc.expand, doc.descriptor) for doc in run.heredocs] == [
        ("A", "1\n", "1\n", True, 0),
        ("B C", "\t2\n", "2\n", False, 3),
    ]
    assert [(doc.name, doc.text, doc.expand) for doc in copy.heredocs] == [("X", "x\n", True), ("Y", "y\n", False)]
    assert (cmd.line, cmd.arguments) == (12, ("z",))


def test_a_heredoc_needs_its_end() -> None:
    with pytest.raises(DockerfileError, match="unterminated heredoc"):
        parse("FROM a\nRUN <<EOF\nls\n")


@pytest.mark.parametrize("word", ["<<", "<<<EOF", "a<<EOF", "<<A B", "< <EOF"])
def test_other_words_open_no_heredoc(word: str) -> None:
    assert parse_heredoc_word(word) is None


def test_windows_line_ends_and_byte_order_mark() -> None:
    assert [render(node) for node in parse("\ufeffFROM a\r\nRUN b \\\r\n c\r\n").nodes] == [
        '(from "a")',
        '(run "b  c")',
    ]


LINES = st.lists(
    st.text(alphabet=st.sampled_from(list("FROMRUNCOPYENVONBUILD ab=[]\"'\\`$<-#\t\r@{}é")), max_size=40), max_size=8
)


@given(st.one_of(st.text(), LINES.map("\n".join), LINES.map("\nRUN ".join), LINES.map("\nENV ".join)))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        parse(text)
    except DockerfileError:
        pass
