"""A Connection: where another service is, and how to get in."""

__all__ = ["Connection"]


class Connection(object):
    """Airflow's Connection. `extra` is JSON text."""

    def __init__(
        self, conn_id="", conn_type="", host=None, login=None, password=None, schema=None, port=None, extra=None,
        description=None,
    ):  # fmt: skip
        self.conn_id = conn_id
        self.conn_type = conn_type
        self.description = description
        self.host = host
        self.login = login
        self.password = password
        self.schema = schema
        self.port = None if port in (None, "") else int(port)
        self.extra = _dump(extra) if isinstance(extra, dict) else extra

    @classmethod
    def parse(cls, conn_id, text):
        """Of a URI, or of JSON with Airflow's names. ValueError for what is neither."""
        if text.lstrip().startswith("{"):
            import json

            fields = json.loads(text)
            names = ("conn_type", "host", "login", "password", "schema", "port", "extra", "description")
            return cls(conn_id, **{name: fields[name] for name in names if name in fields})
        return cls._of_uri(conn_id, text)

    @classmethod
    def _of_uri(cls, conn_id, text):
        from urllib.parse import parse_qsl, unquote, urlsplit

        parts = urlsplit(text)
        if not parts.scheme:
            raise ValueError("expected AIRFLOW_CONN_%s to be a URI or JSON" % conn_id.upper())
        kind = parts.scheme.replace("-", "_")
        extra = dict(parse_qsl(parts.query, keep_blank_values=True))
        host = unquote(parts.hostname or "")
        rest = parts.path
        if "__extra__" in extra:
            extra = extra["__extra__"]
        names = {"postgresql": "postgres"}
        return cls(
            conn_id,
            conn_type=names.get(kind, kind),
            host=host,
            login=unquote(parts.username) if parts.username else parts.username,
            password=unquote(parts.password) if parts.password else parts.password,
            schema=unquote(rest[1:]) if len(rest) > 1 else "",
            port=parts.port,
            extra=extra or None,
        )

    @property
    def extra_dejson(self):
        """`extra` as a dict; an empty one where there is none, or where it isn't a JSON object."""
        import json

        try:
            found = json.loads(self.extra) if self.extra else {}
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}

    def get_uri(self):
        """The Connection as a URI, which `parse` reads."""
        from urllib.parse import quote, urlencode

        uri = "%s://" % (self.conn_type or "").replace("_", "-")
        if self.login is not None or self.password is not None:
            uri += quote(self.login or "", safe="")
            uri += ":%s@" % quote(self.password, safe="") if self.password is not None else "@"
        uri += quote(self.host or "", safe="")
        uri += ":%d" % self.port if self.port else ""
        uri += "/" + quote(self.schema or "", safe="") if self.schema or self.extra else ""
        if not self.extra:
            return uri
        extra = self.extra_dejson
        plain = extra and all(isinstance(value, str) for value in extra.values())
        return uri + "?" + urlencode(extra if plain else {"__extra__": self.extra})

    def as_dict(self):
        names = ("conn_id", "conn_type", "description", "host", "login", "password", "schema", "port", "extra")
        return {name: getattr(self, name) for name in names}

    def __repr__(self):
        return "<Connection %s>" % self.conn_id


def _dump(value):
    import json

    return json.dumps(value)
