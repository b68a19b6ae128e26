"""The counts of the history, for Prometheus."""

from fleet.metrics import Metrics


class MeteredHistory:
    """HistoryMeter over the fleet's metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._written = metrics.history_rows_total
        self._no_room = metrics.history_rows_lost_total.labels("buffer")
        self._no_disk = metrics.history_rows_lost_total.labels("disk")

    def written(self, rows: int) -> None:
        self._written.inc(rows)

    def found_no_room(self, rows: int) -> None:
        self._no_room.inc(rows)

    def found_no_disk(self, rows: int) -> None:
        self._no_disk.inc(rows)
