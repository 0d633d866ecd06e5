"""What a function decided about the tasks after it, where there is no DAG to ask: the payload says what follows."""

__all__ = ["skipped"]


def skipped(payload, value, map_index):
    """The tasks to skip, each with the map index, for what the function returned. ValueError for ids of no task."""
    if "short_circuit" in payload:
        return [] if value else [(each, map_index) for each in payload["short_circuit"]]
    if "branch" not in payload:
        return []
    chosen = set() if value is None else {value} if isinstance(value, str) else set(value)
    unknown = sorted(str(each) for each in chosen.difference(payload["branch"]["known"]))
    if unknown:
        raise ValueError("expected ids of tasks or groups of the DAG to follow, found %s" % ", ".join(unknown))
    unless = payload["branch"]["skip_unless"]
    return [(each, map_index) for each in unless if not chosen.intersection(unless[each])]
