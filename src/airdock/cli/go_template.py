"""Go's text/template, as far as `--format` is used with it: fields, pipes, functions, if, range, with and variables.

Source: pkg.go.dev/text/template, and the functions that Docker's command line adds (json, join, split, lower, upper,
title, pad, truncate). Fields are looked up in JSON values: dicts, lists, texts, numbers, None.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from airdock.record import positional

__all__ = ["Template", "render_go"]

_SPLIT: Final = re.compile(r"\{\{(?:- )?(?:/\*.*?\*/|(?:\"(?:\\.|[^\"\\])*\"|`[^`]*`|[^\"`])*?)(?: -)?\}\}", re.DOTALL)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<text>"(?:\\.|[^"\\])*"|`[^`]*`)|(?P<number>-?\d+(?:\.\d+)?)(?![\w.])|(?P<assign>:=|=)|(?P<sign>[()|,])
    |(?P<path>\$?\w*(?:\.\w*)+|\$\w*)|(?P<word>\w+))""",
    re.VERBOSE,
)
_OPENING: Final = frozenset({"if", "range", "with"})


class _Missing:
    """A field that isn't there, as it is printed."""

    def __bool__(self) -> bool:
        return False


_MISSING: Final = _Missing()
_Scope = dict[str, Any]


@positional
class _Block:
    """if, range or with: what it asks, its body, and what stands after else."""

    kind: str
    pipeline: str
    body: "tuple[_Node, ...]"
    otherwise: "tuple[_Node, ...]"


@positional
class _Action:
    pipeline: str


_Node = str | _Action | _Block


class Template:
    """A template, read once. Raises click.UsageError for what it can't read."""

    def __init__(self, text: str) -> None:
        self._parts = list(_split(text))
        self._at = 0
        self._nodes, ended = self._read()
        if ended:
            raise _wrong(f"expected {{{{if}}}}, {{{{range}}}} or {{{{with}}}} before {{{{{ended}}}}}")

    def render(self, value: Any) -> str:
        """The template filled from `value`. Raises click.UsageError for a field that isn't there."""
        return "".join(_render(self._nodes, value, {"$": value}))

    def _read(self) -> tuple[tuple[_Node, ...], str]:
        """Nodes up to the action that ends them, and that action: empty at the template's end."""
        nodes: list[_Node] = []
        while self._at < len(self._parts):
            is_action, text = self._parts[self._at]
            self._at += 1
            word, _, rest = text.partition(" ")
            if not is_action:
                nodes.append(text)
            elif word in ("end", "else"):
                return tuple(nodes), text
            elif word in _OPENING:
                nodes.append(self._read_block(word, rest))
            elif text:
                nodes.append(_Action(text))
        return tuple(nodes), ""

    def _read_block(self, kind: str, pipeline: str) -> _Block:
        body, ended = self._read()
        otherwise: tuple[_Node, ...] = ()
        word, _, rest = ended.partition(" ")
        if word == "else" and rest.strip():
            nested, _, condition = rest.strip().partition(" ")
            return _Block(kind, pipeline, body, (self._read_block(nested, condition),))
        if word == "else":
            otherwise, ended = self._read()
        if ended != "end":
            raise _wrong(f"expected {{{{end}}}} for {{{{{kind} {pipeline}}}}}")
        return _Block(kind, pipeline, body, otherwise)


def render_go(template: str, value: Any) -> str:
    """`template` filled from `value`."""
    return Template(template).render(value)


def _split(text: str) -> Iterator[tuple[bool, str]]:
    """Texts and the insides of actions; a minus inside the braces eats the blanks on its side."""
    at, trim = 0, False
    for match in _SPLIT.finditer(text):
        plain, inside = text[at : match.start()], match[0][2:-2]
        plain = plain.lstrip() if trim else plain
        plain = plain.rstrip() if inside.startswith("- ") else plain
        if plain:
            yield False, plain
        trim = inside.endswith(" -")
        inside = inside.removeprefix("- ").removesuffix(" -").strip()
        yield True, "" if inside.startswith("/*") else inside
        at = match.end()
    rest = text[at:].lstrip() if trim else text[at:]
    if "{{" in rest:
        raise _wrong(f"expected '}}}}' after {rest[rest.index('{{') :]!r}")
    if rest:
        yield False, rest


def _render(nodes: Sequence[_Node], dot: Any, scope: _Scope) -> Iterator[str]:
    for node in nodes:
        match node:
            case str():
                yield node
            case _Action():
                value, assigned = _evaluate(node.pipeline, dot, scope)
                if not assigned:
                    yield _show(value)
            case _Block(kind="range"):
                yield from _render_range(node, dot, scope)
            case _Block():
                value, _ = _evaluate(node.pipeline, dot, scope)
                inner = value if node.kind == "with" and value else dot
                yield from _render(node.body if value else node.otherwise, inner, dict(scope))


def _render_range(block: _Block, dot: Any, scope: _Scope) -> Iterator[str]:
    names, pipeline = re.findall(r"\$\w+", block.pipeline.partition(":=")[0]), block.pipeline
    if ":=" in pipeline:
        pipeline = pipeline.partition(":=")[2]
    value, _ = _evaluate(pipeline, dot, scope)
    pairs = sorted(value.items()) if isinstance(value, Mapping) else list(enumerate(value or ()))
    for key, each in pairs:
        inner = dict(scope)
        if ":=" in block.pipeline:
            inner.update(zip(names[-2:], (key, each) if len(names) > 1 else (each,), strict=False))
        yield from _render(block.body, each, inner)
    if not pairs:
        yield from _render(block.otherwise, dot, dict(scope))


def _evaluate(text: str, dot: Any, scope: _Scope) -> tuple[Any, bool]:
    """The value of a pipeline, and whether it only went into a variable."""
    tokens = list(_tokens(text))
    if len(tokens) > 1 and tokens[1][0] == "assign":
        value, rest = _pipeline(tokens[2:], dot, scope)
        scope[tokens[0][1]] = value
    else:
        value, rest = _pipeline(tokens, dot, scope)
    if rest:
        raise _wrong(f"expected the end of {{{{{text}}}}}, found {rest[0][1]!r}")
    return value, len(tokens) > 1 and tokens[1][0] == "assign"


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            raise _wrong(f"expected a field or a function in {{{{{text}}}}}, found {text[at:].strip()!r}")
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


_Tokens = list[tuple[str, str]]


def _pipeline(tokens: _Tokens, dot: Any, scope: _Scope) -> tuple[Any, _Tokens]:
    value, tokens = _command(tokens, dot, scope, ())
    while tokens and tokens[0] == ("sign", "|"):
        value, tokens = _command(tokens[1:], dot, scope, (value,))
    return value, tokens


def _command(tokens: _Tokens, dot: Any, scope: _Scope, piped: tuple[Any, ...]) -> tuple[Any, _Tokens]:
    if not tokens:
        raise _wrong("expected a field or a function, found nothing")
    kind, text = tokens[0]
    if kind == "word" and text not in _CONSTANTS:
        function = _FUNCTIONS.get(text)
        if function is None:
            raise _wrong(f"expected a function, found {text!r}; there are: {' '.join(sorted(_FUNCTIONS))}")
        tokens, arguments = tokens[1:], []
        while tokens and tokens[0] not in (("sign", "|"), ("sign", ")")):
            value, tokens = _operand(tokens, dot, scope)
            arguments.append(value)
        try:
            return function(*arguments, *piped), tokens
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise _wrong(f"expected other arguments for {text}: {error}") from error
    value, tokens = _operand(tokens, dot, scope)
    if tokens and tokens[0] not in (("sign", "|"), ("sign", ")")):
        raise _wrong(f"expected a function before {tokens[0][1]!r}")
    return value, tokens


_CONSTANTS: Final[dict[str, Any]] = {"true": True, "false": False, "nil": None}


def _operand(tokens: _Tokens, dot: Any, scope: _Scope) -> tuple[Any, _Tokens]:
    (kind, text), rest = tokens[0], tokens[1:]
    if kind == "text":
        return (text[1:-1] if text[0] == "`" else json.loads(text)), rest
    if kind == "number":
        return (float(text) if "." in text else int(text)), rest
    if kind == "path":
        return _look_up(text, dot, scope), rest
    if kind == "word" and text in _CONSTANTS:
        return _CONSTANTS[text], rest
    if (kind, text) == ("sign", "("):
        value, rest = _pipeline(rest, dot, scope)
        if not rest or rest[0] != ("sign", ")"):
            raise _wrong("expected a closing parenthesis")
        if len(rest) > 1 and rest[1][0] == "path" and rest[1][1].startswith("."):
            return _look_up(rest[1][1], value, scope), rest[2:]
        return value, rest[1:]
    if kind == "word" and text in _FUNCTIONS:
        return _FUNCTIONS[text](), rest
    raise _wrong(f"expected a value, found {text!r}")


def _look_up(path: str, dot: Any, scope: _Scope) -> Any:
    first, *names = path.split(".")
    if first and first not in scope:
        raise _wrong(f"expected a variable that is set, found {first}")
    value = scope[first] if first else dot
    for name in filter(None, names):
        if isinstance(value, Mapping) and name in value:
            value = value[name]
        elif value is None or value is _MISSING:
            value = _MISSING
        else:
            known = " ".join(sorted(map(str, value))) if isinstance(value, Mapping) else f"no fields in {_show(value)}"
            raise _wrong(f"expected a field that there is, got .{name}; there are: {known or 'none'}")
    return value


def _show(value: Any) -> str:
    """A value as Go's %v prints it."""
    if value is None or value is _MISSING:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_show(each)}' for key, each in sorted(value.items()))}]"
    if isinstance(value, list | tuple):
        return f"[{' '.join(map(_show, value))}]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        value = value.get(key, "") if isinstance(value, Mapping) else value[key]
    return value


def _printf(form: str, *values: Any) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[0] == "%%":
            return "%"
        value = left.pop(0)
        text = json.dumps(value) if match[2] == "q" else _show(value)
        if match[2] == "f":
            return f"%{match[1]}f" % float(value)
        return f"%{match[1]}s" % text

    return re.sub(r"%(-?[0-9.]*)([sdvqfx])|%%", one, form)


def _all_of(*values: Any) -> Any:
    return next((value for value in values if not value), values[-1])


def _any_of(*values: Any) -> Any:
    return next((value for value in values if value), values[-1])


_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "and": _all_of,
    "eq": lambda first, *others: any(first == other for other in others),
    "ge": lambda first, other: first >= other,
    "gt": lambda first, other: first > other,
    "index": _index,
    "join": lambda values, sign: sign.join(map(_show, values or ())),
    "json": lambda value: json.dumps(None if value is _MISSING else value, ensure_ascii=False),
    "le": lambda first, other: first <= other,
    "len": lambda value: len(value or ()),
    "lower": lambda text: text.lower(),
    "lt": lambda first, other: first < other,
    "ne": lambda first, other: first != other,
    "not": lambda value: not value,
    "or": _any_of,
    "pad": lambda text, before, after: " " * before + text + " " * after if text else text,
    "print": lambda *values: "".join(map(_show, values)),
    "printf": _printf,
    "println": lambda *values: " ".join(map(_show, values)) + "\n",
    "slice": lambda value, *ends: value[slice(*ends)] if len(ends) > 1 else value[ends[0] :] if ends else value,
    "split": lambda text, sign: text.split(sign),
    "title": lambda text: text.title(),
    "truncate": lambda text, length: text[:length],
    "upper": lambda text: text.upper(),
}


def _wrong(message: str) -> click.UsageError:
    return click.UsageError(f"--format: {message}.")
