"""Shapes of what is asked of the registry."""

from typing import Annotated, Literal

from pydantic import Field

from neuraltrader.inference.v1 import registry_service_pb2 as rpc
from services.gateway.schemas.scalars import Request

VersionText = Annotated[str, Field(min_length=1, max_length=64)]


class PromoteRequest(Request):
    """The version to serve from now on."""

    version: VersionText


class CanaryRequest(Request):
    """A version and its share of the predictions; no version ends it."""

    version: VersionText | None = None
    weight: Annotated[float, Field(ge=0, le=1)] = 0.0


class ShadowRequest(Request):
    """A version to compare with; none ends it."""

    version: VersionText | None = None


class LoadRequest(Request):
    """How to load: a version, its precision, a GPU or none, and the most rows of one run."""

    version: VersionText | None = None
    precision: Literal["fp32", "fp16", "int8"] | None = None
    use_gpu: bool | None = None
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None

    def message(self, name: str) -> rpc.LoadModelRequest:
        """The same as the fleet's message."""
        given = self.model_dump(exclude_none=True)
        return rpc.LoadModelRequest(name=name, **given)
