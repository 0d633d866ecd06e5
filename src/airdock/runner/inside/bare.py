"""Calls a function whose source came over the channel, in an image that has nothing of ours."""

import sys

from . import context as contexts
from . import endings, mapping, standin

__all__ = ["Job"]

_MARK = "__airdock__"
_ALL_KEYWORDS = "**"
_MODULE = "airdock_task"


class CannotCompileError(Exception):
    """The function's source is of a newer Python than the image's."""


class Job(object):
    """One try: made with everything that comes before the user's code, `call` is the user's code."""

    hidden = ()

    def __init__(self, start, channel):
        self.payload = start["payload"]
        standin.install()
        self.context = contexts.Context(start, channel)
        self._function = _compile(self.payload)
        args, kwargs = self._arguments(start["key"]["map_index"])
        self.context["templates_dict"] = self._resolve(self.payload.get("templates_dict"))
        self.context.instance.label = self.payload.get("label", "")
        self._args = args
        self._kwargs = self.context.keywords_for(self._function, args, kwargs)
        contexts.current.append(self.context)

    def call(self):
        try:
            value = self._function(*self._args, **self._kwargs)
            if "post_execute" in self.payload:
                _compile(self.payload["post_execute"], _MODULE + "_post_execute")(self.context, value)
            return value
        except SystemExit as error:
            if error.code in self.payload.get("skip_exit_code", ()):
                raise standin.AirflowSkipException("exited with code %s" % error.code) from None
            raise

    def finish(self):
        """The ending, with what the task did to assets: without a word of its own, each outlet was made anew."""
        instance = self.context.instance
        if self.context["outlets"]:
            instance.events = self.context["outlet_events"].events()
        return endings.success(instance)

    def relabel(self):
        """The template was rendered in the first step."""

    def judge(self, ending, error):
        """Let the rules of a retry policy decide; a policy of the author's own is in the DAG file, which isn't here."""
        if "retry_rules" in self.payload and ending["retryable"]:
            from . import rules

            rules.judge(self.payload["retry_rules"], ending, error)

    def after(self, ending, error):
        """Callbacks are functions of the DAG file, which isn't here: they are called where it is."""

    def on_kill(self):
        """A function has nothing to clean up that its own `finally` doesn't."""

    def timeout(self):
        return standin.AirflowTaskTimeout("Timeout after %s s" % self.payload["execution_timeout_s"])

    def _arguments(self, map_index):
        args, kwargs = self.payload["args"], dict(self.payload["kwargs"])
        if "expand" in self.payload:
            expanded = {name: self._resolve(each) for name, each in self.payload["expand"].items()}
            chosen = mapping.choose(expanded, map_index)
            chosen.update(chosen.pop(_ALL_KEYWORDS, {}))
            if self.payload["expand_into"] == "operator":
                args = chosen.get("op_args", args)
                chosen = chosen.get("op_kwargs", {})
            kwargs.update(chosen)
        return self._resolve(args), self._resolve(kwargs)

    def _resolve(self, value):
        """The arguments with every marker replaced by what it stands for; after a first step there is none."""
        if self.payload.get("is_resolved"):
            return value
        if isinstance(value, (list, tuple)):
            return type(value)(self._resolve(each) for each in value)
        if not isinstance(value, dict):
            return value
        if _MARK in value:
            return getattr(self, "_" + value[_MARK])(value)
        return {name: self._resolve(each) for name, each in value.items()}

    def _xcom(self, value):
        ti, index = self.context.instance, value["map_index"]
        found = ti.get_value(value["task_id"], value["key"], ti.map_index if index == "own" else index)
        return [] if found is None and index is None else found

    def _param(self, value):
        return self.context["params"][value["name"]]

    def _choice(self, value):
        chosen = self.context.instance.choose(self._resolve(value["expand"]))
        return chosen[value["name"]] if value["name"] in chosen else chosen[_ALL_KEYWORDS][value["name"]]

    def _zip(self, value):
        parts = [mapping.items(self._resolve(each)) for each in value["of"]]
        count = (max if value["longest"] else min)(len(each) for each in parts)
        fill = value["fill"]
        return mapping.Made(count, lambda at: tuple(each[at] if at < len(each) else fill for each in parts))

    def _concat(self, value):
        parts = [mapping.items(self._resolve(each)) for each in value["of"]]
        places = [(part, at) for part in parts for at in range(len(part))]
        return mapping.Made(len(places), lambda at: places[at][0][places[at][1]])

    def _map(self, value):
        items, function = mapping.items(self._resolve(value["of"])), _compile(value, _MODULE + "_map")
        return mapping.Made(len(items), lambda at: function(items[at]))


def _compile(payload, name=_MODULE):
    """The function, out of a module of its own that tracebacks and pickle can find."""
    import __future__

    try:
        code = compile(
            payload["source"], payload["file"], "exec", __future__.annotations.compiler_flag, dont_inherit=True
        )
    except SyntaxError as error:
        line = (error.text or "").strip()
        raise CannotCompileError(
            "line %s of %s isn't Python %d.%d, which is what the image has: %s%s"
            % (
                error.lineno,
                payload["file"].rpartition("/")[2],
                sys.version_info[0],
                sys.version_info[1],
                error.msg,
                ", in `%s`" % line if line else "",
            )
        ) from None
    module = type(sys)(name)
    module.__loader__ = _Text(payload["source"])
    sys.modules[name] = module
    exec(code, module.__dict__)
    return getattr(module, payload["function"])


class _Text(object):
    """Where `linecache` finds the lines for tracebacks."""

    def __init__(self, source):
        self._source = source

    def get_source(self, name):
        return self._source
