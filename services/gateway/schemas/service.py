"""Shapes of what the gateway says about itself."""

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict


class FieldError(TypedDict):
    """What is wrong with one field or parameter."""

    detail: str
    pointer: NotRequired[Annotated[str, Field(description="JSON pointer into the body, as a fragment.")]]
    parameter: NotRequired[Annotated[str, Field(description="Name of the path, query or header parameter.")]]


class Health(TypedDict):
    """The process is alive."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """Everything that the gateway needs answers."""

    status: Literal["ready"]
    checks: Annotated[dict[str, str], Field(description="By name: ok, or why not.")]


class Version(TypedDict):
    """Version and build."""

    version: str
    build_date: Annotated[str, Field(description="When this code was built or, from a checkout, last changed.")]
    platform: str
    features: Annotated[list[str], Field(description="What this process really runs with.")]
    commit: Annotated[str | None, Field(description="Commit of the code; null when it is not known.")]


class ConfigError(TypedDict):
    """What is wrong with one value of a configuration."""

    path: Annotated[str, Field(description="Dotted path of the value, empty for the whole.")]
    message: str


class ConfigVerdict(TypedDict):
    """Whether a configuration would be accepted."""

    valid: bool
    errors: list[ConfigError]
