import socket

from airdock.containers.frames import Frames, dump_frame


def test_frames_come_whole_however_they_are_cut() -> None:
    own, theirs = socket.socketpair()
    frames = Frames(own)
    data = dump_frame(b"O", b"out") + dump_frame(b"X", {"exit_code": 3})
    for index in range(len(data)):
        theirs.send(data[index : index + 1])
        frames.receive()
    assert list(frames.take()) == [(b"O", b"out"), (b"X", b'{"exit_code":3}')]
    theirs.close()
    assert frames.wait() is None
    frames.close()


def test_what_the_other_does_not_read_waits() -> None:
    own, theirs = socket.socketpair()
    own.setblocking(False)
    sender, reader = Frames(own), Frames(theirs)
    content = b"x" * 1_000_000
    sender.send(b"O", content)
    assert sender.waiting_bytes
    received = []
    while not received:
        reader.receive()
        sender.flush()
        received = list(reader.take())
    assert received == [(b"O", content)]
    assert not sender.waiting_bytes
    reader.close()
    sender.send(b"O", b"more")
    assert sender.closed
    sender.close()
