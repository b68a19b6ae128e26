"""Receive a model file in pieces: checked, tried, and kept as a new version that nobody has promoted yet."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.inference.domain.errors import ModelRefused
from services.inference.domain.registry import check_new_name
from services.inference.domain.registry_status import ModelStatus
from services.inference.usecases.serve_models import ServeModels
from trading.errors import InvalidArgument, TradingError

FORMATS = ("", "safetensors", "onnx")


class Piece(Protocol):
    """A piece of a file; the first one carries the name and the format."""

    name: str
    format: str
    piece: bytes


class Receiving(Protocol):
    """A file in the making."""

    async def piece(self, content: bytes) -> None:
        """The next piece; raises ModelRefused when the file has become too big."""
        ...

    async def finish(self, wanted: str) -> tuple[str, bool]:
        """Check, try and keep it: its version, and whether that is new. Raises ModelRefused."""
        ...


class Receiver(Protocol):
    """Where files arrive."""

    def receiving(self, name: str) -> AbstractAsyncContextManager[Receiving]:
        """A new file of a model."""
        ...


class ReceiveModel:
    """Takes files into the registry."""

    def __init__(self, models: ServeModels, receiver: Receiver, most_bytes: int) -> None:
        self._models = models
        self._receiver = receiver
        self._most_bytes = most_bytes

    async def __call__(self, pieces: AsyncIterator[Piece]) -> ModelStatus:
        """Keep what arrives; the same file twice is one version. Raises InvalidArgument with the refusal's reason.

        What is refused is read to its end, or up to a bound: a sender hears no answer while it sends.
        """
        try:
            return await self._received(pieces)
        except TradingError:
            await self._read_on(pieces)
            raise

    async def _read_on(self, pieces: AsyncIterator[Piece]) -> None:
        left = self._most_bytes
        async for each in pieces:
            left -= len(each.piece)
            if left < 0:
                break

    async def _received(self, pieces: AsyncIterator[Piece]) -> ModelStatus:
        first = await anext(pieces, None)
        if first is None:
            raise InvalidArgument("Expected a file, there was no piece.", field="piece")
        if first.format not in FORMATS:
            raise InvalidArgument(f"Expected safetensors or onnx, was {first.format[:20]!r}.", field="format")
        name, wanted = first.name, first.format
        try:
            check_new_name(name)
            version = await self._kept(name, wanted, first.piece, pieces)
        except ModelRefused as refusal:
            raise InvalidArgument(refusal.message, reason=refusal.reason, **refusal.metadata) from refusal
        return await self._models.received(name, version)

    async def _kept(self, name: str, wanted: str, first: bytes, rest: AsyncIterator[Piece]) -> str:
        async with self._receiver.receiving(name) as receiving:
            await receiving.piece(first)
            async for each in rest:
                await receiving.piece(each.piece)
            version, _ = await receiving.finish(wanted)
            return version
