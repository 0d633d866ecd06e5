"""Frames, descriptors and errors between launcher and clients."""

import os
import socket
from collections.abc import Iterator

import pytest

from airdock.errors import AirdockError, ContainerError, IsolationError, StepFailedError
from airdock.runtime.refusal import RefusedError
from airdock.runtime.wire import FrameReader, dump_error, load_error, pack, send_with_descriptors


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_frames_arrive_whole_in_whatever_pieces_they_come(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    reader = FrameReader(other)
    data = pack({"a": "ü" * 100}) + pack({"b": 2})
    for piece in (data[:2], data[2:50], data[50:]):
        assert reader.next() is None
        one.sendall(piece)
        reader.receive()
    assert [reader.next(), reader.next(), reader.next()] == [{"a": "ü" * 100}, {"b": 2}, None]
    one.close()
    reader.receive()
    assert reader.closed


def test_descriptors_come_along(pair: tuple[socket.socket, socket.socket]) -> None:
    one, other = pair
    reading, writing = os.pipe()
    send_with_descriptors(one, pack({}), [writing])
    reader = FrameReader(other)
    reader.receive()
    (copy,) = reader.descriptors
    os.write(copy, b"x")
    assert os.read(reading, 1) == b"x"
    assert not os.get_inheritable(copy)
    for descriptor in (reading, writing, copy):
        os.close(descriptor)


def test_nothing_there_yet_is_no_end(pair: tuple[socket.socket, socket.socket]) -> None:
    reader = FrameReader(pair[1])
    reader.receive(socket.MSG_DONTWAIT)
    assert not reader.closed


@pytest.mark.parametrize(
    "error",
    [
        IsolationError("no", where="here", hint="so"),
        StepFailedError("no", where="x:1", command_exit=3, output="boom"),
        ContainerError("näh"),
    ],
)
def test_errors_travel(error: AirdockError) -> None:
    back = load_error(dump_error(error))
    assert type(back) is type(error)
    assert isinstance(back, AirdockError)
    assert back.to_dict() == error.to_dict()


def test_what_the_system_refused_travels_too() -> None:
    back = load_error(dump_error(FileNotFoundError(2, "x", "/nowhere")))
    assert isinstance(back, FileNotFoundError)
    assert back.filename == "/nowhere"
    refused = load_error(dump_error(RefusedError(1, "overlay", "on /x")))
    assert isinstance(refused, RefusedError)
    assert (refused.number, refused.step, refused.detail) == (1, "overlay", "on /x")
    other = load_error(dump_error(KeyError("x")))
    assert isinstance(other, ContainerError)
    assert "KeyError" in str(other)
