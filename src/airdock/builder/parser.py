"""The text of a Dockerfile becomes its instructions: directives, comments, joined lines, flags, arguments, heredocs.

Knows how each instruction's arguments are written, not what they mean; that is `instructions.py`.
Rules: https://docs.docker.com/reference/dockerfile/#format.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from airdock.builder.words import expand
from airdock.errors import DockerfileError
from airdock.record import record

__all__ = ["Document", "Heredoc", "Node", "parse", "parse_heredoc_word"]

_MAX_TEXT = 8 << 20
"""The longest Dockerfile read, in characters."""
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DIRECTIVES: Final = frozenset({"syntax", "escape", "check"})
_HEREDOC_WORD = re.compile(r"(\d*)<<(-?)([^<]*)")
_WITH_HEREDOCS: Final = frozenset({"add", "copy", "run"})
_BLANKS = re.compile(r"\s+")


@record
class Heredoc:
    """A document written into the file after an instruction: `<<NAME`.

    `expand` says whether variables in it are replaced (its name was not quoted), `strip_tabs` whether each line loses
    its leading tabs (`<<-NAME`).
    """

    name: str
    expand: bool
    strip_tabs: bool
    descriptor: int = 0
    content: str = ""

    @property
    def text(self) -> str:
        """The content, without the leading tabs where they are to go."""
        if not self.strip_tabs:
            return self.content
        return re.sub(r"^\t+", "", self.content, flags=re.MULTILINE)


@record
class Node:
    """One instruction as it is written.

    `name` is in lower case. Instructions of names and values (ENV, LABEL) have three arguments for each pair: name,
    value, and "=" or "" for the old form. `is_json` says that the arguments were a JSON array. `trigger` is what
    ONBUILD holds. `comments` are the lines of comment right above. Lines count from 1; `text` is the joined line.
    `blank_lines` are the numbers of blank lines that the instruction goes on after, which it shouldn't.
    """

    name: str
    arguments: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    is_json: bool = False
    heredocs: tuple[Heredoc, ...] = ()
    trigger: "Node | None" = None
    comments: tuple[str, ...] = ()
    text: str = ""
    line: int = 1
    end_line: int = 1
    blank_lines: tuple[int, ...] = ()


@record
class Document:
    """A whole file: its instructions, the character that escapes, and the directives at its top."""

    nodes: tuple[Node, ...]
    escape: str = "\\"
    directives: dict[str, str] = field(default_factory=dict)


def parse(text: str, *, name: str = "Dockerfile") -> Document:
    """Read a Dockerfile. Raises `DockerfileError` with `where` as `name:line`."""
    if len(text) > _MAX_TEXT:
        raise DockerfileError(f"expected at most {_MAX_TEXT:,} characters, found {len(text):,}", where=name)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DockerfileError("expected text, found a null character", where=f"{name}:{line}")
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError as error:
        raise DockerfileError("expected text in Unicode, found half a character", where=name) from error
    # Only line feeds end lines; str.splitlines would also split at form feeds and Unicode's separators.
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    directives = _read_directives(lines, name)
    reader = _Reader(
        lines=[line.removesuffix("\r") for line in lines], name=name, escape=directives.get("escape", "\\")
    )
    nodes = tuple(reader.read_nodes())
    if not nodes:
        raise DockerfileError("file with no instructions: expected at least a FROM", where=name)
    return Document(nodes=nodes, escape=reader.escape, directives=directives)


def parse_heredoc_word(word: str) -> Heredoc | None:
    """The heredoc that a word such as `<<EOF` or `3<<-'EOF'` opens, without content; None where it opens none."""
    match = _HEREDOC_WORD.fullmatch(word)
    if match is None or not match[3]:
        return None
    plain = expand(match[3], {}, keep_unset=True).words
    if len(plain) != 1:
        return None
    raw = expand(match[3], {}, keep_unset=True, raw_quotes=True, raw_escapes=True).words
    return Heredoc(name=plain[0], expand=plain == raw, strip_tabs=match[2] == "-", descriptor=int(match[1][:9] or "0"))


def _read_directives(lines: list[str], name: str) -> dict[str, str]:
    """The `# key=value` lines before anything else; an unknown key ends them, as any other comment does."""
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        match = _DIRECTIVE.fullmatch(line.rstrip("\r"))
        key = match[1].lower() if match else ""
        if match is None or key not in _DIRECTIVES:
            break
        where = f"{name}:{number}"
        if key in found:
            raise DockerfileError(f"expected one {key} directive, found a second", where=where)
        if key == "escape" and match[2] not in ("\\", "`"):
            raise DockerfileError(f"expected the escape to be \\ or `, found {match[2]!r}", where=where)
        found[key] = match[2]
    return found


@dataclass(kw_only=True, slots=True)
class _Reader:
    """Walks the lines; `at` is how many were read, `blank` the blank ones inside the instruction."""

    lines: list[str]
    name: str
    escape: str
    at: int = 0
    blank: list[int] = field(default_factory=list)

    def read_nodes(self) -> Iterator[Node]:
        comments: list[str] = []
        while self.at < len(self.lines):
            line = self.lines[self.at].lstrip()
            start = self.at + 1
            if line.startswith("#"):
                comments.append(line[1:].strip())
                self.at += 1
                continue
            joined = self.read_joined()
            if joined.strip():
                try:
                    node = self.read_node(joined)
                    node = replace(node, comments=tuple(comments), line=start, blank_lines=tuple(self.blank))
                except DockerfileError as error:
                    if error.where:
                        raise
                    raise DockerfileError(error.message, where=f"{self.name}:{start}", hint=error.hint) from error
                yield replace(node, end_line=self.at)
            comments.clear()

    def read_joined(self) -> str:
        """One line and those that it goes on in; comments and blank lines between them drop out."""
        part, goes_on = self.without_escape(self.lines[self.at].lstrip())
        self.at += 1
        parts = [part]
        self.blank.clear()
        while goes_on and self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if line.lstrip().startswith("#"):
                continue
            if not line.strip():
                self.blank.append(self.at)
                continue
            part, goes_on = self.without_escape(line)
            parts.append(part)
        return "".join(parts)

    def without_escape(self, line: str) -> tuple[str, bool]:
        """The line without an escape at its end (blanks may follow it), and whether there was one; two are none."""
        trimmed = line.rstrip(" \t")
        if trimmed.endswith(self.escape) and not trimmed.endswith(self.escape * 2):
            return trimmed[:-1], True
        return line, False

    def read_node(self, line: str) -> Node:
        node = _parse_line(line, self.escape)
        holder = node.trigger or node
        if holder.name not in _WITH_HEREDOCS or holder.is_json or "<<" not in line:
            return node
        heredocs = tuple(self.read_heredoc(heredoc) for heredoc in _find_heredocs(line))
        if node.trigger:
            return replace(node, trigger=replace(node.trigger, heredocs=heredocs), heredocs=heredocs)
        return replace(node, heredocs=heredocs)

    def read_heredoc(self, opened: Heredoc) -> Heredoc:
        start = self.at
        while self.at < len(self.lines):
            line = self.lines[self.at]
            self.at += 1
            if (line.lstrip("\t") if opened.strip_tabs else line) == opened.name:
                content = "".join(f"{line}\n" for line in self.lines[start : self.at - 1])
                return replace(opened, content=content)
        raise DockerfileError(
            f"unterminated heredoc: expected a line {opened.name!r} that ends it, found the end of the file",
            where=f"{self.name}:{start}",
        )


def _find_heredocs(line: str) -> Iterator[Heredoc]:
    try:
        words = expand(line, {}, raw_quotes=True, raw_escapes=True, keep_unset=True).words
    except DockerfileError:
        return  # quotes that don't close here belong to the shell, and then there is no heredoc we could find
    for word in words:
        heredoc = parse_heredoc_word(word)
        if heredoc is not None:
            yield heredoc


def _parse_line(line: str, escape: str) -> Node:
    line = line.strip()
    name, _, rest = _partition_blank(line)
    flags, rest = _split_flags(rest)
    name = name.lower()
    if name == "onbuild":
        # One in another is refused where it is understood; a thousand of them mustn't exhaust the stack here.
        is_nested = _partition_blank(rest)[0].lower() == name
        trigger = Node(name=name, text=rest) if is_nested else _parse_line(rest, escape) if rest else None
        return Node(name=name, flags=flags, trigger=trigger, text=line)
    parse_arguments = _FORMS.get(name, _parse_text)
    arguments, is_json = parse_arguments(rest, name, escape)
    return Node(name=name, arguments=arguments, flags=flags, is_json=is_json, text=line)


def _partition_blank(text: str) -> tuple[str, str, str]:
    match = _BLANKS.search(text)
    return (text[: match.start()], match[0], text[match.end() :]) if match else (text, "", "")


def _split_flags(text: str) -> tuple[tuple[str, ...], str]:
    """The leading words that begin with `--`, quotes and escapes taken off, and the rest; a bare `--` ends them."""
    flags: list[str] = []
    while text.startswith("--"):
        word, end = _read_flag(text)
        text = text[end:].lstrip()
        if word == "--":
            break
        flags.append(word)
    return tuple(flags), text.strip()


def _read_flag(text: str) -> tuple[str, int]:
    """The first word of `text` without its quotes, and where it ends."""
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(text):
        character = text[at]
        if character == "\\":
            word.append(text[at + 1 : at + 2])
            at += 2
            continue
        if quote:
            quote = "" if character == quote else quote
            word.append("" if not quote else character)
        elif character in "'\"":
            quote = character
        elif character.isspace():
            break
        else:
            word.append(character)
        at += 1
    return "".join(word), min(at, len(text))


_Form = Callable[[str, str, str], tuple[tuple[str, ...], bool]]


def _parse_text(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    """The rest of the line as one argument."""
    return ((rest,) if rest else ()), False


def _parse_blank_separated(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return tuple(_BLANKS.split(rest)) if rest else (), False


def _parse_json_or_text(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    array = _read_json(rest)
    return _parse_text(rest, name, escape) if array is None else (array, True)


def _parse_json_or_separated(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    array = _read_json(rest)
    return _parse_blank_separated(rest, name, escape) if array is None else (array, True)


def _parse_health(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    """The kind of check, then a command in either form."""
    kind, _, command = _partition_blank(rest)
    arguments, is_json = _parse_json_or_text(command, name, escape)
    return ((kind, *arguments) if kind else ()), is_json


def _parse_quoted_words(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    return tuple(_split_quoted(rest, escape)), False


def _parse_pairs(rest: str, name: str, escape: str) -> tuple[tuple[str, ...], bool]:
    """`name=value …`, or the old `name value` where the value is the rest of the line."""
    words = list(_split_quoted(rest, escape))
    if not words:
        return (), False
    if "=" not in words[0]:
        key, blank, value = _partition_blank(rest)
        if not blank:
            raise DockerfileError(f"{name.upper()} must have two arguments, found only {key!r}")
        return (key, value, ""), False
    pairs: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DockerfileError(
                f"can't find = in {word!r}: expected name=value",
                hint=f"quote a value with blanks: {name.upper()} a='b c'",
            )
        pairs += (key, value, "=")
    return tuple(pairs), False


def _read_json(rest: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None where the text is none. An array of other things is an error."""
    if not rest.startswith("["):
        return None
    try:
        array = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in array):
        raise DockerfileError(f"expected an array of strings only, found {rest}")
    return tuple(array)


def _split_quoted(rest: str, escape: str) -> Iterator[str]:
    """Words separated by blanks; quotes and escapes keep blanks inside a word and stay in it."""
    word: list[str] = []
    quote = ""
    at = 0
    while at < len(rest):
        character = rest[at]
        at += 1
        if character == escape and quote != "'":
            if at < len(rest):
                word += (character, rest[at])
            at += 1
            continue
        if not quote and character.isspace():
            if word:
                yield "".join(word)
            word = []
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        word.append(character)
    if word:
        yield "".join(word)


_FORMS: Final[dict[str, _Form]] = {
    "add": _parse_json_or_separated,
    "arg": _parse_quoted_words,
    "cmd": _parse_json_or_text,
    "copy": _parse_json_or_separated,
    "entrypoint": _parse_json_or_text,
    "env": _parse_pairs,
    "expose": _parse_blank_separated,
    "from": _parse_blank_separated,
    "healthcheck": _parse_health,
    "label": _parse_pairs,
    "run": _parse_json_or_text,
    "shell": _parse_json_or_text,
    "volume": _parse_json_or_separated,
}
"""How the arguments of each instruction are written; those not here take the rest of the line."""
