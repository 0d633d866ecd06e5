"""The way out of a router's namespace: by the machine's own routing for root, by a program in user space for others.

    nat          a pair of interfaces, and rules of ours in the machine's packet filter that hide the router's addresses
    pasta        passt's program for one namespace: copies streams between sockets of the machine and a tap device
    slirp4netns  the same idea, older and slower

Nothing of it outlives the router, however that ends: the pair dies with its namespace (soon: the kernel does that when
it has time, so a router that ends by itself takes the pair away before), the rules with the socket that made them, and
the program is ended by a helper that waits for the router's end.
"""

import fcntl
import os
import select
import shutil
import signal
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from typing import Final, NoReturn, Protocol

from airdock.errors import NetworkError
from airdock.networks.addresses import UPLINK_PREFIX, choose_subnet
from airdock.networks.links import Links
from airdock.networks.namespaces import within, write_settings
from airdock.networks.nftables import ACCEPT, DROP, MASQUERADE, Chain, Filter, Rule, dropping_chains
from airdock.record import record
from airdock.runtime.shed import close_others
from airdock.runtime.syscalls import Syscalls

__all__ = [
    "PROGRAMS",
    "UPLINK",
    "NatUplink",
    "ProgramUplink",
    "Uplink",
    "choose_program",
    "forward_hint",
    "pasta_command",
    "slirp_command",
]

UPLINK: Final = "uplink"
"""What the interface that leads out is called in a router's namespace."""

PROGRAMS: Final = ("pasta", "slirp4netns")
"""In the order of preference."""

_HINT: Final = "apt-get install passt (or slirp4netns); or --network host"
_MTU: Final = 65_520
_PATIENCE_S: Final = 10.0
_TUN: Final = "/dev/net/tun"
_FORWARDING: Final = "net/ipv4/ip_forward"


class Uplink(Protocol):
    """A way out. `start` is called from the router's namespace, once; it raises NetworkError. `nameserver` resolves
    names there where the machine's own can't be reached, or is empty. `stop` is called there once the last container
    has gone."""

    name: str
    mtu: int
    nameserver: str
    subnet: IPv4Network
    notes: tuple[str, ...]

    def start(self, home: int) -> None: ...

    def stop(self) -> None: ...


class NatUplink:
    """For root. `host` is the machine's namespace, `mtu` that of its own way out."""

    name = "nat"
    nameserver = ""

    def __init__(self, calls: Syscalls, *, host: int, mtu: int, avoid: Sequence[IPv4Network] = ()) -> None:
        self._calls = calls
        self._host = host
        self._avoid = avoid
        self.mtu = mtu
        self._outside = f"airdock{os.getpid()}"
        self._filter: Filter | None = None
        self.subnet = IPv4Network("0.0.0.0/32")
        self.notes: tuple[str, ...] = ()

    def start(self, home: int) -> None:
        with within(self._calls, self._host, home):
            with Links() as links:
                self._claim_subnet(links, home)
            self._filter = Filter(self._outside)
            self._filter.set(self._rules())
            self._forward()
            self.notes += tuple(
                f"{chain} may drop packets of containers: {forward_hint()}" for chain in dropping_chains()
            )
        with Links() as links:
            index = links.index(UPLINK)
            links.add_address(index, _on(self.subnet[2], self.subnet))
            links.bring_up(index)
            links.add_default_route(self.subnet[1])

    def stop(self) -> None:
        with Links() as links:
            links.delete(UPLINK)

    def _claim_subnet(self, links: Links, home: int) -> None:
        """Take addresses that the machine has no route to, with the routers of other homes kept waiting."""
        fcntl.flock(self._host, fcntl.LOCK_EX)
        try:
            self.subnet = choose_subnet([*self._avoid, *links.routes()], UPLINK_PREFIX, late=True)
            links.add_veth(self._outside, peer=UPLINK, peer_netns=home, mtu=self.mtu)
            links.add_address(links.index(self._outside), _on(self.subnet[1], self.subnet))
        finally:
            fcntl.flock(self._host, fcntl.LOCK_UN)

    def _rules(self) -> list[Chain]:
        """Out goes everything, in comes what answers."""
        outside = self._outside
        return [
            Chain(
                hook="forward",
                rules=[
                    Rule(verdict=ACCEPT, goes_out=outside, is_answer=True),
                    Rule(verdict=DROP, goes_out=outside),
                ],
            ),
            Chain(
                hook="postrouting",
                rules=[Rule(verdict=MASQUERADE, goes_out=f"!{outside}", source=self.subnet)],
            ),
        ]

    def _forward(self) -> None:
        """Have the machine forward packets, as every way out by its own routing needs."""
        if Path("/proc/sys", _FORWARDING).read_text().strip() == "1":
            return
        try:
            write_settings({_FORWARDING: ("1",)})
        except OSError as error:
            raise NetworkError(
                f"expected to be able to turn {_FORWARDING.replace('/', '.')} on: {error.strerror}",
                hint="sysctl -w net.ipv4.ip_forward=1, or set network.uplink to pasta",
            ) from error
        self.notes = ("net.ipv4.ip_forward was off and is on now: containers' packets need it",)


def forward_hint() -> str:
    """What to do about a firewall that forwards nothing by itself, as Docker's does."""
    return (
        "iptables -I FORWARD -i 'airdock+' -j ACCEPT; "
        "iptables -I FORWARD -o 'airdock+' -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; "
        "or set network.uplink to slirp4netns"
    )


def _on(address: IPv4Address, subnet: IPv4Network) -> IPv4Interface:
    return IPv4Interface((address, subnet.prefixlen))


@record
class _Plan:
    """The addresses on a program's network: the same places as slirp4netns has them by default."""

    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        return self.subnet[2]

    @property
    def nameserver(self) -> IPv4Address:
        return self.subnet[3]

    @property
    def own(self) -> IPv4Address:
        return self.subnet[100]


def choose_program(wanted: str = "auto") -> tuple[str, str]:
    """Which program there is: (name, path). Raises NetworkError naming the packages."""
    names = PROGRAMS if wanted in ("auto", "nat") else (wanted,)
    if wanted == "pasta" and os.geteuid() == 0:
        raise NetworkError(
            "expected a way out that root can have, found pasta, which gives up root's rights first",
            where="network.uplink",
            hint="set it to nat or slirp4netns",
        )
    for name in names:
        if path := shutil.which(name):
            _need_tun()
            return name, path
    raise NetworkError(
        f"expected {' or '.join(names)} for a network of its own without root, found none installed", hint=_HINT
    )


def _need_tun() -> None:
    if not os.access(_TUN, os.R_OK | os.W_OK):
        found = "it may not be opened by this account" if Path(_TUN).exists() else "there is none"
        raise NetworkError(
            f"expected {_TUN}, which the way out of an ordinary account's network needs; found that {found}",
            hint=f"as root: modprobe tun && chmod 0666 {_TUN} (as udev has it); or --network host",
        )


def pasta_command(path: str, plan: _Plan, pid: int) -> list[str]:
    """pasta(1): no ports in either direction but for conversations begun inside, no way to the machine's loopback."""
    closed = [word for option in ("-t", "-u", "-T", "-U") for word in (option, "none")]
    silent = ["--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra", "--no-map-gw", "--ipv4-only"]
    place = ["--address", str(plan.own), "--netmask", str(plan.subnet.prefixlen), "--gateway", str(plan.gateway)]
    wire = ["--ns-ifname", UPLINK, "--mtu", str(_MTU), "--config-net"]
    return [path, "--foreground", "--quiet", *wire, *place, *silent, *closed, str(pid)]


def slirp_command(path: str, plan: _Plan, pid: int) -> list[str]:
    """slirp4netns(1), without the machine's loopback."""
    return [
        *(path, "--configure", f"--mtu={_MTU}", f"--cidr={plan.subnet}", "--disable-host-loopback"),
        *(str(pid), UPLINK),
    ]


class ProgramUplink:
    """For ordinary accounts. Made before the router goes into namespaces of its own: the program must stay outside."""

    def __init__(self, *, program: str, path: str, subnet: IPv4Network, log: Path) -> None:
        plan = _Plan(subnet=subnet)
        self.name = program
        self.subnet = subnet
        self.notes: tuple[str, ...] = ()
        self.mtu = _MTU
        self.nameserver = str(plan.nameserver) if program == "slirp4netns" else ""
        self._log = log
        build = slirp_command if program == "slirp4netns" else pasta_command
        argv = build(path, plan, os.getpid())
        # The router holds `self._line` and never writes more than the start; its end is the program's end.
        reader, self._line = os.pipe2(os.O_CLOEXEC)
        self._ended, ended = os.pipe2(os.O_CLOEXEC)
        if os.fork() == 0:
            _help(argv, reader, ended, log)
        os.close(reader)
        os.close(ended)

    def start(self, home: int) -> None:
        """Let the program go, and wait until it has given the namespace a default route."""
        with Links(notices=True) as links:
            os.write(self._line, b"1")
            deadline = time.monotonic() + _PATIENCE_S
            while not any(network.prefixlen == 0 for network in links.routes()):
                left_ms = (deadline - time.monotonic()) * 1000
                poll = select.poll()
                poll.register(links, select.POLLIN)
                poll.register(self._ended, select.POLLIN)
                ready = {descriptor for descriptor, _ in poll.poll(max(left_ms, 0))}
                if not ready or self._ended in ready:
                    raise self._failure("it ended at once" if ready else f"no route after {_PATIENCE_S:.0f} s")
                links.drain()

    def stop(self) -> None:
        """Its helper sees the router's end."""

    def _failure(self, why: str) -> NetworkError:
        try:
            said = self._log.read_text(errors="replace").strip().splitlines()[-3:]
        except OSError:
            said = []
        return NetworkError(
            f"{self.name} could not be the way out: {'; '.join([why, *said])}", where=str(self._log), hint=_HINT
        )


def _help(argv: Sequence[str], line: int, ended: int, log: Path) -> NoReturn:
    """Wait for the word, run the program, end it when the router is gone."""
    pid = 0
    try:
        close_others([line, ended])
        os.setsid()
        if not os.read(line, 1):
            os._exit(0)
        out = os.open(log, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
        # Ours ignores some of them, and pasta takes that for an error.
        plain = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
        pid = os.posix_spawn(argv[0], list(argv), os.environ, file_actions=actions, setsigdef=plain, setsigmask=())
        poll = select.poll()
        program = os.pidfd_open(pid)
        poll.register(program, select.POLLIN)
        poll.register(line, select.POLLIN)
        poll.poll()
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os._exit(0)
