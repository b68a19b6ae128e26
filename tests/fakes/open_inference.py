"""The real servicer of the Open Inference Protocol over one model in memory."""

from builders.inference import a_card
from fakes.inference import FakeModel, FakeModels

from services.inference.domain.infer_counts import InferCounts
from services.inference.rpc.open_inference import OpenInferenceRpc
from services.inference.usecases.infer import Infer
from services.inference.usecases.repository import Repository
from trading.clock import SystemClock

ROWS_MAX = 1_000


class FakeOpenInference:
    """Serves one model, momentum-v1, which remembers what it was asked and says what it is told."""

    def __init__(self) -> None:
        self.model = FakeModel(a_card(name="momentum-v1", version="3"), 0.5)

    def servicer(self) -> OpenInferenceRpc:
        """What a server registers."""
        models, counts = FakeModels(self.model), InferCounts()
        return OpenInferenceRpc(
            Infer(models, counts, SystemClock(), ROWS_MAX), Repository(models, counts), "9.9", ROWS_MAX
        )
