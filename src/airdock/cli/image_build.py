"""`airdock image build`: a Dockerfile and a folder become an image."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from airdock.cli.build_flags import (
    complete_targets,
    read_contexts,
    read_pairs,
    read_secrets,
    read_sockets,
    read_ulimits,
)
from airdock.cli.names import complete_images
from airdock.cli.parameters import to_env, to_size
from airdock.cli.session import Session
from airdock.clock import SystemClock
from airdock.errors import BuildError

if TYPE_CHECKING:
    from airdock.app import App
    from airdock.builder.base import BuildRequest, Context
    from airdock.builder.outputs import Output
    from airdock.builder.transport import CachePlace
    from airdock.model.progress import Report
    from airdock.oci.descriptor import Platform
    from airdock.oci.digest import Digest

__all__ = ["build"]

_Command = TypeVar("_Command", bound=Callable[..., Any])

_EPOCH: Final = "SOURCE_DATE_EPOCH"
_AROUND: Final = 2
"""Lines of the Dockerfile that are shown before and after the one that failed."""
_LONGEST: Final = 500
"""Letters that are shown of such a line."""
_CALLS: Final = ["build", "check", "outline", "targets"]


def _refuse_attestation(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    """Scripts that were written for Docker turn these off; who wants one is to hear that there is none."""
    if value is not None and value.lower() not in ("false", "0"):
        raise click.BadParameter(f"expected false, found {value!r}: builds attach no {parameter.name}.")


_FLAGS: Final = [
    click.option(
        "-t",
        "--tag",
        "tags",
        multiple=True,
        metavar="NAME[:TAG]",
        shell_complete=complete_images,
        help="Name the image; repeatable.",
    ),
    click.option(
        "-f", "--file", "dockerfile", metavar="FILE", help="The Dockerfile. [default: PATH/Dockerfile; - is stdin]"
    ),
    click.option(
        "--build-arg",
        "args",
        multiple=True,
        callback=to_env,
        metavar="NAME[=VALUE]",
        help="Set an ARG; repeatable.",
    ),
    click.option("--target", metavar="STAGE", shell_complete=complete_targets, help="Build up to this stage only."),
    click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="DIR|KEY=VALUE,…",
        help="Where the result goes: a folder, type=local|tar|oci|docker,dest=PATH, type=image|registry,name=NAME.",
    ),
    click.option("--load", is_flag=True, help="Put the image into the store, as is done anyway; with --output, too."),
    click.option("--push", is_flag=True, help="Push the image to the registries that its names say."),
    click.option("--pull", is_flag=True, help="Ask registries for newer base images."),
    click.option(
        "--platform",
        "platforms",
        multiple=True,
        metavar="OS/ARCH[,…]",
        help="What to build for, this machine where not given; several make an image for each, under one name.",
    ),
    click.option(
        "--cache-from",
        multiple=True,
        metavar="NAME|KEY=VALUE,…",
        help="Take cached steps from type=local,src=DIR or type=registry,ref=NAME.",
    ),
    click.option(
        "--cache-to",
        multiple=True,
        metavar="KEY=VALUE,…",
        help="Send them to type=local,dest=DIR or type=registry,ref=NAME; mode=max for those of all stages.",
    ),
    click.option("--no-cache", is_flag=True, help="Run every step, whatever ran before."),
    click.option(
        "--no-cache-filter", multiple=True, metavar="STAGE[,…]", help="Run every step of these stages; repeatable."
    ),
    click.option(
        "--secret",
        "secrets",
        multiple=True,
        metavar="id=NAME[,src=FILE|,env=VAR]",
        help="A secret for RUN --mount=type=secret; repeatable.",
    ),
    click.option(
        "--ssh", "ssh", multiple=True, metavar="default|ID[=SOCKET]", help="An agent for RUN --mount=type=ssh."
    ),
    click.option(
        "--build-context",
        "contexts",
        multiple=True,
        metavar="NAME=VALUE",
        help="Files, an image or a stage in place of NAME: DIR, docker-image://…, oci-layout://…, target:…",
    ),
    click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Add a label; repeatable."),
    click.option(
        "--provenance",
        metavar="false",
        callback=_refuse_attestation,
        expose_value=False,
        help="Only false: none is made.",
    ),
    click.option(
        "--sbom", metavar="false", callback=_refuse_attestation, expose_value=False, help="Only false: none is made."
    ),
    click.option("--annotation", "annotations", multiple=True, metavar="NAME=VALUE", help="Annotate the manifest."),
    click.option("--network", type=click.Choice(["default", "host", "none"]), default="host", help="For RUN."),
    click.option("--add-host", "extra_hosts", multiple=True, metavar="NAME:ADDRESS", help="A host for RUN."),
    click.option(
        "--shm-size",
        "shm_bytes",
        callback=lambda ctx, param, value: to_size(value) if value else 0,
        metavar="SIZE",
        help="Size of /dev/shm for RUN, such as 128m.",
    ),
    click.option("--ulimit", "ulimits", multiple=True, metavar="NAME=SOFT[:HARD]", help="A limit for RUN."),
    click.option("--allow", multiple=True, metavar="RIGHT", help="Give a right, such as security.insecure."),
    click.option("--iidfile", metavar="FILE", help="Write the image id to FILE."),
    click.option("--metadata-file", metavar="FILE", help="Write what was built to FILE, as JSON."),
    click.option("--check", is_flag=True, help="Only look for mistakes; exit code 1 where there are some."),
    click.option("--call", type=click.Choice(_CALLS), default="build", help="Do this instead of building."),
    click.option("--explain", is_flag=True, help="Say why steps were not cached."),
    click.option(
        "--progress",
        type=click.Choice(["auto", "plain", "tty", "rawjson", "quiet"]),
        default="auto",
        help="How progress is shown, on stderr.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="Print the image id only."),
    click.option("--plain", is_flag=True, hidden=True),
    click.option("--json", "as_json", is_flag=True, help="Progress as one JSON object per line, on stdout."),
]


def _with_flags(command: _Command) -> _Command:
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command


@click.command()
@click.argument("context", metavar="PATH|URL|-")
@_with_flags
@click.pass_context
def build(ctx: click.Context, /, context: str, **options: Any) -> None:
    """Build an image from a Dockerfile and the files in PATH.

    PATH is a folder, the URL of a git repository (URL#REF:FOLDER) or of an archive, or '-' for standard input: an
    archive, or a Dockerfile without files. Progress goes to stderr; stdout gets the id of the image.

    \b
    Examples:
      airdock image build -t chart examples/library_conflict/chart
      airdock image build -f Dockerfile.dev --build-arg VERSION=3 --target test .
      airdock image build -t app --secret id=token,env=TOKEN --ssh default .
      airdock image build -t app https://github.com/me/app.git#v1:docker
      airdock image build -o out --target binaries .
      airdock image build --platform linux/amd64,linux/arm64 -t registry.example/app --push .
      airdock image build --check .
      printf 'FROM host\\nRUN echo hello > /hello' | airdock image build -t hello -
    """
    session = ctx.ensure_object(Session)
    form = options.pop("progress")
    as_json = options.pop("as_json") or form == "rawjson"
    plain = options.pop("plain") or form == "plain"
    is_quiet = options.pop("quiet") or form == "quiet"
    platforms = _read_platforms(options.pop("platforms"))
    push = options.pop("push")
    call = "check" if options.pop("check") else options.pop("call")
    options.pop("call", None)
    if context == "-" and options["dockerfile"] == "-":
        raise click.UsageError("the context and the Dockerfile can't both come from standard input.")
    with session.app() as app:
        ssh, secrets = read_sockets(options.pop("ssh")), read_secrets(options.pop("secrets"))
        stdin = sys.stdin.buffer if context == "-" else None
        builds, keeps_git = app.engine.builds, _keeps_git(options["args"])
        with builds.open_context(context, stdin=stdin, ssh=ssh, secrets=secrets, keep_git_dir=keeps_git) as opened:
            request = _request(context, opened, ssh=ssh, secrets=secrets, **_without_reports(options))
            if len(platforms) == 1:
                request = replace(request, platform=platforms[0])
            push = push or any(output.push for output in request.outputs)
            if push and not request.tags:
                raise click.UsageError("a push needs a name to push to: give one with -t REGISTRY/NAME.")
            if call != "build":
                ctx.exit(_look(app, request, call, as_json=as_json))
            build_it = partial(_build, app, request, platforms)
            if is_quiet:
                made = build_it(_ignore)
            else:
                from airdock.cli.feed import Feed
                from airdock.cli.views import make_view  # a tenth of a cached build that nobody looks at

                view = make_view(as_json=as_json, plain=plain, color=ctx.color, err=True, forced=form == "tty")
                feed = Feed(view, clock=SystemClock())
                try:
                    made = build_it(feed)
                except BuildError as error:
                    feed.close()
                    _show_lines(error, request)
                    raise
                except BaseException:
                    feed.close()
                    raise
                feed.close()
        for tag in request.tags if push else ():
            app.engine.push(tag)
    _tell(*made, request, options, as_json=as_json)


def _build(
    app: "App", request: "BuildRequest", platforms: "tuple[Platform, ...]", report: "Report"
) -> "tuple[Digest, Digest]":
    """The id and the digest of what was built; of several platforms the index is both."""
    if len(platforms) > 1:
        digest = app.engine.builds.build_several(request, platforms, report)
        return digest, digest
    image = app.engine.build(request, report)
    return image.image_id, image.digest


def _show_lines(error: BuildError, request: "BuildRequest") -> None:
    """The lines of the Dockerfile around the one that failed."""
    name, _, number = error.where.rpartition(":")
    if name != request.name or not number.isdecimal():
        return
    lines = request.dockerfile.split("\n")
    at = int(number) - 1
    click.echo(f"{error.where}", err=True)
    for index in range(max(at - _AROUND, 0), min(at + _AROUND + 1, len(lines))):
        mark = ">>>" if index == at else "   "
        shown = lines[index] if len(lines[index]) <= _LONGEST else f"{lines[index][:_LONGEST]}…"
        click.echo(f"  {index + 1:4} | {mark} {shown}", err=True)


def _ignore(event: object) -> None:
    """For --quiet."""


def _keeps_git(args: Mapping[str, str]) -> bool:
    return args.get("BUILDKIT_CONTEXT_KEEP_GIT_DIR", "").lower() in ("1", "true")


def _without_reports(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("iidfile", "metadata_file")}


def _tell(
    image_id: "Digest", digest: "Digest", request: "BuildRequest", options: Mapping[str, Any], *, as_json: bool
) -> None:
    """The id on stdout, and what is written to files for other programs."""
    if options["iidfile"]:
        Path(options["iidfile"]).write_text(str(image_id))
    if options["metadata_file"]:
        facts = {"containerimage.config.digest": str(image_id), "containerimage.digest": str(digest)}
        if request.tags:
            facts["image.name"] = ",".join(request.tags)
        Path(options["metadata_file"]).write_text(json.dumps(facts, indent=2) + "\n")
    if any(output.target == "/dev/stdout" for output in request.outputs):
        return
    if as_json:
        tags = list(request.tags)
        click.echo(json.dumps({"event": "image", "id": image_id, "digest": digest, "tags": tags}))
    else:
        click.echo(image_id)


def _look(app: "App", request: "BuildRequest", call: str, *, as_json: bool) -> int:
    from airdock.cli.build_calls import look  # builds go without it

    return look(app.engine, request, call, as_json=as_json)


def _request(
    source: str,
    context: "Context",
    *,
    dockerfile: str | None,
    args: Mapping[str, str],
    outputs: tuple[str, ...],
    contexts: tuple[str, ...],
    **more: Any,
) -> "BuildRequest":
    from airdock.builder.base import BuildRequest  # the other commands go without it

    text, name = _read_dockerfile(source, context, dockerfile)
    if _EPOCH in os.environ and _EPOCH not in args:
        args = {**args, _EPOCH: os.environ[_EPOCH]}
    made = _read_outputs(outputs, load=more.pop("load"))
    tags = tuple(dict.fromkeys((*more.pop("tags"), *(name for output in made for name in output.names))))
    annotations = read_pairs(more.pop("annotations"), "--annotation")
    for output in made:
        annotations.update(output.annotations)
    network = more.pop("network")
    stages = [stage.strip().lower() for item in more.pop("no_cache_filter") for stage in item.split(",")]
    return BuildRequest(
        dockerfile=text,
        name=name,
        context=context.folder,
        context_time_s=context.time_s,
        args=args,
        outputs=made,
        tags=tags,
        contexts=read_contexts(contexts),
        cache_from=_read_places(more.pop("cache_from"), is_export=False),
        cache_to=_read_places(more.pop("cache_to"), is_export=True),
        ulimits=read_ulimits(more.pop("ulimits")),
        labels=read_pairs(more.pop("labels"), "--label"),
        annotations=annotations,
        no_cache_filter=frozenset(stages),
        allow=frozenset(more.pop("allow")),
        network="host" if network == "default" else network,
        label=(tags or (name,))[0],
        **more,
    )


# What these import takes as long as a build that is cached, which mostly has none of it.


def _read_outputs(texts: tuple[str, ...], *, load: bool) -> tuple["Output", ...]:
    if not texts:
        return ()
    from airdock.builder.outputs import Output, parse_output

    parsed = [parse_output(text) for text in texts]
    return (*parsed, Output(kind="image")) if load else tuple(parsed)


def _read_places(texts: tuple[str, ...], *, is_export: bool) -> tuple["CachePlace", ...]:
    if not texts:
        return ()
    from airdock.builder.transport import parse_place

    return tuple(parse_place(text, is_export=is_export) for text in texts)


def _read_platforms(texts: tuple[str, ...]) -> "tuple[Platform, ...]":
    if not texts:
        return ()
    from airdock.builder.platforms import parse_platform

    parts = dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip())
    return tuple(parse_platform(part) for part in parts)


def _read_dockerfile(source: str, context: "Context", dockerfile: str | None) -> tuple[str, str]:
    """The text and what it is called."""
    if dockerfile == "-":
        return sys.stdin.read(), "<stdin>"
    if context.dockerfile is not None:
        return context.dockerfile, "<stdin>" if source == "-" else source
    assert context.folder is not None
    if dockerfile is None:
        path = context.folder / "Dockerfile"
        if not path.exists() and (context.folder / "dockerfile").exists():
            path = context.folder / "dockerfile"
        shown = f"{source.rstrip('/')}/{path.name}" if not context.is_own else path.name
        return _read(path, shown), shown
    if context.is_own:
        inside = (context.folder / dockerfile.lstrip("/")).resolve()
        if not inside.is_relative_to(context.folder.resolve()):
            raise BuildError("expected a Dockerfile inside the context, found one outside", where=dockerfile)
        return _read(inside, dockerfile), dockerfile
    return _read(Path(dockerfile), dockerfile), dockerfile


def _read(path: Path, shown: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BuildError(f"expected a Dockerfile that can be read, found: {why}", where=shown) from error
