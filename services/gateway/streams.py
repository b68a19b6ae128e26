"""Bodies that go to the fleet in pieces, because they are larger than a message."""

import asyncio
from collections.abc import AsyncIterable, Callable
from contextlib import suppress
from typing import Any

import grpc

from fleet import rpc_errors

PIECE_BYTES = 512 * 1024
Metadata = Callable[[], tuple[tuple[str, str], ...]]


async def hand_on(call: Any, pieces: AsyncIterable[Any]) -> Any:
    """Write pieces into a client-streaming call and give its answer; raises the named error of a refusal."""
    try:
        with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):  # refused already: the answer says why
            async for piece in pieces:
                await call.write(piece)
            await call.done_writing()
        return await call
    except grpc.aio.AioRpcError as error:
        raise rpc_errors.from_rpc_error(error) from error
    finally:
        call.cancel()
