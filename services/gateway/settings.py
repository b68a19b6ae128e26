"""What the gateway may be told."""

from pydantic import Field, SecretStr

from fleet.settings import CacheSettings, FleetSettings


class Settings(CacheSettings, FleetSettings):
    """The gateway: REST and WebSocket for the world outside."""

    admin_api_key: SecretStr = Field(min_length=8, description="First admin key; the gateway does not start without.")
    metrics_port: int = Field(9105, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    gateway_port: int = Field(8080, ge=1, le=65535, description="Port of REST and WebSocket.")
    request_timeout_seconds: float = Field(15.0, gt=0, description="Longest time for the fleet to answer a request.")
    head_seconds: float = Field(10.0, gt=0, description="Longest time for the head of a request to come.")
    head_bytes_max: int = Field(65_536, ge=1024, description="Largest head of a request that comes in pieces.")
    body_bytes_max: int = Field(1024 * 1024, ge=1024, description="Largest body of an ordinary request.")
    bulk_body_bytes_max: int = Field(
        64 * 1024 * 1024, ge=1024, description="Largest body of predict, train, optimize, risk."
    )
    file_bytes_max: int = Field(256 * 1024 * 1024, ge=1024, description="Largest model file.")
    file_timeout_seconds: float = Field(
        120.0, gt=0, description="Longest time for a model file or a training set to come and be tried."
    )
    bulk_process_bytes: int = Field(
        256 * 1024, ge=0, description="Rows and predictions of so many bytes are read and written in another process."
    )
    bulk_waiting_max: int = Field(16, ge=1, description="Bodies above that which may be read and written at once.")
    rate_per_second: float = Field(2000.0, gt=0, description="Requests a second that one key may keep up.")
    rate_burst: int = Field(4000, ge=1, description="Requests that one key may send at once.")
    failures_per_second: float = Field(20.0, gt=0, description="Wrong keys a second from one address.")
    failures_burst: int = Field(200, ge=1, description="Wrong keys at once from one address.")
    callers_max: int = Field(100_000, ge=1, description="Callers whose rates are remembered.")
    idempotency_hours: float = Field(24.0, gt=0, description="How long an Idempotency-Key is remembered.")
    orders_pending_max: int = Field(4096, ge=1, description="Orders that may wait for execution's answer at once.")
    catalogue_seconds: float = Field(5.0, ge=0, description="How long a list of instruments is taken for current.")
    stream_clients_max: int = Field(20_000, ge=1, description="WebSocket clients at once.")
    stream_message_bytes_max: int = Field(65_536, ge=1024, description="Largest message of a WebSocket client.")
    stream_symbols_max: int = Field(5000, ge=1, description="Symbols that one WebSocket client may follow.")
    stream_queue_max: int = Field(1024, ge=16, description="Frames that may wait for one WebSocket client.")
    stream_auth_seconds: float = Field(10.0, gt=0, description="How long a WebSocket client may stay nameless.")
    stream_heartbeat_seconds: float = Field(15.0, gt=0, description="Pause between heartbeats.")
    stream_account_seconds: float = Field(1.0, gt=0, description="Pause between two looks at followed accounts.")
    build_date: str = Field("", description="When the image was built, ISO 8601; empty means found out.")
    commit: str = Field("", description="Commit of the code; empty means found out.")
