"""What inference may be told."""

from typing import Literal

from pydantic import Field

from fleet.settings import FleetSettings, Token
from services.inference.domain.signals import SignalClock


class Settings(FleetSettings):
    """Turns ticks into predictions and signals."""

    grpc_port: int = Field(50052, ge=1, le=65535, description="Port of the gRPC server.")
    metrics_port: int = Field(9102, ge=1, le=65535, description="Port of /metrics, /healthz and /readyz.")
    default_model: str = Field("momentum-v1", description="Model that follows the market and answers unnamed requests.")
    follow_models: list[str] = Field(
        default=[], max_length=8, description="More models that follow the market beside the default one."
    )
    signal_models: Literal["default", "all"] = Field(
        "default", description="Which of those that follow also signal; the others predict."
    )
    use_gpu: Literal["auto", "off", "prefer", "require", "coreml"] = Field(
        "auto",
        description="CUDA when it is really there; never; the same as auto, its absence being told with every answer; "
        "not without it; or CoreML on macOS, which is unproven.",
    )
    model_deadline_s: float = Field(10.0, gt=0, description="Longest that one request may keep a model, in s.")
    model_waiting_rows_max: int = Field(1_000_000, ge=1, description="Most rows that wait for one model.")
    models_loaded_max: int = Field(
        16, ge=1, description="Most model versions in memory; the least recently used one goes."
    )
    model_file_mb_max: int = Field(256, ge=1, description="Largest model file, in MB.")
    model_tensor_mb_max: int = Field(128, ge=1, description="Largest tensor of a model file, in MB.")
    model_header_kb_max: int = Field(1024, ge=1, description="Largest header of a safetensors file, in KB.")
    model_tensors_max: int = Field(512, ge=1, description="Most tensors of a model file.")
    shadow_waiting_max: int = Field(
        256, ge=1, description="Most samples that wait for a shadow; more are skipped and counted."
    )
    windows_mb_max: int = Field(
        256, ge=1, description="Memory for the newest feature rows of all symbols, in MB; sequence models need them."
    )
    model_run_memory_mb_max: int = Field(
        512, ge=16, description="Memory that all models of tensors may take together while they run, in MB."
    )
    model_trial_s: float = Field(10.0, gt=0, description="Longest trial of a model in its own process, in s.")
    model_trial_memory_mb: int = Field(
        1024, ge=64, description="Memory that a model may add to the process of its trial, in MB."
    )
    model_inline_us: float = Field(
        500.0, ge=0, description="Slowest run of one row, in µs, that stays on the loop; slower ones get a thread."
    )
    predict_batch_rows: int = Field(2048, ge=1, description="Most rows in one run of a model; more are chunked.")
    infer_rows_max: int = Field(100_000, ge=1, description="Most rows in one request of the Open Inference Protocol.")
    predict_inline_rows: int = Field(
        256, ge=0, description="Most rows of a request whose features stay on the loop; bigger ones have a thread."
    )
    predict_waiting: int = Field(8, ge=1, description="Most requests above that which may be scored at once.")
    delegated_calls_max: int = Field(64, ge=1, description="Most requests at once to one delegated model.")
    delegated_rest_s: float = Field(
        1.0, ge=0, description="How long a server of a delegated model is left alone when it has not answered, in s."
    )
    delegated_token: Token | None = Field(None, description="Token to show the servers of delegated models.")
    signal_threshold: float = Field(0.55, gt=0.5, lt=1, description="Confidence at which a side is taken.")
    signal_release: float = Field(
        0.5, ge=0, le=1, description="Share of the threshold's distance from 0.5 below which a held side is let go."
    )
    signal_strength_step: float = Field(0.1, gt=0, le=1, description="Change of strength that is worth a new signal.")
    signal_cooldown_ms: int = Field(1_000, ge=0, description="Silence after a symbol's signal, in ms.")
    signal_reaffirm_ms: int = Field(5_000, ge=1, description="Silence after which a held side is said again, in ms.")
    signal_ttl_ms: int = Field(5_000, ge=1, description="How long a signal may be traded, in ms.")
    signal_clock: SignalClock = Field(
        "auto", description="What cool-downs run by: receive time, event time, or auto: event time in a replay."
    )
    drift_rows: int = Field(4096, ge=16, description="Feature rows of each model that drift is measured over.")
    drift_stride: int = Field(8, ge=1, description="Every so many predictions a feature row is kept for that.")
    drift_outcomes: int = Field(4096, ge=16, description="Predictions with known outcome that a model is judged by.")
    drift_waiting: int = Field(
        1024,
        ge=1,
        description="Predictions of one symbol that may wait for their horizon to pass; more are not judged.",
    )
    drift_report_s: float = Field(10.0, gt=0, description="How often drift goes to Prometheus, in s.")
    stale_after_ms: int = Field(2_000, ge=1, description="Age of a tick, in ms, that makes its signal stale.")
    instruments_refresh_s: float = Field(60.0, gt=0, description="How often the instruments are asked for, in s.")
    instruments_retry_s: float = Field(0.5, gt=0, description="Wait before asking again after a failure, in s.")
    training_rows_max: int = Field(1_000_000, ge=4, description="Most rows of a training set.")
    training_set_mb_max: int = Field(
        256, ge=1, description="Largest training set that comes in pieces, in MB; one message holds 16 MiB."
    )
    training_uploads_max: int = Field(2, ge=1, description="Most training sets that come in pieces at the same time.")
    training_upload_s: float = Field(
        300.0, gt=0, description="Longest time that a training set in pieces may take to come, in s."
    )
    training_waiting_max: int = Field(8, ge=1, description="Most training jobs that wait; one more is refused.")
    training_attempts_max: int = Field(3, ge=1, description="How often a training process may die over one job.")
    training_memory_mb: int = Field(
        2048, ge=64, description="Memory that a training process may add to its own, in MB."
    )
    training_niceness: int = Field(
        10, ge=0, le=19, description="How far a training process stands back for the others."
    )
    training_checkpoint_s: float = Field(
        1.0, ge=0, description="Most work, in s, that the death of a training process costs."
    )
    training_jobs_kept: int = Field(100, ge=1, description="Training jobs remembered after their end; the oldest go.")
