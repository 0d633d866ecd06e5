"""Networks of containers on the real kernel, for each kind of account: the way out, ports, names, and nothing left."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.apart import is_process_ours
from tests.system.conftest import Account

pytestmark = pytest.mark.usefixtures("unchanged_network")

_TUN = Path("/dev/net/tun")
_PATIENCE_S = 30.0

_ECHO = """
import socket, sys, threading
tcp = socket.create_server(("", 7001), backlog=64)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("", 7002))
def datagrams():
    while True:
        data, peer = udp.recvfrom(65536)
        udp.sendto(b"udp " + data, peer)
threading.Thread(target=datagrams, daemon=True).start()
print("ready", flush=True)
while True:
    connection, _ = tcp.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)
"""
"""What runs in a container: gives back what comes in at 7001/tcp, and at 7002/udp with a word in front."""

_ASK = """
import socket, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=5) as connection:
    connection.sendall(b"hello")
    print(connection.recv(100).decode())
"""

_TRY = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.rsplit(":", 1)
    try:
        with socket.create_connection((host, int(port)), timeout=3) as connection:
            connection.sendall(b"hello")
            print(place, connection.recv(100).decode())
    except OSError as error:
        print(place, "refused")
"""


@pytest.fixture
def unchanged_network() -> Iterator[None]:
    """Fails the test when interfaces, rules or routers are left."""
    before = _look()
    yield
    deadline = time.monotonic() + _PATIENCE_S  # the kernel clears a killed router's namespace when it has time
    while (left := _look() - before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _look() -> set[str]:
    links = {f"interface {name}" for _, name in socket.if_nameindex() if not _is_anothers(name)}
    rules = set()
    if os.geteuid() == 0 and shutil.which("nft"):
        said = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        rules = {f"rules {line}" for line in said.splitlines() if not _is_anothers(line)}
    processes = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = folder.joinpath("cmdline").read_bytes()
            except OSError:
                continue
            is_part = line.startswith((b"airdock-router", b"airdock-forwarder")) or b"\0uplink\0" in line
            if is_part and is_process_ours(folder.name):
                processes.add(f"process {folder.name} {line[:40]!r}")
    return links | rules | processes


def _is_anothers(name: str) -> bool:
    """Whether what has a router's name is of one that another test runner has."""
    found = re.search(r"airdock(\d+)", name)
    return found is not None and Path("/proc", found[1]).exists() and not is_process_ours(found[1])


@pytest.fixture
def connected(account: Account) -> Iterator[Account]:
    """An account that can have networks of its own."""
    if account.name == "root":
        yield account
        return
    if not (shutil.which("pasta") or shutil.which("slirp4netns")):
        pytest.skip("an ordinary account's way out needs pasta or slirp4netns (apt-get install passt)")
    if os.access(_TUN, os.R_OK | os.W_OK) and os.geteuid() != 0:
        yield account
        return
    if not _TUN.exists() or os.geteuid() != 0:
        pytest.skip("an ordinary account's way out needs /dev/net/tun with mode 0666")
    mode = _TUN.stat().st_mode & 0o777
    _TUN.chmod(0o666)  # as udev has it
    try:
        yield account
    finally:
        _TUN.chmod(mode)


@contextmanager
def running(account: Account, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A container in the foreground that has printed its first line; killed at the end."""
    argv = [*account.become, account.python, "-m", "airdock", "container", "run", "--rm", *arguments]
    process = subprocess.Popen(
        argv,
        env=dict(account.environment),
        cwd=account.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stderr
    try:
        line = process.stdout.readline()
        assert line.strip() == "ready", process.stderr.read()
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()


def run(account: Account, *arguments: str) -> str:
    """The output of a container that must succeed."""
    done = account.airdock("container", "run", "--rm", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def service(address: str) -> Iterator[int]:
    """A service of this machine that answers "served"; gives its port."""
    with socket.create_server((address, 0)) as listening:
        port = listening.getsockname()[1]
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    connection, _ = listening.accept()
                    connection.recv(100)
                    connection.sendall(b"served")
                    connection.close()
            finally:
                os._exit(0)
        try:
            yield port
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def own_address() -> str:
    """The address of this machine that others see."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("a way out needs a machine with a default route")
        return str(sock.getsockname()[0])


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def ask(port: int, address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, port), timeout=5) as connection:
        connection.sendall(b"hello")
        return connection.recv(100).decode()


def test_private_has_a_way_out_and_neither_loopback_nor_rights(connected: Account) -> None:
    address = own_address()
    with service(address) as outer, service("127.0.0.1") as hidden:
        places = [f"{address}:{outer}", f"127.0.0.1:{hidden}", f"{address}:{hidden}"]
        said = run(connected, "--network", "private", "host", "python3", "-c", _TRY, *places)
    assert said.splitlines() == [f"{places[0]} served", f"{places[1]} refused", f"{places[2]} refused"]


_LOOK = """
import os, socket
print(*sorted(os.listdir("/sys/class/net")))
print(open("/etc/hosts").read().count("192.0.2.77\\tdb"), "nameserver 192.0.2.53" in open("/etc/resolv.conf").read())
sock = socket.create_server(("", 80))
print("port 80")
socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
print("ping")
import fcntl, struct
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for name, call in (("down", 0x8914), ("address", 0x8916)):
    try:
        fcntl.ioctl(sock, call, struct.pack("16sh22x", b"eth0", 0))
        print(name, "changed")
    except PermissionError:
        print(name, "refused")
try:
    socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    print("raw")
except PermissionError:
    print("no raw")
try:
    open("/proc/sys/net/ipv4/ip_forward", "w")
    print("sysctl changed")
except OSError:
    print("sysctl refused")
"""


def test_the_inside_shows_its_own_network_and_cannot_change_it(connected: Account) -> None:
    flags = ["--network", "private", "--add-host", "db:192.0.2.77", "--dns", "192.0.2.53"]
    assert run(connected, *flags, "host", "python3", "-c", _LOOK).splitlines() == [
        "eth0 lo",
        "1 True",
        "port 80",
        "ping",
        "down refused",
        "address refused",
        "no raw",
        "sysctl refused",
    ]


def test_published_ports_lead_in_by_tcp_and_udp(connected: Account) -> None:
    tcp, udp = free_port(), free_port(socket.SOCK_DGRAM)
    ports = ["-p", f"127.0.0.1:{tcp}:7001", "-p", f"{udp}:7002/udp"]
    with running(connected, "--network", "private", *ports, "host", "python3", "-c", _ECHO):
        assert ask(tcp) == "hello"
        payload = os.urandom(3 << 20)
        with socket.create_connection(("127.0.0.1", tcp), timeout=20) as connection:
            back = _exchange(connection, payload)
        assert back == payload
        for address in ("127.0.0.1", own_address()):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.settimeout(5)
                sock.connect((address, udp))
                sock.send(b"ping")
                assert sock.recv(100) == b"udp ping"
        with pytest.raises(ConnectionRefusedError):
            ask(tcp, own_address())
        refused = connected.airdock("container", "run", "--rm", "--network", "private", *ports, "host", "true")
        assert refused.returncode == 125
        assert f"127.0.0.1:{tcp}/tcp" in refused.stderr
        assert "another program listens there" in refused.stderr
    with pytest.raises(OSError, match=r"refused|reset"):
        ask(tcp)


def _exchange(connection: socket.socket, payload: bytes) -> bytes:
    """Send while receiving, and see the end after ours."""
    pid = os.fork()
    if pid == 0:
        try:
            connection.sendall(payload)
            connection.shutdown(socket.SHUT_WR)
        finally:
            os._exit(0)
    back = b""
    while piece := connection.recv(1 << 20):
        back += piece
    os.waitpid(pid, 0)
    return back


def test_containers_of_a_network_find_each_other_by_name(connected: Account) -> None:
    assert connected.airdock("network", "create", "app").returncode == 0
    try:
        flags = ["--network", "app", "--network-alias", "store", "--name", "first"]
        with running(connected, *flags, "host", "python3", "-c", _ECHO):
            for name in ("first", "store"):
                said = run(connected, "--network", "app", "host", "python3", "-c", _ASK, name, "7001")
                assert said == "hello\n"
            with running(connected, "--network", "app", "--name", "second", "host", "python3", "-c", _ECHO):
                execute = ["container", "exec", "first", "python3", "-c", _ASK, "second", "7001"]
                done = connected.airdock(*execute)
                assert done.stdout == "hello\n", done.stderr
                known = json.loads(connected.airdock("network", "inspect", "app").stdout)[0]
                assert {one["Name"] for one in known["Containers"].values()} == {"first", "second"}
                refused = connected.airdock("network", "rm", "app")
                assert refused.returncode == 1
                assert "first, second" in refused.stderr
            gone = connected.airdock("container", "exec", "first", "grep", "-c", "second", "/etc/hosts")
            assert gone.stdout == "0\n"
            others = connected.airdock("container", "exec", "first", "cat", "/etc/hosts").stdout.split()[1]
            assert others == "localhost"
            # Neither the network of others nor that of private containers leads here.
            address = next(iter(known["Containers"].values()))["IPv4Address"]
            said = run(connected, "--network", "private", "host", "python3", "-c", _TRY, f"{address}:7001")
            assert said == f"{address}:7001 refused\n"
    finally:
        assert connected.airdock("network", "rm", "app").returncode == 0


def test_private_containers_do_not_reach_each_other(connected: Account) -> None:
    with running(connected, "--network", "private", "--name", "one", "host", "python3", "-c", _ECHO):
        known = json.loads(connected.airdock("network", "inspect", "private").stdout)[0]
        (member,) = known["Containers"].values()
        place = f"{member['IPv4Address']}:7001"
        assert run(connected, "--network", "private", "host", "python3", "-c", _TRY, place) == f"{place} refused\n"
        beside = run(connected, "--network", "container:one", "host", "python3", "-c", _TRY, "127.0.0.1:7001")
        assert beside == "127.0.0.1:7001 hello\n"


def test_an_internal_network_has_no_way_out(connected: Account) -> None:
    assert connected.airdock("network", "create", "--internal", "closed").returncode == 0
    try:
        with (
            service(own_address()) as outer,
            running(connected, "--network", "closed", "--name", "shut", "host", "python3", "-c", _ECHO),
        ):
            place = f"{own_address()}:{outer}"
            said = run(connected, "--network", "closed", "host", "python3", "-c", _TRY, place, "shut:7001")
        assert said.splitlines() == [f"{place} refused", "shut:7001 hello"]
    finally:
        assert connected.airdock("network", "rm", "closed").returncode == 0


def test_a_running_container_is_put_on_a_network_and_taken_off(connected: Account) -> None:
    for name in ("left", "right"):
        assert connected.airdock("network", "create", name).returncode == 0
    try:
        with running(connected, "--network", "left", "--name", "mover", "host", "python3", "-c", _ECHO):
            assert connected.airdock("network", "connect", "--alias", "guest", "right", "mover").returncode == 0
            said = run(connected, "--network", "right", "host", "python3", "-c", _ASK, "guest", "7001")
            assert said == "hello\n"
            assert connected.airdock("network", "disconnect", "right", "mover").returncode == 0
            inside = connected.airdock("container", "exec", "mover", "ls", "/sys/class/net").stdout
            assert inside.split() == ["eth0", "lo"]
    finally:
        for name in ("left", "right"):
            assert connected.airdock("network", "rm", name).returncode == 0


@pytest.mark.parametrize("victim", ["command", "router"])
def test_nothing_is_left_when_a_part_is_killed(
    connected: Account, victim: str, unchanged_machine: Callable[[], None]
) -> None:
    port = free_port()
    ports = ["-p", f"127.0.0.1:{port}:7001"]
    with running(connected, "--network", "private", *ports, "--name", "doomed", "host", "python3", "-c", _ECHO) as one:
        assert ask(port) == "hello"
        pid = one.pid if victim == "command" else _router_of(connected)
        os.kill(pid, signal.SIGKILL)
        if victim == "command":
            one.wait(_PATIENCE_S)
            unchanged_machine()
        else:
            # What runs goes on without a network; the next container gets a new one.
            assert one.poll() is None
            assert run(connected, "--network", "private", "host", "echo", "on") == "on\n"
    connected.airdock("container", "rm", "-f", "doomed")


def test_abstract_sockets_of_the_machine_are_out_of_reach(connected: Account) -> None:
    name = f"airdock-test-{os.getpid()}"
    reach = "import socket, sys; socket.socket(socket.AF_UNIX).connect(chr(0) + sys.argv[1])"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"\0{name}")
        listening.listen()
        said = connected.airdock(
            "container", "run", "--rm", "--network", "private", "host", "python3", "-c", reach, name
        )
        assert "ConnectionRefusedError" in said.stderr
        run(connected, "--network", "host", "host", "python3", "-c", reach, name)


def test_ip_and_nft_see_what_was_made(root_account: Account) -> None:
    for program in ("ip", "nft", "nsenter"):
        if not shutil.which(program):
            pytest.skip(f"{program} is the judge here and isn't installed")
    with running(root_account, "--network", "private", "--name", "seen", "host", "python3", "-c", _ECHO):
        router = str(_router_of(root_account))
        inside = ["nsenter", "-t", router, "-n"]
        links = json.loads(_said(*inside, "ip", "-j", "-d", "addr"))
        kinds = {link["ifname"]: link.get("linkinfo", {}) for link in links}
        (bridge,) = (name for name, info in kinds.items() if info.get("info_kind") == "bridge")
        (port,) = (info for info in kinds.values() if info.get("info_slave_kind") == "bridge")
        assert port["info_slave_data"]["isolated"] is True
        (address,) = (link["addr_info"][0] for link in links if link["ifname"] == bridge)
        subnet = f"{address['local'].removesuffix('.1')}.0/{address['prefixlen']}"
        assert (
            _said(*inside, "nft", "list", "table", "ip", "airdock").split("\n", 1)[1].split()
            == (
                f"flags owner chain forward {{ type filter hook forward priority filter; policy accept; "
                f'iifname "{bridge}" oifname "{bridge}" accept '
                f'oifname "{bridge}" ct state established,related accept oifname "{bridge}" drop }} '
                f"chain postrouting {{ type nat hook postrouting priority srcnat; policy accept; "
                f'oifname "uplink" ip saddr {subnet} masquerade }} }}'
            ).split()
        )
        own = f"airdock{router}"
        rules = _said("nft", "list", "table", "ip", own)
        assert f'oifname != "{own}" ip saddr' in rules
        assert f'oifname "{own}" drop' in rules


def _said(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _router_of(account: Account) -> int:
    """The pid of the router that belongs to an account's home."""
    asked = account.run(
        account.python,
        "-c",
        "from airdock.app import App; from airdock.config import load_config\n"
        "with App(load_config()) as app: print(app.networks.status()['pid'])",
    )
    return int(asked.stdout)


def test_ports_of_the_machines_network_are_left_out_with_a_word(root_account: Account) -> None:
    done = root_account.airdock("container", "run", "--rm", "-p", "8080:80", "host", "true")
    assert (done.returncode, "published ports are left out" in done.stderr) == (0, True)


def test_bad_words_are_refused_with_what_was_expected(root_account: Account) -> None:
    for flags, expected in (
        (["--network", "nowhere"], "found none named 'nowhere'"),
        (["--network", "a b"], "found 'a b'"),
        (["--network", "container:nobody"], "expected a container named 'nobody'"),
        (["-p", "http"], "expected ports as numbers"),
        (["--network", "private", "--ip", "10.0.0.1"], "expected a named network"),
        (["--network", "private", "-p", "203.0.113.9:80:80"], "no address of this machine"),
        (["--add-host", "db"], "expected NAME:ADDRESS"),
    ):
        done = root_account.airdock("container", "run", "--rm", *flags, "host", "true")
        assert done.returncode == 125, done.stderr
        assert expected in done.stderr
