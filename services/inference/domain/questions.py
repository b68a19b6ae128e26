"""Questions in tensors, their answers, and what there is to ask: the words of the Open Inference Protocol."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.domain.model import ModelCard
from services.inference.domain.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Question:
    """Tensors for a model; an empty version is the one in use, no outputs are all of them."""

    name: str
    version: str
    inputs: Sequence[Tensor]
    outputs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said, and which one."""

    card: ModelCard
    tensors: Sequence[Tensor]


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A version of a model; `reason` says why it is not in memory."""

    name: str
    version: str
    loaded: bool
    reason: str = ""
