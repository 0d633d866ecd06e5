"""What servers watch over together: which assets are active, and which of them does what only one may do."""

from abc import abstractmethod
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from airdock.store.registry import Registry
from airdock.store.times import known_time, micros

__all__ = ["Watched"]


class Watched(Registry):
    """More verbs over the tables of `registry.KEYS`; each is one transaction."""

    @abstractmethod
    def now(self) -> datetime:
        """The time of leases, UTC."""

    # Assets

    def keep_assets(self, defined: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """These assets, as (name, uri), are defined now; gives those that are inactive.

        An asset is active unless one that came before it has its name with another address, or its address with another
        name. One that isn't defined any more makes room.
        """
        wanted = list(dict.fromkeys(defined))
        with self._rows(write=True) as rows:
            had = {row["name"]: row["uri"] for row in rows.select("active_assets")}
            left = {name: uri for name, uri in had.items() if (name, uri) in set(wanted)}
            for name in had.keys() - left.keys():
                rows.delete("active_assets", name=name)
            new = _add(left, wanted)
            rows.upsert("active_assets", [{"name": name, "uri": uri} for name, uri in new.items()])
        return [each for each in wanted if each not in set(left.items())]

    def list_active_assets(self) -> list[tuple[str, str]]:
        """Name and address of each, by name."""
        with self._rows(write=False) as rows:
            return [(row["name"], row["uri"]) for row in rows.select("active_assets")]

    # What one does for all

    def take_duty(self, name: str, *, owner: str, lease_s: float, displacing: Collection[str] = ()) -> bool:
        """Whether the duty is the owner's for the next `lease_s` seconds: it has it, or nobody does.

        `displacing` are owners that are known to be dead.
        """
        now = self.now()
        with self._rows(write=True) as rows:
            for row in rows.select("duty_leases", name=name):
                is_over = known_time(row["lease_until"]) <= now
                if row["owner"] != owner and row["owner"] not in displacing and not is_over:
                    return False
            until = micros(now + timedelta(seconds=lease_s))
            rows.upsert("duty_leases", [{"name": name, "owner": owner, "lease_until": until}])
        return True

    def find_duty(self, name: str) -> str:
        """Who has it, or had it last; empty where nobody had."""
        with self._rows(write=False) as rows:
            return next((str(row["owner"]) for row in rows.select("duty_leases", name=name)), "")

    def leave_duty(self, name: str, *, owner: str) -> None:
        """Let others have it."""
        with self._rows(write=True) as rows:
            rows.delete("duty_leases", name=name, owner=owner)


def _add(active: dict[str, str], wanted: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Put those into `active` that are in nobody's way, and give them."""
    new: dict[str, str] = {}
    addresses = set(active.values())
    for name, uri in wanted:
        if name not in active and uri not in addresses:
            active[name] = new[name] = uri
            addresses.add(uri)
    return new
