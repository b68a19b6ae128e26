"""Every Prometheus metric of the fleet, named in one place."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_FAST_SECONDS = (0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5)


class Metrics:
    """The metrics of one process; seconds and bytes are in the names."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._add_process()
        self._add_transport()
        self._add_market_data()
        self._add_trading()
        self._add_gateway()

    def _add_process(self) -> None:
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.ready = self._gauge("ready", "1 when every readiness check passes.")
        self.event_loop_lag_seconds = self._histogram("event_loop_lag_seconds", "How late the event loop runs.")

    def _add_transport(self) -> None:
        self.rpc_seconds = self._histogram("rpc_seconds", "Time of a call in this server.", "method", "code")
        self.bus_published_total = self._counter("bus_published_total", "Messages published on NATS.")
        self.bus_dropped_total = self._counter("bus_dropped_total", "Messages lost before or after NATS.", "reason")
        self.bus_errors_total = self._counter("bus_errors_total", "Errors that NATS reported aside.")
        self.bus_dead_letters_total = self._counter("bus_dead_letters_total", "Events given up after five deliveries.")

    def _add_market_data(self) -> None:
        self.ticks_total = self._counter("ticks_total", "Ticks read from venues.", "venue", "kind", "asset_class")
        self.bar_trades_late_total = self._counter(
            "bar_trades_late_total", "Trades that came when their bar could no longer change.", "venue"
        )
        self.bar_corrections_missed_total = self._counter(
            "bar_corrections_missed_total", "Corrections of trades that are not kept.", "venue"
        )
        self.ticks_dropped_total = self._counter("ticks_dropped_total", "Ticks that could not be published.", "venue")
        self.trades_filled_total = self._counter(
            "trades_filled_total", "Trades that went on late, when a hole was closed.", "venue"
        )
        self.gaps_total = self._counter("gaps_total", "Holes in a symbol's ticks that stay.", "venue")
        self.venue_reconnects_total = self._counter("venue_reconnects_total", "Connections made again.", "venue")
        self.history_rows_total = self._counter("history_rows_total", "Rows written to the history.")
        self.history_rows_lost_total = self._counter(
            "history_rows_lost_total", "Rows that the history could not keep.", "reason"
        )
        self.predictions_total = self._counter("predictions_total", "Predictions made from live ticks.", "model")
        self.delegated_total = self._counter(
            "delegated_total", "Requests to models that another server runs.", "model", "outcome"
        )
        self.delegated_seconds = self._histogram("delegated_seconds", "Time of their answers.", "model")
        self.signals_total = self._counter("signals_total", "Signals published.", "model")
        self.feature_psi = self._gauge(
            "feature_psi",
            "Population stability index of a model's feature against its training data.",
            "model",
            "feature",
        )
        self.rolling_brier = self._gauge("rolling_brier", "Mean squared error of the newest probabilities.", "model")
        self.base_rate_brier = self._gauge("base_rate_brier", "The same of the newest outcomes' own rate.", "model")
        self.hit_rate = self._gauge("hit_rate", "Share of the newest predictions with the right sign.", "model")
        self.outcomes = self._gauge("outcomes", "Predictions behind those, whose horizon has passed.", "model")
        self.missed_ticks_total = self._counter("missed_ticks_total", "Ticks missed between market_data and here.")
        self.tick_to_signal_seconds = self._histogram("tick_to_signal_seconds", "From a tick's read to its signal.")

    def _add_trading(self) -> None:
        self.orders_total = self._counter("orders_total", "Orders by their first answer.", "status")
        self.fills_total = self._counter("fills_total", "Fills recorded.")
        self.order_accept_seconds = self._histogram("order_accept_seconds", "From a submit's receipt to its reply.")
        self.order_to_fill_seconds = self._histogram("order_to_fill_seconds", "From a submit's receipt to its fill.")
        self.append_seconds = self._histogram("append_seconds", "Durable append of order events.")
        self.outbox_depth = self._gauge("outbox_depth", "Events that wait to be published.")
        self.inbox_duplicates_total = self._counter("inbox_duplicates_total", "Events that had been applied before.")
        self.reconcile_discrepancies_total = self._counter(
            "reconcile_discrepancies_total", "Differences that reconciliation found."
        )
        self.unprotected_positions_total = self._counter(
            "unprotected_positions_total", "Positions whose bracket lost a leg that the venue refused every time."
        )
        self.charges_total = self._counter("charges_total", "Charges of venues recorded, by their kind.", "kind")
        self.kill_switch_state = self._gauge("kill_switch_state", "0 ACTIVE, 1 REDUCING, 2 HALTED.", "account")

    def _add_gateway(self) -> None:
        self.http_seconds = self._histogram("http_seconds", "Time of a request.", "route", "status")
        self.ws_clients = self._gauge("ws_clients", "WebSocket clients connected.")
        self.ws_dropped_total = self._counter(
            "ws_dropped_total", "Frames conflated away, or clients evicted.", "reason"
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"nt_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"nt_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"nt_{name}", text, labels, buckets=_FAST_SECONDS, registry=self.registry)
