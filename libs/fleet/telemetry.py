"""What the fleet tells of itself: structured logs and traces that follow an order from end to end."""

import contextlib
import logging
import re
import sys
from collections.abc import Iterator
from contextvars import ContextVar

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.typing import EventDict, Processor

EXPORT_TIMEOUT_S = 2
_incoming: ContextVar[str | None] = ContextVar("traceparent", default=None)
_tracer: ContextVar[trace.Tracer | None] = ContextVar("tracer", default=None)
_NO_TRACE = contextlib.nullcontext()
_PROPAGATOR = TraceContextTextMapPropagator()
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def configure_logging(service: str, level: str) -> None:
    """Log JSON lines to stderr, or coloured lines when a person is watching; never to stdout."""

    def add_origin(_logger: object, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        if traceparent := current_traceparent():
            event["trace_id"] = traceparent[3:35]
        return event

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_origin,
    ]
    render = _renderers(sys.stderr.isatty())
    structlog.configure(
        processors=[*before, *render],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    _log_like_us(before, render)


def _renderers(for_a_person: bool) -> list[Processor]:
    if for_a_person:
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(sort_keys=True, default=str)]


def _log_like_us(before: list[Processor], render: list[Processor]) -> None:
    """Give the warnings of libraries, which log by the standard library, the same form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


@contextlib.contextmanager
def tracing(service: str, endpoint: str) -> Iterator[None]:
    """Export spans to an OTLP/HTTP collector while the block runs; without an endpoint only ids are passed on."""
    if not endpoint:
        yield
        return
    # a quarter of a second of imports, for those alone who watch
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    token = _tracer.set(provider.get_tracer("neural_trader"))  # reaches every task that is started inside
    try:
        yield
    finally:
        _tracer.reset(token)
        provider.shutdown()


def current_traceparent() -> str | None:
    """The W3C traceparent to hand to whatever is called next, or None outside a trace."""
    current = trace.get_current_span().get_span_context()
    if current.is_valid:
        return f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"
    return _incoming.get()


def span(name: str, traceparent: str | None = None) -> contextlib.AbstractContextManager[None]:
    """Run the block as one step of the trace that `traceparent` began; what is no traceparent is ignored."""
    if traceparent is not None and not _TRACEPARENT.fullmatch(traceparent):
        traceparent = None
    tracer = _tracer.get()
    if tracer:
        return _recorded(tracer, name, traceparent)
    return _followed(traceparent) if traceparent else _NO_TRACE


@contextlib.contextmanager
def _recorded(tracer: trace.Tracer, name: str, traceparent: str | None) -> Iterator[None]:
    context = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    with tracer.start_as_current_span(name, context):
        yield


@contextlib.contextmanager
def _followed(traceparent: str) -> Iterator[None]:
    token = _incoming.set(traceparent)
    try:
        yield
    finally:
        _incoming.reset(token)
