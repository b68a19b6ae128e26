"""What can be wrong with a model.

FailedPrecondition
└── ModelRefused   files that do not fit their manifest, or that this service will not run; why is one of Refusal
NotFound
└── NotFollowing   a model that is asked about the market and does not follow it
Unavailable
└── StorageFailed  a disk that is full, read-only or gone
TradingError (INTERNAL)
└── ModelFault     a model that ran and gave no number
"""

from enum import StrEnum

from trading.errors import FailedPrecondition, Kind, NotFound, TradingError, Unavailable


class Refusal(StrEnum):
    """Why a model is refused; the value is the error's reason, and the `code` of the gateway's answer."""

    MANIFEST = "MODEL_MANIFEST"
    """The manifest cannot be read, or says what the file does not."""
    HASH = "MODEL_HASH_MISMATCH"
    """The file is not the one that the manifest was made for."""
    PATH = "MODEL_PATH"
    """The path leaves the registry: a link, an odd name, or `..`."""
    NOT_A_FILE = "MODEL_NOT_A_FILE"
    """A directory, a pipe, or nothing, where the model file should be."""
    UNREADABLE = "MODEL_UNREADABLE"
    """The bytes are no safetensors and no ONNX file."""
    TOO_BIG = "MODEL_TOO_BIG"
    """The file, its header, or one of its tensors is above the limit."""
    TOO_MANY_TENSORS = "MODEL_TOO_MANY_TENSORS"
    DUPLICATE_KEY = "MODEL_DUPLICATE_KEY"
    """The same key twice in a header, in its metadata, or in a manifest: readers would disagree about it."""
    ODD_NAME = "MODEL_ODD_NAME"
    """A tensor's name has other characters than letters, digits, `_` and `.`, or is too long."""
    ZERO_SIZE = "MODEL_ZERO_SIZE"
    """A tensor has a dimension of 0."""
    DTYPE = "MODEL_DTYPE"
    """Numbers of another kind than F32 and F16, such as BF16."""
    OFFSETS = "MODEL_OFFSETS"
    """Tensors overlap, leave holes, or reach beyond the file."""
    NOT_FINITE = "MODEL_NOT_FINITE"
    """A weight or an answer is NaN or infinite."""
    ARCHITECTURE = "MODEL_ARCHITECTURE"
    """The metadata names no architecture that is known here, or one that cannot be."""
    TENSORS = "MODEL_TENSORS"
    """The tensors are not exactly those of the architecture, in name and shape."""
    FEATURES = "MODEL_FEATURES"
    """The model reads features that this service does not compute."""
    GOLDEN = "MODEL_GOLDEN_MISMATCH"
    """The model does not say what its maker said it says."""
    PRECISION = "MODEL_PRECISION"
    """At the asked precision the model says too different things, or that precision cannot be measured."""
    OPERATOR = "MODEL_OPERATOR"
    """An operator that is not on the list."""
    EXTERNAL_DATA = "MODEL_EXTERNAL_DATA"
    """An ONNX file that keeps tensors in other files."""
    FUNCTIONS = "MODEL_FUNCTIONS"
    """An ONNX file that brings functions of its own."""
    SHAPE = "MODEL_SHAPE"
    """Inputs or outputs of another number, kind or shape, such as sequences and maps."""
    RUNTIME = "MODEL_RUNTIME"
    """ONNX Runtime cannot load or run it."""
    MEMORY = "MODEL_MEMORY"
    """It took more memory than a model may in its trial run."""
    TIME = "MODEL_TIME"
    """It took more time than a model may in its trial run."""
    CRASH = "MODEL_CRASH"
    """It brought the process of its trial run down."""
    DEVICE = "MODEL_DEVICE"
    """A device was insisted on, and is not there or cannot run the model."""


class ModelRefused(FailedPrecondition):
    """A model that is not loaded: `why` is its reason, facts are in the metadata."""

    REASON = "MODEL_REFUSED"

    def __init__(self, why: Refusal, message: str, /, **metadata: object) -> None:
        super().__init__(message, reason=why, **metadata)
        self.why = why


class NotFollowing(NotFound):
    """A model that does not follow the market: there is nothing to measure."""

    REASON = "MODEL_NOT_FOLLOWING"


class StorageFailed(Unavailable):
    """A disk that does not take what is written: nothing has changed, and what was there is there."""

    REASON = "STORAGE_FAILED"


class ModelFault(TradingError):
    """A model gave NaN or infinity; nothing is made of it."""

    def __init__(self, model: str) -> None:
        super().__init__(Kind.INTERNAL, "MODEL_FAULT", f"Model {model!r} gave no finite number.", model=model)
