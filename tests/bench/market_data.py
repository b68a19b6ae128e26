"""market_data: ticks in, ticks alone, the ring. (`market_data.memory` takes minutes and has a command of its own.)"""

from tests.bench.market_data_ingest import ingest, latency
from tests.bench.market_data_ring import ring

PARTS = {
    "market_data.ingest": ingest,
    "market_data.tick_latency": latency,
    "market_data.ring": ring,
}
