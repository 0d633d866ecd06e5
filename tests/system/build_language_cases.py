"""Dockerfiles that Docker's builder and ours must make the same of: by name, the text and the command's options.

Those of `TREES` end in a stage from scratch, whose files are compared; of those in `CONFIGS` it's the configuration.
"""

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path
from typing import Final

__all__ = ["CONFIGS", "TREES", "make_context"]

Case = tuple[str, tuple[str, ...]]


def make_context(folder: Path) -> None:
    """Files of all kinds, and archives under names that say nothing."""
    for name, text in {
        "a.txt": "a\n",
        "b.txt": "b\n",
        "c.md": "c\n",
        "d/e.txt": "e\n",
        "d/f/g.txt": "g\n",
        "d/f/.hidden": "h\n",
        "x[1].txt": "bracket\n",
        "with blank.txt": "blank\n",
        "script.sh": "#!/bin/sh\necho script\n",
        "ignored/in": "1\n",
        "ignored/kept": "2\n",
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "script.sh").chmod(0o755)
    (folder / "d").chmod(0o750)
    (folder / "c.md").chmod(0o604)
    (folder / "to-d").symlink_to("d")
    (folder / "d/to-e").symlink_to("e.txt")
    (folder / "broken").symlink_to("/no/where")
    for name, pack in {"plain": bytes, "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}.items():
        (folder / f"packed-{name}").write_bytes(pack(_tar()))
    (folder / "short.gz").write_bytes(gzip.compress(b"no archive"))
    (folder / "Dockerfile.dockerignore").write_text("# all but one\n**/*.dockerignore\nignored/*\n!ignored/kept\n")


def _tar() -> bytes:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as tar:
        for name, kind, mode, link in (
            ("top", tarfile.DIRTYPE, 0o711, ""),
            ("top/file", tarfile.REGTYPE, 0o640, ""),
            ("top/hard", tarfile.LNKTYPE, 0o640, "top/file"),
            ("top/soft", tarfile.SYMTYPE, 0o777, "file"),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.linkname = kind, mode, link
            entry.uid, entry.gid, entry.size = 12, 34, 5 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"file\n") if entry.size else None)
    return output.getvalue()


TREES: Final[dict[str, Case]] = {
    "COPY": (
        r"""
FROM scratch
COPY a.txt /one
COPY a.txt b.txt /two/
COPY *.txt /three/
COPY d /four
COPY d/ /five/
COPY to-d /six
COPY . /all/
COPY ["with blank.txt", "a.txt", "/with blank/"]
COPY "x[[]1].txt" /bracket
COPY ../../a.txt /up
COPY /a.txt d/../b.txt /slash/
COPY d/f/g.txt /deep/er/g
COPY ?.txt /marks/
COPY d/* /flat/
COPY nothing* a.txt /some/
""",
        (),
    ),
    "COPY --chown --chmod": (
        r"""
FROM base:1 AS users
FROM scratch
COPY --chown=root:root a.txt /before
COPY --from=users /etc/passwd /etc/group /etc/
COPY --chown=5 a.txt /n
COPY --chown=5:6 d /nn
COPY --chown=daemon a.txt /u
COPY --chown=daemon:adm d/ /ug/
COPY --chown=7:adm a.txt /ng/new/
COPY --chmod=0640 a.txt /m
COPY --chmod=755 script.sh d /mm/
COPY --chown=1:2 --chmod=700 . /both/
""",
        (),
    ),
    "COPY --from": (
        r"""
FROM base:1 AS One
RUN mkdir -p /x/y && echo 1 > /x/y/1 && chown 3:4 /x/y/1 && chmod 2750 /x/y && ln -s y /x/z && ln /x/y/1 /x/hard
WORKDIR /rel
RUN echo here > file
FROM scratch
COPY --from=one /x /a/
COPY --from=0 /x/z /b/
COPY --from=ONE x/y/1 /c
COPY --from=base:1 /etc/debian_version /d/
COPY --from=one --chown=9:9 /x /e
COPY --from=one /rel/f* /f/
""",
        (),
    ),
    "links at the destination": (
        r"""
FROM base:1 AS made
RUN mkdir -p /r/real /r/folder && ln -s real /r/link && ln -s /abs /r/absolute && echo old > /r/real/a.txt \
 && ln -s real/a.txt /r/file
FROM scratch
COPY --from=made /r /
COPY a.txt /link/new
COPY b.txt /link/
COPY d /link/d
COPY b.txt /link
COPY d /folder
""",
        (),
    ),
    "ADD": (
        r"""
FROM scratch
ADD a.txt /plain
ADD packed-plain /t0/
ADD packed-gz /t1/
ADD packed-bz2 /t2
ADD packed-xz /t3/deep/
ADD short.gz /not/
ADD --chown=8:9 packed-gz /owned/
ADD packed-gz a.txt /mixed/
ADD d /folder
""",
        (),
    ),
    "WORKDIR": (
        r"""
FROM base:1 AS one
WORKDIR /w
WORKDIR sub/deep
COPY a.txt .
WORKDIR ../side
COPY a.txt b.txt ./
ENV DIR=named
WORKDIR $DIR
RUN pwd > where && pwd > /w/out
FROM scratch
COPY --from=one /w /
""",
        (),
    ),
    "RUN": (
        r"""
# A comment
FROM base:1 AS one
ARG TEXT="from arg"
ENV GREETING='hello  there'
RUN mkdir /o && echo "$GREETING $TEXT" > /o/shell
RUN ["sh", "-c", "echo exec $0 > /o/exec", "zero"]
RUN echo joined \
    # a comment inside
      lines \

    and blank > /o/joined
SHELL ["/bin/bash", "-e", "-c"]
RUN echo $BASH_VERSION | cut -c1 > /o/bash
USER 1:2
RUN id -u > /tmp/id && id -g >> /tmp/id
USER daemon
RUN id -un >> /tmp/name && echo $HOME > /tmp/home
USER root
RUN rm -r /etc/apt && mv /tmp/id /tmp/name /tmp/home /o && chmod 1777 /o && ln -s /x /o/l
FROM scratch
COPY --from=one /o /
""",
        ("--build-arg", "TEXT=from outside"),
    ),
    "RUN --mount": (
        r"""
FROM base:1 AS one
RUN mkdir /s && echo s > /s/f
FROM base:1 AS two
RUN mkdir /o
RUN --mount=target=/ctx cp /ctx/a.txt /o/ctx && ls -A /ctx/ignored > /o/ignored
RUN --mount=type=bind,source=d,target=/d,rw touch /d/new && ls /d > /o/rw
RUN --mount=type=bind,source=d,target=/d ls /d > /o/again
RUN --mount=type=bind,source=b.txt,target=/etc/b cat /etc/b > /o/file
RUN --mount=from=one,source=/s,target=/s cat /s/f > /o/stage
RUN --mount=from=base:1,target=/b cat /b/etc/debian_version > /o/image
RUN --mount=type=tmpfs,target=/t touch /t/1 && stat -f -c %T /t > /o/tmpfs
RUN --mount=type=cache,id=lang,target=/c,mode=0710,uid=3,gid=4 stat -c '%a %u %g' /c > /o/cache && echo 1 > /c/1
RUN --mount=type=cache,id=lang,target=/elsewhere,mode=710,uid=3,gid=4 cat /elsewhere/1 > /o/kept
RUN --mount=type=cache,target=/seed,from=one,source=/s ls /seed > /o/seed
RUN --mount=type=secret,id=none ls /run/secrets > /o/secrets 2>&1 || true
FROM scratch
COPY --from=two /o /
""",
        (),
    ),
    "RUN --mount=type=secret": (
        r"""
FROM base:1 AS one
RUN mkdir /o
RUN --mount=type=secret,id=one cp /run/secrets/one /o/1 && stat -c '%a %u %g' /run/secrets/one > /o/mode
RUN --mount=type=secret,id=one,target=/x/y,mode=0444,uid=5,gid=6,required stat -c '%a %u %g' /x/y > /o/other
FROM scratch
COPY --from=one /o /
""",
        ("--secret", "id=one,src=/etc/hostname"),
    ),
    "ONBUILD": (
        r"""
FROM base:1 AS parent
ONBUILD RUN mkdir -p /o && echo built > /o/run
ONBUILD COPY a.txt /o/
ONBUILD ENV SEEN=yes
FROM parent AS child
RUN mkdir -p /o && echo "$SEEN" > /o/seen
FROM scratch
COPY --from=child /o /
""",
        (),
    ),
    "escape": (
        r"""# escape=`
FROM base:1 AS one
RUN mkdir /o && `
    echo C:\dir > /o/`
path
ENV A=a`$b C=$A\x
RUN echo "$A" "$C" > /o/env
FROM scratch
COPY --from=one /o /
""",
        (),
    ),
    "arguments": (
        r"""
ARG GLOBAL=base:1
ARG SECOND=$GLOBAL
FROM $SECOND AS one
ARG GLOBAL
ARG UNSET
ARG TARGETPLATFORM
ARG TARGETARCH
ARG BUILDOS
ARG A=default
ENV A=env
ARG B=${A:-x}-b
RUN mkdir /o && echo "$GLOBAL|$UNSET|$SECOND|$TARGETPLATFORM|$TARGETARCH|$BUILDOS|$A|$B|$HTTP_PROXY" > /o/1
ENV X=1
ENV X=2 Y=$X
RUN echo "$X $Y ${Z:-unset} ${X:+set}" > /o/2
COPY ${X:+a}.txt /o/${NONE:-none}/$Y
FROM scratch
COPY --from=one /o /
""",
        ("--build-arg", "HTTP_PROXY=http://127.0.0.1:9", "--build-arg", "GLOBAL=base:1"),
    ),
    "arguments of stages": (
        r"""
FROM base:1 AS parent
ARG A=parent
ARG B
ARG TARGETARCH
ENV E=env
ARG E=arg
ARG F=arg
FROM parent AS child
ENV F=env G=$A-$B
RUN mkdir /o && echo "$A|$B|$E|$F|$G|$TARGETARCH" > /o/1
FROM child AS again
ARG A=mine
RUN echo "$A|$B|$E|$F|$G" > /o/2
COPY ${A}.txt* a.txt /o/$A/$E/$F/
WORKDIR /o/$B
FROM scratch
COPY --from=again /o /
""",
        ("--build-arg", "B=given"),
    ),
}

CONFIGS: Final[dict[str, Case]] = {
    "CMD": ('FROM base:1\nCMD echo "a" $HOME\n', ()),
    "CMD exec": ('FROM base:1\nCMD ["a", "b c"]\nCMD ["d"]\n', ()),
    "CMD not JSON": ("FROM base:1\nCMD ['a', 'b']\n", ()),
    "CMD empty": ("FROM base:1\nCMD x\nCMD []\n", ()),
    "ENTRYPOINT": ('FROM base:1\nCMD ["x"]\nENTRYPOINT ["/e", "1"]\n', ()),
    "ENTRYPOINT resets": ('FROM base:1 AS one\nCMD ["x"]\nFROM one\nENTRYPOINT ["/e", "1"]\n', ()),
    "ENTRYPOINT shell": ("FROM base:1\nENTRYPOINT exec top -b\n", ()),
    "ENV": (
        """FROM base:1
ENV a=1 b="two words" c='$a' d=$a e=a\\ b f="x\\"y"
ENV legacy  some   text with "quotes" and $a
ENV a=2 b=$a
ENV PATH=$PATH:/extra empty= g=${a}${b:-x}
""",
        (),
    ),
    "LABEL": (
        'FROM base:1\nLABEL one=1 "two words"="a b" three=$PATH\nLABEL old label\nLABEL one=changed multi="a\\\nb"\n',
        (),
    ),
    "MAINTAINER": ("FROM base:1\nMAINTAINER Some Body <some@body>\n", ()),
    "EXPOSE": ("FROM base:1\nARG P=7000\nEXPOSE 80 53/udp 8000-8003 $P/tcp\nEXPOSE 443/TCP\n", ()),
    "VOLUME": ('FROM base:1\nVOLUME /a /b\nVOLUME ["/c d", "/a"]\n', ()),
    "USER": ("FROM base:1\nARG U=daemon\nUSER $U:adm\n", ()),
    "WORKDIR": ("FROM base:1\nWORKDIR /a\nWORKDIR b/../c/\n", ()),
    "SHELL": ('FROM base:1\nSHELL ["/bin/bash", "-c"]\nCMD echo x\nENTRYPOINT y\n', ()),
    "STOPSIGNAL": ("FROM base:1\nARG S=USR1\nSTOPSIGNAL SIG$S\n", ()),
    "STOPSIGNAL number": ("FROM base:1\nSTOPSIGNAL 9\n", ()),
    "HEALTHCHECK": (
        "FROM base:1\nHEALTHCHECK --interval=1m30s --timeout=3s --start-period=5s --retries=4 CMD curl $X || exit\n",
        (),
    ),
    "HEALTHCHECK exec": ('FROM base:1\nHEALTHCHECK CMD ["a", "b"]\n', ()),
    "HEALTHCHECK none": ("FROM base:1\nHEALTHCHECK NONE\n", ()),
    "ONBUILD": ('FROM base:1\nONBUILD RUN a && b\nONBUILD COPY --chown=1 . /x\nONBUILD CMD ["x"]\n', ()),
    "ARG": ("FROM base:1\nARG A=1\nARG B\nENV C=$A$B\nLABEL d=${B:-none}\n", ("--build-arg", "B=2")),
    "COPY makes history": ("FROM base:1\nCOPY a.txt /\nADD b.txt /\nRUN true\nWORKDIR /new\nENV a=b\n", ()),
    "--label": ("FROM base:1\nLABEL a=1\n", ("--label", "b=2", "--label", "a=3")),
    "--target": (
        "FROM base:1 AS one\nENV one=1\nFROM one AS two\nENV two=2\nFROM two\nENV three=3\n",
        ("--target", "TWO"),
    ),
}
