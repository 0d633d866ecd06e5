"""Instructions given one by one to an image that is there: what `--change` of `import` and `commit` says."""

from collections.abc import Sequence
from typing import Final

from airdock.builder.dockerfile import parse_instruction
from airdock.builder.interpret import Interpreter
from airdock.builder.parser import parse
from airdock.errors import DockerfileError
from airdock.oci.config import ImageConfig

__all__ = ["ALLOWED", "apply_changes"]

ALLOWED: Final = frozenset(
    {"CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "ONBUILD", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
"""Those that change only the configuration."""


def apply_changes(config: ImageConfig, changes: Sequence[str]) -> ImageConfig:
    """The configuration with each instruction applied, in order; raises `DockerfileError` with the one at fault."""
    applied = Interpreter(config=config, globals_={}, given={}, escape="\\", find_source=lambda name: name)
    for number, change in enumerate(changes, 1):
        where = f"--change {number}"
        for node in parse(change, name=where).nodes:
            if node.name.upper() not in ALLOWED:
                raise DockerfileError(
                    f"expected one of {' '.join(sorted(ALLOWED))}, found {node.name.upper()}", where=where
                )
            try:
                applied.apply(parse_instruction(node))
            except DockerfileError as error:
                raise DockerfileError(error.message, where=where, hint=error.hint) from error
    return applied.config
