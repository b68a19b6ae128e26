"""What can be wrong with a model.

FailedPrecondition
└── ModelRefused   files that do not fit their manifest, or that this service will not run
TradingError (INTERNAL)
└── ModelFault     a model that ran and gave no number
"""

from trading.errors import FailedPrecondition, Kind, TradingError


class ModelRefused(FailedPrecondition):
    """A model directory that is not loaded; `path` and the two differing values are in the metadata."""

    REASON = "MODEL_REFUSED"


class ModelFault(TradingError):
    """A model gave NaN or infinity; nothing is made of it."""

    def __init__(self, model: str) -> None:
        super().__init__(Kind.INTERNAL, "MODEL_FAULT", f"Model {model!r} gave no finite number.", model=model)
