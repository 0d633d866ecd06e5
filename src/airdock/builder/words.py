"""Words of a Dockerfile: quotes, escapes and variables, as a shell would read them.

    $name  ${name}              the variable, or nothing
    ${name:-word}  ${name-word} `word` where it is empty or unset / unset
    ${name:+word}  ${name+word} `word` where it is set and not empty / set
    ${name:?word}  ${name?word} an error saying `word` where it is empty or unset / unset
    ${name#p}  ${name##p}       without the shortest / longest start that matches
    ${name%p}  ${name%%p}       without the shortest / longest end that matches
    ${name/p/r}  ${name//p/r}   first match / every match replaced

Rules: https://docs.docker.com/reference/dockerfile/#environment-replacement and POSIX 2.6.2.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from airdock.errors import DockerfileError

__all__ = ["Expansion", "expand", "expand_word", "expand_words"]

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_MAX_DEPTH = 64
"""How deep words may nest in each other's defaults."""
_MAX_LENGTH = 1 << 20
"""How long one word may get, in characters: `ENV a=$a$a` thirty times over must not fill the memory."""


@dataclass(kw_only=True, slots=True)
class Expansion:
    """What became of a text: as one word, as the words it splits into, and the variables it named."""

    text: str = ""
    words: tuple[str, ...] = ()
    matched: frozenset[str] = frozenset()
    unmatched: frozenset[str] = frozenset()


def expand_word(text: str, env: Mapping[str, str], *, escape: str = "\\") -> str:
    """Expand a text that stays one word. Raises `DockerfileError`."""
    return expand(text, env, escape=escape).text


def expand_words(text: str, env: Mapping[str, str], *, escape: str = "\\") -> tuple[str, ...]:
    """Expand a text and split it at blanks that aren't quoted, also those that came from a variable."""
    return expand(text, env, escape=escape).words


def expand(
    text: str,
    env: Mapping[str, str],
    *,
    escape: str = "\\",
    raw_quotes: bool = False,
    raw_escapes: bool = False,
    keep_unset: bool = False,
    plain_quotes: bool = False,
) -> Expansion:
    """Expand a text.

    `raw_quotes` and `raw_escapes` leave those in place once they did their work, `keep_unset` leaves unset variables.
    `plain_quotes` takes quotes for characters like any other, as heredocs do.
    """
    lexer = _Lexer(text, env, escape=escape, raw_quotes=raw_quotes, raw_escapes=raw_escapes, keep_unset=keep_unset)
    lexer.quotes = "" if plain_quotes else lexer.quotes
    try:
        result, words = lexer.read_until("", raw_escapes=raw_escapes)
    except DockerfileError as error:
        raise DockerfileError(f"{error.message}, in {text!r}", where=error.where, hint=error.hint) from error
    return Expansion(
        text=result, words=tuple(words), matched=frozenset(lexer.matched), unmatched=frozenset(lexer.unmatched)
    )


@dataclass(slots=True)
class _Words:
    """Collects words while characters arrive; quoted and escaped ones don't separate."""

    done: list[str] = field(default_factory=list)
    current: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        for character in text:
            if character.isspace():
                self.end()
            else:
                self.current.append(character)

    def add_quoted(self, text: str) -> None:
        self.current.append(text)

    def end(self) -> None:
        word = "".join(self.current)
        if word:
            self.done.append(word)
            self.current.clear()


class _Lexer:
    """Reads one text from left to right; `depth` counts the `${…}` it is inside of."""

    def __init__(
        self, text: str, env: Mapping[str, str], *, escape: str, raw_quotes: bool, raw_escapes: bool, keep_unset: bool
    ) -> None:
        self.text = text
        self.env = env
        self.escape = escape
        self.raw_quotes = raw_quotes
        self.raw_escapes = raw_escapes
        self.keep_unset = keep_unset
        self.quotes = "'\""
        self.at = 0
        self.depth = 0
        self.matched: set[str] = set()
        self.unmatched: set[str] = set()

    def peek(self) -> str:
        """The next character, "" at the end."""
        return self.text[self.at] if self.at < len(self.text) else ""

    def next(self) -> str:
        character = self.peek()
        self.at += len(character)
        return character

    def look_up(self, name: str) -> str | None:
        value = self.env.get(name)
        (self.unmatched if value is None else self.matched).add(name)
        return value

    def read_until(self, stop: str, *, raw_escapes: bool) -> tuple[str, list[str]]:
        """Expand up to the character `stop`, which is consumed, or to the end where it is ""."""
        outer, self.raw_escapes = self.raw_escapes, raw_escapes
        result: list[str] = []
        words = _Words()
        length = 0
        while (character := self.peek()) != stop:
            if not character:
                raise DockerfileError(f"expected {stop!r} to close the substitution, found the end")
            if character == "$":
                value = self.read_variable()
                words.add(value)
            elif character in self.quotes:
                value = self.read_single_quoted() if character == "'" else self.read_double_quoted()
                words.add_quoted(value)
            else:
                value = self.read_plain(words)
            length += len(value)
            _check_length(length)
            result.append(value)
        self.next()
        self.raw_escapes = outer
        words.end()
        return "".join(result), words.done

    def read_plain(self, words: _Words) -> str:
        character = self.next()
        if character != self.escape:
            words.add(character)
            return character
        escaped = (character if self.raw_escapes else "") + self.next()
        words.add_quoted(escaped)
        return escaped

    def read_single_quoted(self) -> str:
        """Everything up to the next quote, as it is."""
        quote = self.next()
        end = self.text.find("'", self.at)
        if end < 0:
            raise DockerfileError("expected a closing single quote, found the end")
        inside = self.text[self.at : end]
        self.at = end + 1
        return f"{quote}{inside}{quote}" if self.raw_quotes else inside

    def read_double_quoted(self) -> str:
        """Everything up to the next quote, with variables; the escape works on quote, dollar and itself only."""
        quote = self.next()
        result: list[str] = []
        while (character := self.peek()) != '"':
            if not character:
                raise DockerfileError("expected a closing double quote, found the end")
            if character == "$":
                result.append(self.read_variable())
                continue
            result.append(self.read_in_quotes())
        self.next()
        inside = "".join(result)
        return f"{quote}{inside}{quote}" if self.raw_quotes else inside

    def read_in_quotes(self) -> str:
        character = self.next()
        if character != self.escape:
            return character
        kept = character if self.raw_escapes else ""
        if not self.peek():
            return kept
        if self.peek() in ('"', "$", self.escape):
            return kept + self.next()
        return kept + character

    def read_variable(self) -> str:
        self.next()
        if self.peek() != "{":
            name = self.read_name()
            if not name:
                return "$"
            value = self.look_up(name)
            if value is None:
                return f"${name}" if self.keep_unset else ""
            return value
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise DockerfileError(f"expected at most {_MAX_DEPTH} substitutions inside each other, found more")
        value = self.read_braced()
        self.depth -= 1
        return value

    def read_name(self) -> str:
        """A name, a run of digits, or one of the shell's special parameters; "" where there is none."""
        first = self.peek()
        start = self.at
        if first.isdecimal():
            while self.peek().isdecimal():
                self.next()
        elif first and first in _SPECIAL_PARAMETERS:
            self.next()
        else:
            while self.peek().isalpha() or self.peek().isdecimal() or self.peek() == "_":
                self.next()
        return self.text[start : self.at]

    def read_braced(self) -> str:
        self.next()
        if not self.peek():
            raise DockerfileError("expected a name and '}' after '${', found the end")
        if self.peek() in "{}:":
            raise DockerfileError(f"expected a variable's name after '${{', found {self.peek()!r}")
        name = self.read_name()
        operator = self.next()
        if operator == "}":
            value = self.look_up(name)
            if value is None:
                return f"${{{name}}}" if self.keep_unset else ""
            return value
        if operator == "/":
            return self.read_replacement(name)
        colon = operator == ":"
        if colon:
            operator = self.next()
        allowed = "+-?" if colon else "+-?#%"
        if not operator or operator not in allowed:
            found = ":" * colon + operator
            raise DockerfileError(f"unsupported modifier ({found}) in substitution of {name}")
        return self.read_modified(name, operator, colon=colon)

    def read_modified(self, name: str, operator: str, *, colon: bool) -> str:
        word, _ = self.read_until("}", raw_escapes=operator in "#%")
        value = self.look_up(name)
        if value is None and self.keep_unset:
            return f"${{{name}{':' * colon}{operator}{word}}}"
        present = value is not None and not (colon and value == "")
        match operator:
            case "-":
                return (value or "") if present else word
            case "+":
                return word if present else ""
            case "?":
                if present:
                    return value or ""
                lack = "unset" if value is None else "empty"
                raise DockerfileError(f"{name}: {word or f'is not allowed to be {lack}'}")
            case _:
                return _trim(value or "", word, operator)

    def read_replacement(self, name: str) -> str:
        everywhere = self.peek() == "/"
        if everywhere:
            self.next()
        pattern, _ = self.read_until("/", raw_escapes=True)
        replacement, _ = self.read_until("}", raw_escapes=True)
        value = self.look_up(name)
        if value is None:
            return f"${{{name}/{pattern}/{replacement}}}" if self.keep_unset else ""
        return _replace(value, _parse_pattern(pattern), replacement, everywhere=everywhere)


def _check_length(length: int) -> None:
    if length > _MAX_LENGTH:
        raise DockerfileError(f"expected at most {_MAX_LENGTH:,} characters once variables are replaced, found more")


def _trim(value: str, pattern: str, operator: str) -> str:
    """`value` without the part that matches, at its start (#) or end (%); a doubled operator means the longest."""
    longest = pattern.startswith(operator)
    parts = _parse_pattern(pattern[1:] if longest else pattern)
    if operator == "%":
        value, parts = value[::-1], parts[::-1]
    ends = _match_ends(parts, value, 0)
    if ends:
        value = value[max(ends) if longest else min(ends) :]
    return value[::-1] if operator == "%" else value


def _replace(value: str, parts: list[str], replacement: str, *, everywhere: bool) -> str:
    """`value` with the first match, or every one, replaced; each match as long as it can be."""
    result: list[str] = []
    at = length = 0
    while at <= len(value):
        end = max(_match_ends(parts, value, at), default=-1)
        if end > at or (end == at and not everywhere):
            result.append(replacement)
            length += len(replacement)
            _check_length(length)
            at = end
            if not everywhere:
                break
        else:
            result.append(value[at : at + 1])
            at += 1
    return "".join(result) + value[at:]


def _parse_pattern(pattern: str) -> list[str]:
    """A shell pattern as parts: "*", "?", and literals as backslash + character (POSIX 2.14 without brackets)."""
    parts: list[str] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            escaped = next(characters, "")
            if escaped not in ("}", "/", "*", "?", "\\"):
                raise DockerfileError(f"invalid escape '\\{escaped}' in the pattern {pattern!r}")
            parts.append("\\" + escaped)
        else:
            parts.append(character if character in "*?" else "\\" + character)
    return parts


def _match_ends(parts: list[str], value: str, start: int) -> set[int]:
    """Where a match that begins at `start` can end: all positions at once, so no pattern can make it backtrack."""
    ends = {start}
    for part in parts:
        if part == "*":
            ends = set(range(min(ends), len(value) + 1))
        elif part == "?":
            ends = {end + 1 for end in ends if end < len(value)}
        else:
            ends = {end + 1 for end in ends if value[end : end + 1] == part[1]}
        if not ends:
            break
    return ends
