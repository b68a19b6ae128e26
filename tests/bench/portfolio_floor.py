"""A gRPC server that takes a message and does nothing with it: what a call costs before anybody optimises.

python portfolio_floor.py <port>
"""

import asyncio
import sys
from typing import Any

import grpc

METHOD = "/floor/Take"
_MOST = 96 * 1024 * 1024


class _Taker(grpc.GenericRpcHandler):
    """Answers every call with no bytes."""

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        async def take(request: bytes, context: Any) -> bytes:
            return b""

        return grpc.unary_unary_rpc_method_handler(take)  # type: ignore[arg-type]  the stubs know the sync one


async def main() -> None:
    """Serve until the process ends."""
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", _MOST)])
    server.add_generic_rpc_handlers((_Taker(),))
    server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
