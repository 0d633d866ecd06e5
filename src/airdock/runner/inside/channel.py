"""The runner's end of the channel: frames of a 4-byte length and JSON over a Unix socket."""

import _signal
import _socket  # what `socket` wraps, for a third of its import time
import _thread
import os

from . import messages

__all__ = ["FRAME_LIMIT", "VERSION", "Channel", "ChannelError"]

VERSION = 1
FRAME_LIMIT = 64 * 1024 * 1024
_HANDLED = (_signal.SIGALRM, _signal.SIGTERM)
_ADDRESS_LIMIT = 107  # sun_path of unix(7), less its end


class ChannelError(Exception):
    """The supervisor refused a request, or is gone."""


class Channel(object):
    """One connection to the supervisor. Requests are answered in order, one at a time, whichever thread asks."""

    def __init__(self, path):
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._connect(path)
        self._count = 0
        self._lock = _thread.allocate_lock()

    def send(self, kind, **fields):
        """Tell the supervisor something. Values that have no JSON raise as `messages.encode` says."""
        fields["type"] = kind
        body = messages.encode(fields)
        if len(body) > FRAME_LIMIT:
            raise ChannelError(
                "expected a value of at most %d bytes as JSON, found %d; write it to a file in /workspace and return "
                "its path" % (FRAME_LIMIT, len(body))
            )
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, _HANDLED)  # half a frame would be the end of the channel
        try:
            self._socket.sendall(len(body).to_bytes(4, "big") + body)
        finally:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, before)

    def receive(self):
        """The next message of the supervisor."""
        length = int.from_bytes(self._read(4), "big")
        if length > FRAME_LIMIT:
            raise ChannelError("expected a message of at most %d bytes, found %d" % (FRAME_LIMIT, length))
        return messages.decode(self._read(length))

    def ask(self, op, **fields):
        """Ask for something and wait for the answer. ChannelError where the supervisor says no."""
        with self._lock:
            self._count += 1
            self.send("request", id=self._count, op=op, **fields)
            answer = self.receive()
            if answer.get("id") != self._count:
                raise ChannelError("expected the answer to request %d, found %r" % (self._count, answer.get("id")))
        if not answer.get("ok"):
            raise ChannelError(answer.get("error") or "the supervisor refused %s" % op)
        return answer.get("value")

    def close(self):
        self._socket.close()

    def _connect(self, path):
        if len(os.fsencode(path)) <= _ADDRESS_LIMIT:
            self._socket.connect(path)
            return
        folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._socket.connect("/proc/self/fd/%d/%s" % (folder, os.path.basename(path)))
        finally:
            os.close(folder)

    def _read(self, size):
        parts = []
        while size:
            part = self._socket.recv(min(size, 1 << 20))
            if not part:
                raise ChannelError("the supervisor closed the channel")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)
