"""What can be wrong with what a model is to be made of.

FailedPrecondition
└── NotTrainable     a model whose kind is not trained here
InvalidArgument
├── BadTrainingSet   features or labels that nothing can be learnt from; the reason names what is wrong
└── TooLittleData    too few rows to learn from, to calibrate with or to judge by
"""

from trading.errors import FailedPrecondition, InvalidArgument


class NotTrainable(FailedPrecondition):
    """A model that came as a file of its own, such as ONNX: it can be served, and not trained."""

    REASON = "MODEL_NOT_TRAINABLE"


class BadTrainingSet(InvalidArgument):
    """Features or labels that nothing can be learnt from; the reason names what is wrong, `field` where."""

    REASON = "BAD_TRAINING_SET"


class TooLittleData(InvalidArgument):
    """Too few rows to learn from, to calibrate with or to judge by; their number is in the metadata."""

    REASON = "TOO_LITTLE_DATA"
