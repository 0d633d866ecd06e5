"""The build checks by name: what each is about, in BuildKit's words."""

from typing import Final

from airdock.record import record

__all__ = ["RULES", "Finding", "Rule", "suggest"]

_URL: Final = "https://docs.docker.com/go/dockerfile/rule/"


@record
class Rule:
    """One check. Experimental ones are only looked at when asked for."""

    page: str
    description: str
    is_experimental: bool = False

    @property
    def url(self) -> str:
        return f"{_URL}{self.page}/"


@record
class Finding:
    """What a rule found at a line."""

    rule: str
    line: int
    detail: str

    @property
    def place(self) -> tuple[int, str, str]:
        return self.line, self.detail, self.rule

    def to_dict(self) -> dict[str, str | int]:
        rule = RULES[self.rule]
        return {
            "rule": self.rule,
            "line": self.line,
            "detail": self.detail,
            "description": rule.description,
            "url": rule.url,
            "level": 1,
        }


RULES: Final = {
    "StageNameCasing": Rule(page="stage-name-casing", description="Stage names should be lowercase"),
    "FromAsCasing": Rule(
        page="from-as-casing", description="The 'as' keyword should match the case of the 'from' keyword"
    ),
    "NoEmptyContinuation": Rule(
        page="no-empty-continuation", description="Empty continuation lines will become errors in a future release"
    ),
    "ConsistentInstructionCasing": Rule(
        page="consistent-instruction-casing",
        description="All commands within the Dockerfile should use the same casing (either upper or lower)",
    ),
    "DuplicateStageName": Rule(page="duplicate-stage-name", description="Stage names should be unique"),
    "ReservedStageName": Rule(
        page="reserved-stage-name", description="Reserved words should not be used as stage names"
    ),
    "JSONArgsRecommended": Rule(
        page="json-args-recommended",
        description="JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to "
        "OS signals",
    ),
    "MaintainerDeprecated": Rule(
        page="maintainer-deprecated",
        description="The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    ),
    "UndefinedArgInFrom": Rule(page="undefined-arg-in-from", description="FROM command must use declared ARGs"),
    "WorkdirRelativePath": Rule(
        page="workdir-relative-path",
        description="Relative workdir without an absolute workdir declared within the build can have unexpected "
        "results if the base image changes",
    ),
    "UndefinedVar": Rule(page="undefined-var", description="Variables should be defined before their use"),
    "MultipleInstructionsDisallowed": Rule(
        page="multiple-instructions-disallowed",
        description="Multiple instructions of the same type should not be used in the same stage",
    ),
    "LegacyKeyValueFormat": Rule(
        page="legacy-key-value-format",
        description="Legacy key/value format with whitespace separator should not be used",
    ),
    "InvalidBaseImagePlatform": Rule(
        page="invalid-base-image-platform",
        description="Base image platform does not match expected target platform",
    ),
    "RedundantTargetPlatform": Rule(
        page="redundant-target-platform",
        description="Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
        "behavior",
    ),
    "SecretsUsedInArgOrEnv": Rule(
        page="secrets-used-in-arg-or-env",
        description="Sensitive data should not be used in the ARG or ENV commands",
    ),
    "InvalidDefaultArgInFrom": Rule(
        page="invalid-default-arg-in-from",
        description="Default value for global ARG results in an empty or invalid base image name",
    ),
    "FromPlatformFlagConstDisallowed": Rule(
        page="from-platform-flag-const-disallowed",
        description="FROM --platform flag should not use a constant value",
    ),
    "CopyIgnoredFile": Rule(
        page="copy-ignored-file", description="Attempting to Copy file that is excluded by .dockerignore"
    ),
    "InvalidDefinitionDescription": Rule(
        page="invalid-definition-description",
        description="Comment for build stage or argument should follow the format: `# <arg/stage name> <description>`. "
        "If this is not intended to be a description comment, add an empty line or comment between the instruction "
        "and the comment.",
        is_experimental=True,
    ),
    "ExposeProtoCasing": Rule(
        page="expose-proto-casing", description="Protocol in EXPOSE instruction should be lowercase"
    ),
    "ExposeInvalidFormat": Rule(
        page="expose-invalid-format",
        description="IP address and host-port mapping should not be used in EXPOSE instruction. This will become an "
        "error in a future release",
    ),
}


def suggest(name: str, known: list[str]) -> str:
    """A guess in brackets at what was meant, or nothing."""
    import difflib  # only where there is something to guess

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.75)
    return f" (did you mean {near[0]}?)" if near else ""
