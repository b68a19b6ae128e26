"""The history behind market_data's own gRPC boundary and servicer, without the rest of the service."""

import asyncio
import sys
from pathlib import Path
from typing import Any, cast

from fleet.metrics import Metrics
from fleet.rpc import Boundary, GrpcServer
from neuraltrader.market_data.v1 import market_data_service_pb2_grpc as pb_grpc
from services.market_data.adapters.stored_history import DiskLimits, Retention, StoredHistory
from services.market_data.domain.coverage import Coverage
from services.market_data.domain.live_bars import LiveBars
from services.market_data.domain.registry import Registry
from services.market_data.rpc import MarketDataServicer
from services.market_data.usecases.get_historical import GetHistorical
from services.market_data.usecases.table_places import TablePlaces
from trading.clock import SystemClock


async def serve(folder: Path, address: str) -> None:
    """Answer GetHistorical until killed."""
    registry = Registry(["AAPL"])
    limits = DiskLimits(scan_bytes=2**32, decoded_bytes=2**32, cached_bytes=2**26, joined_rows=10**7)
    store = StoredHistory(folder, Retention(0, 0), limits, reads_at_once=2)
    nothing: Any = None
    known = {
        "registry": registry,
        "clock": SystemClock(),
        "frame_rows_most": 1_000_000,
        "places": TablePlaces(1),
        "get_historical": GetHistorical(registry, Coverage(()), store, {}, LiveBars(1)),
    }
    fields = dict.fromkeys(MarketDataServicer.__dataclass_fields__, nothing) | known
    servicer = MarketDataServicer(**cast("dict[str, Any]", fields))
    server = GrpcServer(
        address,
        [lambda one: pb_grpc.add_MarketDataServiceServicer_to_server(servicer, one)],
        [],
        Boundary([], Metrics()),
    )
    await server.start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(Path(sys.argv[1]), sys.argv[2]))
