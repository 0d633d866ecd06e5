"""JSON for the channel.

`json` imports `re`, which costs half of what starting Python costs; its C parts don't need it. Where a Python has no
such parts, `json` it is.
"""

__all__ = ["Listed", "decode", "encode"]


class Listed(object):
    """What is written as the list of what iterating over it gives."""


class _Reading:
    """What the C scanner wants to be told."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo = {}  # type: ignore


def _default(value):
    if isinstance(value, Listed):
        return list(value)
    raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)


try:
    import _json

    _scan = _json.make_scanner(_Reading)
    _write = _json.make_encoder(None, _default, _json.encode_basestring_ascii, None, ":", ",", False, False, False)

    def decode(data):
        """The value of UTF-8 JSON."""
        return _scan(data.decode("utf-8", "surrogatepass"), 0)[0]

    def encode(value):
        """The value as JSON. TypeError, ValueError or RecursionError for what has no JSON."""
        return "".join(_write(value, 0)).encode("ascii")

    if decode(encode({"a": [1, 2.5, None, True, "\u20ac"]})) != {"a": [1, 2.5, None, True, "\u20ac"]}:
        raise ImportError("the C parts of json aren't what they were")
except (ImportError, AttributeError, TypeError):
    import json

    def decode(data):
        """The value of UTF-8 JSON."""
        return json.loads(data.decode("utf-8", "surrogatepass"))

    def encode(value):
        """The value as JSON. TypeError, ValueError or RecursionError for what has no JSON."""
        return json.dumps(value, default=_default, allow_nan=False, separators=(",", ":")).encode("ascii")
