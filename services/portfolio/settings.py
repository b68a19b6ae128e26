"""What portfolio may be told."""

from pydantic import Field

from fleet.settings import DatabaseSettings, FleetSettings


class Settings(DatabaseSettings, FleetSettings):
    """Keeps the book, chooses weights and measures risk."""

    grpc_port: int = Field(50054, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9104, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    fill_batch: int = Field(256, ge=1, le=4096, description="Most fills from the stream in one transaction.")
    catch_up_s: float = Field(2.0, gt=0, description="Seconds between two looks into execution's log and accounts.")
    catch_up_page: int = Field(1000, ge=1, le=10_000, description="Most fills in one answer of the log.")
    catch_up_overlap: int = Field(
        1000, ge=0, description="Positions of the log that are looked at again, for a writer that commits out of order."
    )
    catch_up_timeout_s: float = Field(5.0, gt=0, description="Longest wait for one page of the log, in seconds.")
    read_timeout_s: float = Field(
        0.25, gt=0, description="Longest wait of a reader for execution's newest word, in seconds."
    )
    outbox_batch: int = Field(256, ge=1, description="Changes of positions read from the outbox at a time.")
    outbox_retry_s: float = Field(0.5, gt=0, description="Wait before the outbox is tried again, in seconds.")
    solver_workers: int = Field(2, ge=1, description="Most solver processes; all but the first start when needed.")
    solver_waiting: int = Field(16, ge=0, description="Most problems that wait for a solver; more are refused.")
    solver_timeout_s: float = Field(30.0, gt=0, description="Longest time for one optimisation, in seconds.")
    solver_search_s: float = Field(
        5.0, gt=0, description="Longest search for minimum positions, in seconds; its gap is reported."
    )
    simulation_cells_max: int = Field(
        500_000_000, ge=1, description="Most returns that one simulation draws: paths × days × symbols."
    )
    verdicts_kept: int = Field(1000, ge=1, description="Most covariances whose definiteness is remembered.")
    verdicts_waiting: int = Field(4, ge=1, description="Most covariances that wait to be judged; they stay in memory.")
    covariances_kept: int = Field(16, ge=0, description="Most covariances that are known again when they come back.")
    covariances_kept_mb: int = Field(96, ge=0, description="Most memory of the covariances that are kept, in MiB.")
    offload_threads: int = Field(2, ge=1, description="Threads for the arithmetic of large matrices.")
    usd_stablecoins: tuple[str, ...] = Field(
        ("USDT", "USDC"), description="Coins that count as one US dollar each: a convention, not a price."
    )
    curve_period_s: float = Field(60.0, gt=0, description="Seconds between two points of the equity curves.")
    curve_thin_s: float = Field(3600.0, gt=0, description="Seconds between two thinnings of the equity curves.")
    curve_all_days: int = Field(7, ge=1, description="Days for which every point of an equity curve is kept.")
    curve_hourly_days: int = Field(90, ge=1, description="Days for which one point an hour is kept after that.")
    curve_daily_days: int = Field(
        3660, ge=1, description="Days for which one point a day is kept after that; older ones are dropped."
    )
    import_positions_max: int = Field(10_000, ge=1, description="Most positions in one import.")
    rebalance_cushion_bps: int = Field(
        10,
        ge=0,
        le=1000,
        description="Part of the cash, in hundredths of a percent, that buys leave for a market that moves.",
    )
    rebalance_orders_max: int = Field(
        1000, ge=1, le=5000, description="Most orders of one rebalance; more are refused."
    )
    rebalance_drift_most: float = Field(
        0.1, ge=0, description="Largest move of weights or prices since a proposal that may still be executed."
    )
    rebalance_concurrent: int = Field(
        8, ge=1, le=64, description="Orders of one rebalance that are asked about at once."
    )
    rebalance_submit_wait_ms: int = Field(
        2000, ge=1, le=10_000, description="Longest wait for the end of an order that was just sent, in milliseconds."
    )
    rebalance_poll_s: float = Field(0.25, gt=0, description="Seconds between two looks at orders that still work.")
    rebalance_watch_s: float = Field(
        1.0, gt=0, description="Longest wait of a watcher before it looks again by itself, in seconds."
    )
    rebalance_keep_days: int = Field(
        365, ge=1, description="Days for which a rebalance that has ended can be asked for."
    )
    rebalance_forget_s: float = Field(3600.0, gt=0, description="Seconds between two looks for rebalances to drop.")
    schedule_look_s: float = Field(1.0, gt=0, description="Seconds between two looks at the schedules.")
