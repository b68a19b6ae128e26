"""Logs are lines of JSON on stderr, and traces reach a real collector."""

import gzip
import json
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from servers import free_port
from waiting import within

from fleet.telemetry import current_traceparent, span, tracing

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


class Collector:
    """An OTLP/HTTP collector that keeps what it is sent."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, ExportTraceServiceRequest]] = []
        collector = self

        class Receive(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests.append((self.path, ExportTraceServiceRequest.FromString(body)))
                self.send_response(200)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the output of the tests clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Receive)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def spans(self) -> dict[str, Span]:
        """What was received, by name."""
        return {
            found.name: found
            for _path, request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for found in scope.spans
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    running = Collector()
    running.start()
    yield running
    running.stop()


def test_spans_reach_the_collector_as_one_trace(collector: Collector) -> None:
    with tracing("execution", f"{collector.url}/"), span("submit", TRACEPARENT):
        with span("check"):
            inner = current_traceparent()
        outer = current_traceparent()
    assert [path for path, _request in collector.requests] == ["/v1/traces"]
    submit, check = collector.spans["submit"], collector.spans["check"]
    assert {submit.trace_id.hex(), check.trace_id.hex()} == {TRACE}
    assert submit.parent_span_id.hex() == TRACEPARENT.split("-")[2]
    assert check.parent_span_id == submit.span_id
    assert outer == f"00-{TRACE}-{submit.span_id.hex()}-01"
    assert inner == f"00-{TRACE}-{check.span_id.hex()}-01"
    attributes = collector.requests[0][1].resource_spans[0].resource.attributes
    assert {each.key: each.value.string_value for each in attributes}["service.name"] == "execution"


def test_with_a_collector_a_trace_begins_by_itself(collector: Collector) -> None:
    with tracing("execution", collector.url), span("tick"):
        assert current_traceparent() is not None
    assert not collector.spans["tick"].parent_span_id


def test_a_span_says_that_it_failed(collector: Collector) -> None:
    with tracing("execution", collector.url), pytest.raises(ValueError, match="no"), span("tick"):
        raise ValueError("no")
    assert collector.spans["tick"].status.message == "ValueError: no"


def test_two_services_of_one_process_may_be_traced_in_turn(collector: Collector) -> None:
    for name in ("first", "second"):
        with tracing(name, collector.url), span(name):
            pass
    assert set(collector.spans) == {"first", "second"}


@pytest.mark.timed
def test_a_collector_that_is_away_does_not_hold_the_end() -> None:
    started = time.perf_counter()
    with tracing("execution", f"http://127.0.0.1:{free_port()}"), span("tick"):
        pass
    assert time.perf_counter() - started < within(5)


def test_without_a_collector_only_the_ids_are_passed_on() -> None:
    with tracing("execution", ""):
        assert current_traceparent() is None
        with span("submit", TRACEPARENT):
            with span("check"):
                assert current_traceparent() == TRACEPARENT
            assert current_traceparent() == TRACEPARENT
        assert current_traceparent() is None


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "x" * 5_000,
        "00-xyz-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{TRACEPARENT}\r\nNats-Msg-Id: forged",
        TRACEPARENT.upper(),
    ],
)
def test_what_is_no_traceparent_is_not_passed_on(nonsense: str) -> None:
    with span("submit", nonsense):
        assert current_traceparent() is None
    with span("outer", TRACEPARENT), span("inner", nonsense):
        assert current_traceparent() == TRACEPARENT


def lines_of(program: str) -> list[dict[str, Any]]:
    """What a program logs to stderr, which must all be JSON; stdout must stay empty."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == ""
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_every_line_of_the_log_is_json_on_stderr() -> None:
    lines = lines_of(f"""
        import logging, threading, structlog
        from fleet.telemetry import configure_logging, span
        configure_logging("execution", "INFO")
        log = structlog.get_logger()
        log.debug("unseen")
        log.info("order.accepted", order_id="o-1", odd={{1, 2}}, text="naïve\\nline")
        with span("submit", "{TRACEPARENT}"):
            log.warning("traced")
        thread = threading.Thread(target=lambda: log.info("elsewhere"))
        thread.start()
        thread.join()
        try:
            1 / 0
        except ZeroDivisionError:
            log.exception("failed")
        logging.getLogger("a.library").warning('it "quotes" %s\\nand breaks', "lines")
        try:
            [][0]
        except IndexError:
            logging.getLogger("a.library").exception("it failed")
        logging.getLogger("a.library").info("unseen")
    """)
    assert [line["event"] for line in lines] == [
        "order.accepted",
        "traced",
        "elsewhere",
        "failed",
        'it "quotes" lines\nand breaks',
        "it failed",
    ]
    assert {line["service"] for line in lines} == {"execution"}
    assert all({"level", "timestamp"} <= set(line) for line in lines)
    assert (lines[0]["order_id"], lines[0]["text"]) == ("o-1", "naïve\nline")
    assert [line.get("trace_id") for line in lines[:3]] == [None, TRACE, None]
    assert "ZeroDivisionError" in lines[3]["exception"]
    assert "IndexError" in lines[5]["exception"]


def test_a_level_below_the_chosen_one_is_left_out() -> None:
    lines = lines_of("""
        import structlog
        from fleet.telemetry import configure_logging
        configure_logging("execution", "ERROR")
        structlog.get_logger().warning("unseen")
        structlog.get_logger().error("seen")
    """)
    assert [line["event"] for line in lines] == ["seen"]


def test_a_person_at_a_terminal_reads_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    from fleet import telemetry

    renderers = telemetry._renderers(for_a_person=True)
    shown = renderers[-1](None, "info", {"event": "order.accepted", "level": "info"})
    assert "order.accepted" in str(shown)
    assert not str(shown).startswith("{")
