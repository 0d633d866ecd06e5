"""What this machine can do for networks of containers, for `airdock doctor`."""

import os
import shutil
from collections.abc import Callable

from airdock.errors import AirdockError
from airdock.networks.links import Links
from airdock.networks.nftables import Chain, Filter, Rule, dropping_chains
from airdock.networks.uplink import PROGRAMS, choose_program, forward_hint
from airdock.runtime.machine import is_real_root
from airdock.runtime.probe import Check
from airdock.runtime.syscalls import CLONE_NEWNET, CLONE_NEWUSER, Syscalls

__all__ = ["check_networks"]


def check_networks(uplink: str = "auto") -> list[Check]:
    """Bridges and rules in a namespace of our own, and the way out of it; containers need neither."""
    root = is_real_root()
    return [_check_router(root), _check_way_out(uplink, root)]


def _check_router(root: bool) -> Check:
    name = "networks"
    failed = _try(lambda: _make_network(root))
    if not failed:
        return Check(
            name=name, ok=True, found="bridges, pairs of interfaces and rules with NAT can be made", needed=False
        )
    return Check(
        name=name,
        ok=False,
        found=f"private and named networks can't be made: {failed}",
        hint="sudo modprobe -a bridge veth nf_tables nft_masq nft_chain_nat nft_ct",
        needed=False,
    )


def _check_way_out(uplink: str, root: bool) -> Check:
    name = "way out"
    if root and uplink in ("auto", "nat"):
        chains = dropping_chains()
        if chains:
            found = f"{chains[0]} drops what it isn't told to forward, packets of containers with it"
            return Check(name=name, ok=False, found=found, hint=forward_hint(), needed=False)
        return Check(
            name=name, ok=True, found="private networks leave by this machine's routing, with NAT", needed=False
        )
    try:
        program, _ = choose_program(uplink)
    except AirdockError as error:
        return Check(name=name, ok=False, found=error.message, hint=error.hint, needed=False)
    others = [other for other in PROGRAMS if other != program and shutil.which(other)]
    found = f"private networks leave by {program}" + (f"; {', '.join(others)} is there too" if others else "")
    return Check(name=name, ok=True, found=found, needed=False)


def _make_network(root: bool) -> None:
    calls = Syscalls()
    calls.unshare(CLONE_NEWNET | (0 if root else CLONE_NEWUSER))
    with Links() as links:
        links.add_bridge("bridge", mac="02:ad:00:00:00:01")
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        links.add_veth("outside", peer="inside", peer_netns=own, master=links.index("bridge"))
    rules = [Rule(verdict="masquerade", goes_out="outside"), Rule(verdict="accept", is_answer=True)]
    Filter("airdock").set([Chain(hook="postrouting", rules=rules[:1]), Chain(hook="forward", rules=rules[1:])])


def _try(attempt: Callable[[], None]) -> str:
    """What went wrong in a child that tried, or nothing."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
        except AirdockError as error:
            os.write(writer, error.message.encode())
        except OSError as error:
            os.write(writer, f"{error.strerror}{f' ({error.filename})' if error.filename else ''}".encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        said = answer.read().decode(errors="replace")
    os.waitpid(pid, 0)
    return said
