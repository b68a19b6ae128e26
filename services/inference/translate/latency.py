"""Latencies on the wire."""

from fleet.latency import LatencyWindow
from neuraltrader.common.v1 import common_pb2


def latency_message(window: LatencyWindow) -> common_pb2.Latency:
    """The wire form of a latency window."""
    summary = window.summary()
    return common_pb2.Latency(
        p50_ns=summary.p50_ns, p99_ns=summary.p99_ns, mean_ns=summary.mean_ns, count=summary.count
    )
