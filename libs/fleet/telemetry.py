"""What the fleet tells of itself: structured logs and traces that follow an order from end to end."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import structlog
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_incoming: ContextVar[str | None] = ContextVar("traceparent", default=None)
_PROPAGATOR = TraceContextTextMapPropagator()


def configure_logging(service: str, level: str) -> None:
    """Log JSON lines to stderr, or coloured lines when a person is watching; never to stdout."""
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format=f'{{"service":"{service}","event":"%(message)s"}}'
    )


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
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


def current_traceparent() -> str | None:
    """The W3C traceparent to hand to whatever is called next, or None outside a trace."""
    if trace.get_current_span().get_span_context().is_valid:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier.get("traceparent")
    return _incoming.get()


@contextlib.contextmanager
def span(name: str, traceparent: str | None = None) -> Iterator[None]:
    """Run the block as one step of the trace that `traceparent` began."""
    token = _incoming.set(traceparent or _incoming.get())
    context = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    try:
        with trace.get_tracer("neural_trader").start_as_current_span(name, context):
            yield
    finally:
        _incoming.reset(token)
