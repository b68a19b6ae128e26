"""market_data: ticks in, ticks alone, the ring, the history.

`market_data.memory` takes minutes and has a command of its own.
"""

from tests.bench.market_data_history import history_to_client, history_write
from tests.bench.market_data_history_scan import history_scan
from tests.bench.market_data_ingest import ingest, latency
from tests.bench.market_data_ring import ring

PARTS = {
    "market_data.ingest": ingest,
    "market_data.tick_latency": latency,
    "market_data.ring": ring,
    "market_data.history_write": history_write,
    "market_data.history_scan": history_scan,
    "market_data.history_to_client": history_to_client,
}
