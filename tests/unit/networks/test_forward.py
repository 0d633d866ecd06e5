"""Carrying published ports, over loopback."""

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from airdock.networks.base import Port
from airdock.networks.forward import Forwarder
from airdock.networks.listeners import open_listeners


def carry(port: Port, target: tuple[str, int]) -> Iterator[int]:
    (found, listener), *_ = open_listeners([port])
    reader, line = os.pipe()
    forwarder = Forwarder()
    forwarder.add(listener, target)
    thread = threading.Thread(target=forwarder.run, args=(reader,))
    thread.start()
    try:
        yield found.host_port
    finally:
        os.close(line)
        thread.join()
        os.close(reader)
        forwarder.close()
        listener.close()


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A service that gives back what it reads, and ends a connection when the other side has."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(1 << 16):
                    connection.sendall(data)

    thread = threading.Thread(target=serve)
    thread.start()
    yield ("127.0.0.1", listening.getsockname()[1])
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join()


@pytest.fixture
def tcp(echo: tuple[str, int]) -> Iterator[int]:
    yield from carry(Port(container_port=1, host_ip="127.0.0.1"), echo)


def test_bytes_come_back_whole_and_the_end_follows(tcp: int) -> None:
    payload = os.urandom(2 << 20)
    with socket.create_connection(("127.0.0.1", tcp), timeout=10) as connection:

        def send() -> None:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        back = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        sender.join()
    assert back == payload


def test_many_connections_at_once(tcp: int) -> None:
    connections = [socket.create_connection(("127.0.0.1", tcp), timeout=10) for _ in range(3)]
    for connection in connections[:2]:
        connection.close()
    with connections[2] as connection:
        connection.sendall(b"still here")
        assert connection.recv(100) == b"still here"


def test_where_nobody_listens_the_caller_hears_a_reset() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        running = carry(Port(container_port=1, host_ip="127.0.0.1"), ("127.0.0.1", unused.getsockname()[1]))
        port = next(running)
        with (
            pytest.raises(ConnectionResetError),  # already while it connects, where the forwarder is quick
            socket.create_connection(("127.0.0.1", port), timeout=10) as connection,
        ):
            connection.recv(1)
        running.close()


@pytest.mark.parametrize("ip", ["", "127.0.0.1"])
def test_datagrams_go_there_and_back(ip: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 0))
        service.settimeout(10)
        running = carry(Port(container_port=1, host_ip=ip, protocol="udp"), service.getsockname())
        port = next(running)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.connect((ip or "127.0.0.2", port))
            for word in (b"one", b"two"):
                client.send(word)
                data, peer = service.recvfrom(100)
                service.sendto(data.upper(), peer)
                assert client.recv(100) == word.upper()
        running.close()


def test_a_range_of_the_machine_is_a_choice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        wanted = Port(container_port=80, host_port=number, host_last=number + 20, host_ip="127.0.0.1")
        ((found, listener),) = open_listeners([wanted])
        listener.close()
    assert number < found.host_port <= number + 20
    assert found.host_last == 0
