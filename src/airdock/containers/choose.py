"""Which containers a `--filter` means: `key=value`, with Docker's keys; values of one key are alternatives.

id=PREFIX  name=PATTERN  status=WORD  exited=CODE  health=WORD  ancestor=IMAGE  network=NAME  volume=PATH
label=KEY[=VALUE]  `label!=` for those without it  before=CONTAINER  since=CONTAINER  until=TIME (prune)
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from airdock.containers.known import Known
from airdock.containers.volumes import places_of
from airdock.errors import ContainerError
from airdock.images.filters import parse_until

__all__ = ["FILTERS", "PRUNE_FILTERS", "STATUSES", "choose", "parse_container_filters"]

FILTERS: Final = (
    "id", "name", "status", "exited", "health", "ancestor", "network", "volume", "label", "before", "since",
)  # fmt: skip
PRUNE_FILTERS: Final = ("label", "until")
STATUSES: Final = ("created", "running", "paused", "restarting", "exited", "dead", "removing")


def parse_container_filters(texts: Sequence[str], known: Sequence[str]) -> dict[str, list[str]]:
    """Filters by key; `label!` is a key of its own. Raises ContainerError."""
    found: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key.removesuffix("!") not in known or (key.endswith("!") and key != "label!"):
            raise ContainerError(
                f"expected a filter KEY=VALUE, found {text!r}", hint=f"the keys are: {', '.join(known)}"
            )
        if key == "status" and value not in STATUSES:
            raise ContainerError(f"expected a status among {', '.join(STATUSES)}, found {value!r}")
        found.setdefault(key, []).append(value)
    return found


def choose(
    containers: Sequence[Known],
    filters: Mapping[str, Sequence[str]],
    *,
    find: Callable[[str], Known],
    now: datetime,
) -> Sequence[Known]:
    """Those that pass all filters. `find` is for containers that filters name; raises what it does."""
    checks = [_check(key, values, find, now) for key, values in filters.items()]
    return [known for known in containers if all(check(known) for check in checks)]


def _check(key: str, values: Sequence[str], find: Callable[[str], Known], now: datetime) -> Callable[[Known], bool]:
    if key in ("before", "since"):
        other = find(values[-1]).state.created
        return lambda known: known.state.created < other if key == "before" else known.state.created > other
    if key == "until":
        limit = parse_until(values[-1], now)
        return lambda known: datetime.fromisoformat(known.state.created) < limit
    if key == "label":
        return lambda known: all(_has_label(known, value) for value in values)
    if key == "label!":
        return lambda known: not any(_has_label(known, value) for value in values)
    test: Callable[[Known, str], Any] = _TESTS[key]
    return lambda known: any(test(known, value) for value in values)


def _has_label(known: Known, text: str) -> bool:
    name, equals, value = text.partition("=")
    labels = known.record.labels if known.record else {}
    return name in labels and (not equals or labels[name] == value)


def _has_health(known: Known, word: str) -> bool:
    health = known.life.health.status if known.life and known.life.health and known.is_running else "none"
    return health == word


def _is_of(known: Known, image: str) -> bool:
    state = known.state
    ids = [known.record.image_id if known.record else "", state.image_digest]
    return (
        image == state.image
        or image == state.image.partition(":")[0]
        or any(
            identity.removeprefix("sha256:").startswith(image.removeprefix("sha256:")) for identity in ids if identity
        )
    )


def _has_volume(known: Known, place: str) -> bool:
    places = places_of(known.state.config)
    return any(place in (found.get("Name"), found.get("Source"), found["Destination"]) for found in places)


_TESTS: Final[Mapping[str, Callable[[Known, str], Any]]] = {
    "id": lambda known, value: known.id.startswith(value),
    "name": lambda known, value: re.search(value, f"/{known.name}") or re.search(value, known.name),
    "status": lambda known, value: known.status == value,
    "exited": lambda known, value: known.status == "exited" and str(known.exit_code) == value,
    "health": _has_health,
    "ancestor": _is_of,
    "network": lambda known, value: known.record is not None and known.record.network.get("mode") == value,
    "volume": _has_volume,
}
