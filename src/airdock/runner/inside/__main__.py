"""The runner: connects to the supervisor, runs one try of one task, reports how it ended."""

import os
import sys

from . import endings, limits, logged, results
from .channel import VERSION, Channel, ChannelError

__all__ = ["main"]


def main():
    """Run the try that the supervisor at AIRDOCK_CHANNEL has; 0 where it didn't fail."""
    sys.stdout.reconfigure(line_buffering=True)
    logged.listen()
    channel = Channel(os.environ.pop("AIRDOCK_CHANNEL"))
    channel.send("hello", version=VERSION, python=list(sys.version_info[:3]), pid=os.getpid())
    job, ending, error = _run(channel.receive(), channel)
    _flush()
    try:
        channel.send("result", ending=ending)
    except OSError:  # the supervisor is gone; whoever asks how this ended sees the exit code
        return 1
    if job is not None and not isinstance(error, endings.Terminated):  # else whoever stopped it sees to the rest
        try:
            job.after(ending, error)
        except endings.Terminated:
            sys.stderr.write("callbacks were stopped by SIGTERM\n")
        _flush()
    channel.close()
    return 1 if ending["kind"] == "failed" else 0


def _run(start, channel):
    """The job, where it came so far, how it ended, and what it raised."""
    job = None
    try:
        limits.on_termination(lambda: job and job.on_kill())
        job = _prepare(start, channel)
        value = _call(job, channel)
        _decide(value, job.payload, job.context.instance)
        results.push(value, job.payload, job.context.instance)
        return job, job.finish(), None
    except BaseException as error:
        # Whatever the user's code raises is how the try ends, and nothing may come between it and the report.
        if job is not None and isinstance(error, Exception):
            job.relabel()
        ending = endings.ending_of(error, job and job.context.instance)
        if ending["kind"] == "failed":
            if job is not None and not isinstance(error, endings.Terminated):
                job.judge(ending, error)
            endings.show(error, job.hidden if job else _hidden())
        elif ending["kind"] == "skipped":
            sys.stderr.write("skipped: %s\n" % ending["reason"])
        return job, ending, error


def _prepare(start, channel):
    if start.get("type") != "start" or start.get("version") != VERSION:
        raise ChannelError("expected a start message of version %d, found %r" % (VERSION, start.get("version")))
    if start["payload"]["mode"] == "sdk":
        from . import sdk as mode
    else:
        from . import bare as mode
    return mode.Job(start, channel)


def _call(job, channel):
    seconds, pid, is_stopped = job.payload.get("execution_timeout_s"), os.getpid(), False
    channel.send("user_code")
    try:
        with limits.time_limit(seconds, job.timeout):
            value = job.call()
            if hasattr(value, "cr_await"):
                import asyncio

                value = asyncio.run(value)
            if hasattr(value, "gi_yieldfrom"):
                from . import assets

                value = assets.exhaust(value, job.context)
            return value
    except BaseException as error:
        if type(error).__name__ == "AirflowTaskTimeout":
            job.on_kill()
        is_stopped = isinstance(error, endings.Terminated)
        raise
    finally:
        if os.getpid() != pid:  # a fork of the user's that came back here; the channel is its parent's
            _flush()
            os._exit(1 if sys.exc_info()[0] else 0)
        if not is_stopped:
            channel.send("user_ended")


def _decide(value, payload, instance):
    """Skip what a function's result says, where the function ran without its DAG beside it."""
    if payload["mode"] == "bare" and ("branch" in payload or "short_circuit" in payload):
        from . import decisions

        instance.skip(decisions.skipped(payload, value, instance.map_index))


def _flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # the user's code closed or replaced it


def _hidden():
    """Frames of ours in sdk mode, where importing the DAG file failed."""
    package = sys.modules.get("airdock")
    return ("<frozen importlib",) + ((os.path.dirname(package.__file__),) if getattr(package, "__file__", None) else ())


if __name__ == "__main__":
    sys.exit(main())
