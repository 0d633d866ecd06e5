"""Sockets that wait at ports of the machine, opened by whoever publishes them: its rights decide which it may have."""

import errno
import socket
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from airdock.errors import NetworkError
from airdock.networks.base import Port

__all__ = ["open_listeners"]

_BACKLOG: Final = 512
_LEAST_FREE_PORT: Final = 1024


def open_listeners(ports: Iterable[Port], *, default_ip: str = "") -> list[tuple[Port, socket.socket]]:
    """A bound socket for each port, with the port as it came out. Raises NetworkError; then none is left open."""
    opened: list[tuple[Port, socket.socket]] = []
    try:
        for port in ports:
            opened.append(_open(replace(port, host_ip=port.host_ip or default_ip)))
    except BaseException:
        for _, sock in opened:
            sock.close()
        raise
    return opened


def _open(port: Port) -> tuple[Port, socket.socket]:
    first, last = port.host_port, port.host_last or port.host_port
    for number in range(first, last + 1):
        try:
            sock = _bind(port, number)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and number < last:
                continue
            raise _refused(port, number, error) from error
        return replace(port, host_port=sock.getsockname()[1], host_last=0), sock
    raise AssertionError("a range of ports has at least one")


def _bind(port: Port, number: int) -> socket.socket:
    kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
    for family, address in _places(port.host_ip):
        try:
            sock = socket.socket(family, kind | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT and family == socket.AF_INET6 and not port.host_ip:
                continue  # a machine without IPv6
            raise
        try:
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bool(port.host_ip))
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address, number))
            if kind == socket.SOCK_STREAM:
                sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRNOTAVAIL and not port.host_ip and family == socket.AF_INET6:
                continue  # IPv6 is there but turned off
            raise
        return sock
    raise OSError(errno.EAFNOSUPPORT, "neither IPv4 nor IPv6")


def _places(ip: str) -> Sequence[tuple[socket.AddressFamily, str]]:
    """Where to bind: at one socket for both families where no address is given."""
    if not ip:
        return [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]  # noqa: S104 as Docker does
    return [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip)]


def _refused(port: Port, number: int, error: OSError) -> NetworkError:
    place = f"{port.host_ip or '0.0.0.0'}:{number}/{port.protocol}"  # noqa: S104 how every address is written
    hint = ""
    if error.errno == errno.EADDRINUSE:
        hint = f"another program listens there: ss -ln 'sport = :{number}'; or publish another port"
    elif error.errno == errno.EACCES and number < _LEAST_FREE_PORT:
        hint = f"publish a port from 1024 on, or: sysctl net.ipv4.ip_unprivileged_port_start={number}"
    elif error.errno == errno.EADDRNOTAVAIL:
        hint = "that is no address of this machine; leave it out for all of them"
    return NetworkError(f"can't publish port {port.container_port} at {place}: {error.strerror}", hint=hint)
