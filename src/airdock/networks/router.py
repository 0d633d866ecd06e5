"""The process in whose namespace the networks of a home meet. It lives as long as a container is on one of them.

    host's namespace ── uplink ──┐
                                 │ router's namespace
                  bridge ────────┼──────── bridge
                   │  │          │          │
                 veth veth       │         veth
                   │  │                     │
              container container       container

Each container is a connection to the router's socket: whoever attached it holds that open, and when it closes, however
its process ended, the container is taken off its networks. When the last has gone the router ends, and the kernel
clears away everything that was in its namespace. So there is nothing on disk that could be stale. An ordinary account's
router has a user namespace of its own, in which launchers must live to join what belongs to it.

    AIRDOCK_HOME/run/networks/
      lock            held while a router is started
      socket          where it is reached
      uplink.log      what the program that is its way out had to say
"""

import contextlib
import gc
import os
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, NoReturn

from airdock.errors import AirdockError, NetworkError
from airdock.networks.addresses import choose_subnet
from airdock.networks.attachments import RESOLV, Attachment, start_forwarder, write_in_place
from airdock.networks.base import Port
from airdock.networks.definitions import Network
from airdock.networks.gateway import Gateway
from airdock.networks.namespaces import new_namespace
from airdock.networks.naming import Naming
from airdock.networks.segments import Segments
from airdock.runtime.refusal import RefusedError
from airdock.runtime.shed import close_others
from airdock.runtime.syscalls import Syscalls
from airdock.runtime.title import set_title
from airdock.runtime.wire import FrameReader, dump_error, pack

__all__ = ["SOCKET", "serve"]

SOCKET: Final = "socket"
_PATIENCE_S: Final = 5.0


def serve(descriptors: list[int], *, folder: str, uplink: str, taken: Sequence[str]) -> NoReturn:
    """Be the router that is asked over the first descriptor, a socket that listens; never returns.

    The second is a pipe that is closed when it is there, or takes the error why not. `taken` are the subnets of named
    networks.
    """
    listening, ready = descriptors
    code = 1
    try:
        if os.fork():
            os._exit(0)  # so that nobody has to wait for us
        os.setsid()
        close_others([listening, ready])
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if number != signal.SIGTERM else signal.SIG_DFL)
        os.umask(0o022)
        set_title("airdock-router")
        _quiet()
        try:
            gateway = Gateway.enter(Path(folder), uplink=uplink, avoid=[IPv4Network(subnet) for subnet in taken])
        except (AirdockError, RefusedError, OSError) as error:
            os.write(ready, pack(dump_error(error)))
            os._exit(1)
        os.close(ready)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        _Router(socket.socket(fileno=listening), gateway, Path(folder)).run()
        code = 0
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(code)


def _quiet() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.close(null)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class _Session:
    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reader = FrameReader(sock)
        self.container = ""


class _Router:
    def __init__(self, listening: socket.socket, gateway: Gateway, folder: Path) -> None:
        self._listening = listening
        self._gateway = gateway
        self._folder = folder
        self._calls = Syscalls()
        self._segments = Segments(self._calls, home=gateway.home, mtu=gateway.mtu)
        self._poll = select.epoll()
        self._sessions: dict[int, _Session] = {}
        self._attached: dict[str, Attachment] = {}
        self._naming = Naming(self._attached, self._segments, gateway=gateway.host_address)
        self._operations: Mapping[str, Callable[[Mapping[str, Any], list[int]], Any]] = {
            "attach": self._attach,
            "detach": self._detach,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "list": self._list,
        }

    def run(self) -> None:
        """Answer until nobody is connected any more."""
        self._poll.register(self._listening, select.EPOLLIN)
        gc.disable()
        met_somebody = False
        while self._sessions or not met_somebody:
            events = self._poll.poll(0 if self._segments.is_unswept else self._naming.wait_s())
            if not events:
                self._segments.sweep()
                self._naming.refresh()
            for descriptor, _ in events:
                if descriptor == self._listening.fileno():
                    self._accept()
                    met_somebody = True
                elif session := self._sessions.get(descriptor):
                    self._read(session)
        # From here on a client finds no socket and starts another router; one that is on its way hears that we ended.
        self._folder.joinpath(SOCKET).unlink(missing_ok=True)
        self._gateway.close()

    def _accept(self) -> None:
        sock, _ = self._listening.accept()
        sock.settimeout(_PATIENCE_S)  # for whoever asks and doesn't read
        self._sessions[sock.fileno()] = _Session(sock)
        self._poll.register(sock, select.EPOLLIN)

    def _read(self, session: _Session) -> None:
        session.reader.receive(socket.MSG_DONTWAIT)
        while (message := session.reader.next()) is not None:
            self._answer(session, message)
        if session.reader.closed:
            self._drop(session)

    def _drop(self, session: _Session) -> None:
        self._poll.unregister(session.sock)
        del self._sessions[session.sock.fileno()]
        session.sock.close()
        if session.container:
            self._leave(session.container)

    def _answer(self, session: _Session, message: Mapping[str, Any]) -> None:
        descriptors, session.reader.descriptors = session.reader.descriptors, []
        try:
            answer = {"value": self._operations[message["op"]](message, descriptors)}
            if message["op"] == "attach":
                session.container = message["id"]
        except Exception as error:  # the edge of the loop: one request that goes wrong doesn't end the others
            answer = {"error": dump_error(error)}
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        try:
            session.sock.sendall(pack(answer))
        except OSError:
            with contextlib.suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)  # its end is seen where it is read

    def _attach(self, message: Mapping[str, Any], listeners: Sequence[int]) -> dict[str, Any]:
        container = message["id"]
        for session in self._sessions.values():
            if session.container == container:  # whoever attached it before was killed, and we haven't heard of it yet
                session.container = ""
        self._leave(container)
        attachment = Attachment(
            id=container,
            name=message["name"],
            namespace=new_namespace(self._calls, self._gateway.home),
            folder=message["folder"],
            own=tuple(message["own"]),
            extra=tuple((name, address) for name, address in message["extra"]),
            ports=tuple(Port.from_dict(port) for port in message["ports"]),
        )
        self._attached[container] = attachment
        try:
            for wanted in message["networks"]:
                self._join(attachment, wanted)
            if listeners:
                address = next(iter(attachment.addresses().values()))
                pairs = list(zip(attachment.ports, listeners, strict=True))
                attachment.forwarder, attachment.line = start_forwarder(pairs, address)
            self._write_resolv(attachment, message)
            self._naming.write(attachment)
            self._naming.changed(attachment.endpoints, beside=container)
        except BaseException:
            self._leave(container)
            raise
        return {
            "namespace": f"/proc/{os.getpid()}/fd/{attachment.namespace}",
            "user_namespace": self._gateway.user_namespace,
            "addresses": attachment.addresses(),
            "notes": list(self._gateway.take_notes()),
        }

    def _join(self, attachment: Attachment, wanted: Mapping[str, Any]) -> None:
        network = Network.from_dict(wanted["network"]) if wanted["network"] else self._private()
        if network.name in attachment.endpoints:
            raise NetworkError(f"expected the container not to be on {network.name} yet, found it there")
        if not network.internal:
            self._gateway.open()
        if clash := self._gateway.clash(network.subnet):
            raise NetworkError(
                f"expected {network.subnet} of network {network.name} to be free, found it clash with {clash}",
                hint=f"airdock network rm {network.name} and create it again",
            )
        attachment.endpoints[network.name] = self._segments.join(
            network,
            container=attachment.id,
            namespace=attachment.namespace,
            inside=f"eth{_first_free(attachment)}",
            ip=wanted.get("ip", ""),
            names=wanted["names"],
        )

    def _private(self) -> Network:
        self._gateway.open()
        if known := self._segments.all.get("private"):
            return known.network
        subnet = choose_subnet([*self._gateway.taken, *self._segments.subnets()], late=True)
        return Network(name="private", id="private", subnet=subnet, gateway=subnet[1], isolated=True)

    def _leave(self, container: str) -> None:
        attachment = self._attached.pop(container, None)
        if attachment is None:
            return
        names = list(attachment.endpoints)
        for name in names:
            self._segments.leave(container, name)
        attachment.close()
        self._naming.changed(names)

    def _detach(self, message: Mapping[str, Any], _: Sequence[int]) -> None:
        self._leave(message["id"])

    def _connect(self, message: Mapping[str, Any], _: Sequence[int]) -> dict[str, str]:
        attachment = self._find(message["id"])
        self._join(attachment, message)
        self._naming.write(attachment)
        self._naming.changed(attachment.endpoints, beside=attachment.id)
        return attachment.addresses()

    def _disconnect(self, message: Mapping[str, Any], _: Sequence[int]) -> None:
        attachment, name = self._find(message["id"]), message["network"]
        if attachment.endpoints.pop(name, None) is None:
            raise NetworkError(f"expected container {attachment.name} to be on network {name}, found it isn't")
        self._segments.leave(attachment.id, name)
        self._segments.sweep()
        self._naming.write(attachment)
        self._naming.changed([name])

    def _list(self, message: Mapping[str, Any], _: Sequence[int]) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "uplink": self._gateway.uplink_name,
            "networks": [segment.network.to_dict() for segment in self._segments.all.values()],
            "containers": [attachment.to_dict() for attachment in self._attached.values()],
        }

    def _find(self, container: str) -> Attachment:
        if container not in self._attached:
            raise NetworkError(
                f"expected container {container[:12]} to run on a network of its own, found it doesn't",
                hint="start it, or create it with --network",
            )
        return self._attached[container]

    def _write_resolv(self, attachment: Attachment, message: Mapping[str, Any]) -> None:
        has_way_out = any(not endpoint.network.internal for endpoint in attachment.endpoints.values())
        content = self._gateway.render_resolv(**message["lookup"], has_way_out=has_way_out)
        write_in_place(Path(attachment.folder, RESOLV), content)


def _first_free(attachment: Attachment) -> int:
    used = {endpoint.inside for endpoint in attachment.endpoints.values()}
    return next(number for number in range(len(used) + 1) if f"eth{number}" not in used)
