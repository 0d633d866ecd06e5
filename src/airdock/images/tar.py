"""Tar headers, written and read: ustar, with pax records only where ustar has no room (POSIX.1-2017, pax).

Names are bytes as on the disk, without a leading or trailing slash. Reading also understands GNU's long names and
base-256 numbers, because published layers have them, and sparse files (`sparse`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Protocol

from airdock.errors import UnsafeArchiveError
from airdock.images.sparse import MAP, REAL_NAME, Piece, find_pieces, is_sparse, read_blocks
from airdock.record import record

__all__ = [
    "BLOCK",
    "BLOCK_DEVICE",
    "CHARACTER_DEVICE",
    "DIRECTORY",
    "END",
    "FIFO",
    "HARD_LINK",
    "REGULAR",
    "SYMLINK",
    "Entry",
    "Source",
    "padding",
    "read_entries",
    "render_header",
]

BLOCK = 512
END = bytes(2 * BLOCK)
"""What closes an archive."""

REGULAR, HARD_LINK, SYMLINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

_SPARSE = b"S"
_XATTR = b"SCHILY.xattr."
_LONGEST_NAME = 100
_LONGEST_PREFIX = 155
_LONGEST_EXTENSION = 1 << 20
_MOST_EXTENSIONS = 64
"""One of each kind is all that an entry needs; an archive of nothing else would never end."""
_LARGEST = (1 << 62) - 1
_HIGHEST_ID = (1 << 32) - 2  # the last one means "nobody is meant" to chown(2)


@record
class Entry:
    """One member of an archive. `size` counts the bytes of data that follow; times are in nanoseconds.

    `pieces` says where the data belongs in a sparse file of `length` bytes; None for a whole file.
    """

    name: bytes
    kind: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    xattrs: Mapping[bytes, bytes] = field(default_factory=dict)
    pieces: Sequence[Piece] | None = None
    length: int = 0

    @property
    def whole(self) -> int:
        """How many bytes the file has, holes included."""
        return self.size if self.pieces is None else self.length


class Source(Protocol):
    """Where an archive is read from: `read` gives as many bytes as asked for, fewer only at the end."""

    def read(self, size: int, /) -> bytes: ...


def padding(size: int) -> bytes:
    """The zeros that fill `size` bytes of data up to a whole block."""
    return bytes(-size % BLOCK)


def render_header(entry: Entry) -> bytes:
    """The blocks that go before an entry's data. Equal entries give equal bytes."""
    name = entry.name + b"/" if entry.kind == DIRECTORY else entry.name
    pax: dict[bytes, bytes] = {}
    short, prefix = _fit_name(name, pax)
    link = entry.link
    if len(link) > _LONGEST_NAME or not link.isascii():
        pax[b"linkpath"] = link
    seconds, nanoseconds = divmod(entry.mtime_ns, 1_000_000_000)
    if nanoseconds or not 0 <= seconds < 8**11:
        pax[b"mtime"] = _decimal_time(seconds, nanoseconds)
    numbers = {b"uid": (entry.uid, 7), b"gid": (entry.gid, 7), b"size": (entry.size, 11)}
    pax.update({key: b"%d" % value for key, (value, digits) in numbers.items() if not 0 <= value < 8**digits})
    pax.update({_XATTR + key: value for key, value in sorted(entry.xattrs.items())})
    block = _block(short, prefix, entry, seconds, link[:_LONGEST_NAME])
    return _render_pax(name, pax) + block if pax else block


def _block(name: bytes, prefix: bytes, entry: Entry, seconds: int, link: bytes) -> bytes:
    uid, gid, size = (
        value if 0 <= value < 8**digits else 0 for value, digits in ((entry.uid, 7), (entry.gid, 7), (entry.size, 11))
    )
    mtime = seconds if 0 <= seconds < 8**11 else 0
    block = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0        %b%bustar\00000%64b0000000\0000000000\0%b%12b" % (
        name.ljust(_LONGEST_NAME, b"\0"), entry.mode & 0o7777, uid, gid, size, mtime, entry.kind,
        link.ljust(_LONGEST_NAME, b"\0"), bytes(64), prefix.ljust(_LONGEST_PREFIX, b"\0"), bytes(12),
    )  # fmt: skip
    return b"%b%06o\0 %b" % (block[:148], sum(block), block[156:])


def _fit_name(name: bytes, pax: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    if name.isascii():
        if len(name) <= _LONGEST_NAME:
            return name, b""
        slash = name.find(b"/", max(0, len(name) - _LONGEST_NAME - 1), -1)
        if 0 < slash <= _LONGEST_PREFIX:
            return name[slash + 1 :], name[:slash]
    pax[b"path"] = name
    return name[:_LONGEST_NAME], b""


def _decimal_time(seconds: int, nanoseconds: int) -> bytes:
    sign = b""
    if seconds < 0:
        sign, seconds, nanoseconds = b"-", -seconds - bool(nanoseconds), -nanoseconds % 1_000_000_000
    fraction = b".%09d" % nanoseconds if nanoseconds else b""
    return b"%b%d%b" % (sign, seconds, fraction.rstrip(b"0"))


def _render_pax(name: bytes, records: Mapping[bytes, bytes]) -> bytes:
    body = b"".join(_record(key, value) for key, value in records.items())
    base = name.rstrip(b"/").rpartition(b"/")[2]
    header = Entry(name=b"PaxHeaders/" + base[:80], kind=b"x", size=len(body))
    return _block(header.name, b"", header, 0, b"") + body + padding(len(body))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH KEY=VALUE\\n`, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) != len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


def read_entries(source: Source) -> Iterator[Entry]:
    """The entries of an archive in order. The caller takes each entry's data, padding included, before the next.

    What isn't a tar, or breaks off, raises `UnsafeArchiveError`.
    """
    long_name: dict[bytes, bytes] = {}
    pax: dict[bytes, bytes] = {}
    in_a_row = 0
    while block := source.read(BLOCK):
        if len(block) < BLOCK:
            raise _damaged("it breaks off inside a header")
        if block.count(0) == BLOCK:
            return
        entry = _parse_block(block)
        if entry.kind in (b"L", b"K", b"x", b"g"):
            body = _read_extension(source, entry)
            in_a_row += 1
            if in_a_row > _MOST_EXTENSIONS:
                raise _damaged(f"more than {_MOST_EXTENSIONS} pax headers or long names before an entry")
            if entry.kind == b"x":
                pax = _parse_pax(body)
            elif entry.kind != b"g":
                long_name[entry.kind] = _text(body)
            continue
        entry = _extend(entry, long_name, pax)
        if entry.kind == _SPARSE or (entry.kind == REGULAR and is_sparse(pax)):
            entry = _spread(entry, block, pax, source)
        yield entry
        long_name, pax, in_a_row = {}, {}, 0


def _read_extension(source: Source, entry: Entry) -> bytes:
    if entry.size > _LONGEST_EXTENSION:
        raise UnsafeArchiveError(f"expected long names and pax records of at most 1 MiB, found {entry.size} bytes")
    length = entry.size + len(padding(entry.size))
    body = source.read(length)
    if len(body) < length:
        raise _damaged("it breaks off inside a pax header or long name")
    return body[: entry.size]


def _parse_block(block: bytes) -> Entry:
    found = _number(block[148:156])
    unsigned = sum(block) - sum(block[148:156]) + 8 * 32
    if found != unsigned and found != unsigned - 256 * sum(1 for byte in block[:148] + block[156:] if byte > 127):
        raise _damaged("a header has a wrong checksum")
    name = _text(block[:100])
    kind = block[156:157]
    if block[257:263] == b"ustar\0" and (prefix := _text(block[345:500])):
        name = prefix + b"/" + name
    if kind in (b"\0", b"7"):
        kind = DIRECTORY if kind == b"\0" and name.endswith(b"/") else REGULAR
    return Entry(
        name=name,
        kind=kind,
        mode=_number(block[100:108]),
        uid=_within(_number(block[108:116]), _HIGHEST_ID),
        gid=_within(_number(block[116:124]), _HIGHEST_ID),
        size=_within(_number(block[124:136]), _LARGEST),
        mtime_ns=_clamp_time(_number(block[136:148]) * 1_000_000_000),
        link=_text(block[157:257]),
    )


def _extend(entry: Entry, long_name: Mapping[bytes, bytes], pax: Mapping[bytes, bytes]) -> Entry:
    changes: dict[str, object] = {}
    for key, flag, attribute in ((b"path", b"L", "name"), (b"linkpath", b"K", "link")):
        if key in pax or flag in long_name:
            changes[attribute] = pax.get(key, long_name.get(flag))
    for key, most in ((b"uid", _HIGHEST_ID), (b"gid", _HIGHEST_ID), (b"size", _LARGEST)):
        if key in pax:
            changes[key.decode()] = _within(_integer(pax[key]), most)
    if b"mtime" in pax:
        changes["mtime_ns"] = _clamp_time(_parse_time(pax[b"mtime"]))
    xattrs = {key[len(_XATTR) :]: value for key, value in pax.items() if key.startswith(_XATTR)}
    if xattrs:
        changes["xattrs"] = xattrs
    if entry.kind not in (REGULAR, _SPARSE):
        changes["size"] = 0  # links and folders have no data, whatever some writers put there
    return replace(entry, **changes) if changes else entry  # type: ignore[arg-type]  # names and types match above


def _spread(entry: Entry, block: bytes, pax: Mapping[bytes, bytes], source: Source) -> Entry:
    """A sparse file: what says where its data belongs has been read."""
    if entry.kind == _SPARSE:
        pieces, length = read_blocks(block, source.read, _number, entry.size)
        return replace(entry, kind=REGULAR, pieces=pieces, length=length)
    pieces, length, size = find_pieces(pax, source.read, entry.size)
    return replace(entry, name=pax.get(REAL_NAME, entry.name), size=size, pieces=pieces, length=length)


def _parse_pax(body: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    listed: list[bytes] = []  # the records of a sparse file, which alone may come several times
    at = 0
    while at < len(body):
        space = body.find(b" ", at, at + 12)
        length = _integer(body[at:space]) if space > 0 else 0
        record = body[space + 1 : at + length]
        key, equals, value = record.partition(b"=")
        if length < 5 or at + length > len(body) or not equals or not value.endswith(b"\n"):
            raise _damaged("a pax record is malformed")
        if b"\0" in key or (b"\0" in value and key in (b"path", b"linkpath", REAL_NAME)):
            raise _damaged("a name holds a zero byte")
        if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
            listed.append(value[:-1])
        else:
            records[key] = value[:-1]
        at += length
    return records | {MAP: b",".join(listed)} if listed else records


def _parse_time(text: bytes) -> int:
    seconds, _, fraction = text.partition(b".")
    nanoseconds = _integer((fraction + b"000000000")[:9])
    whole = _integer(seconds.lstrip(b"-") or b"0") * 1_000_000_000 + nanoseconds
    return -whole if seconds.startswith(b"-") else whole


def _integer(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise _damaged(f"expected a number, found {text[:40]!r}")
    return int(text)


def _number(raw: bytes) -> int:
    if raw[0] in (0x80, 0xFF):
        return int.from_bytes(raw[1:], "big", signed=False) - (256 ** (len(raw) - 1) if raw[0] == 0xFF else 0)
    text = raw.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise _damaged(f"expected an octal number in a header, found {raw!r}") from None


def _within(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise UnsafeArchiveError(f"expected a size or an owner of at most {most}, found {value}")
    return value


def _clamp_time(nanoseconds: int) -> int:
    return max(-_LARGEST, min(nanoseconds, _LARGEST))


def _text(raw: bytes) -> bytes:
    return raw.split(b"\0", 1)[0]


def _damaged(reason: str) -> UnsafeArchiveError:
    return UnsafeArchiveError(f"expected a tar archive: {reason}")
