"""Training sets in pieces: put together, bounded in size, number and time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from builders.training import some_rows

from services.inference.domain.training import TrainingPiece, TrainingWish
from services.inference.domain.training_errors import BadTrainingSet
from services.inference.usecases.receive_training import ReceiveRules, ReceiveTraining
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted

WISH = TrainingWish("small", b"", np.zeros(0), 3, 0.01, 7, "")


class Desk:
    """Receives, and remembers what was to be trained."""

    def __init__(self, bytes_max: int = 1_000_000, sets_max: int = 1, longest_s: float = 60.0) -> None:
        self.wishes: list[TrainingWish] = []
        train: Any = self.train
        self.receive = ReceiveTraining(train, ReceiveRules(bytes_max, sets_max, longest_s))

    async def train(self, wish: TrainingWish) -> Any:
        self.wishes.append(wish)
        return "job"


async def sent(*pieces: TrainingPiece) -> AsyncIterator[TrainingPiece]:
    for piece in pieces:
        yield piece


def in_pieces(features: bytes, labels: bytes, size: int = 100) -> list[TrainingPiece]:
    """The wish with the first bytes, then the rest; pieces end within numbers."""
    first = TrainingPiece(WISH, features[:5], labels[:3])
    return [
        first,
        *(TrainingPiece(None, features[start : start + size], b"") for start in range(5, len(features), size)),
        TrainingPiece(None, b"", labels[3:]),
    ]


async def test_pieces_become_the_set_that_one_message_would_have_carried() -> None:
    desk, rows = Desk(), some_rows(40)
    assert await desk.receive(sent(*in_pieces(rows.features.tobytes(), rows.labels.tobytes()))) == "job"
    (wish,) = desk.wishes
    assert bytes(wish.features_f64le) == rows.features.tobytes()
    assert wish.labels.tolist() == rows.labels.tolist()
    assert wish._replace(features_f64le=b"", labels=WISH.labels) == WISH


@pytest.mark.parametrize(
    "pieces",
    [[], [TrainingPiece(None, b"12345678", b"")], [TrainingPiece(WISH, b"", b""), TrainingPiece(None, b"", b"1")]],
)
async def test_what_is_no_set_is_refused(pieces: list[TrainingPiece]) -> None:
    desk = Desk()
    with pytest.raises(InvalidArgument):
        await desk.receive(sent(*pieces))
    assert desk.wishes == []


async def test_a_set_beyond_the_bound_is_refused_with_the_bound_and_read_no_further_than_twice_that() -> None:
    read = 0

    async def endless() -> AsyncIterator[TrainingPiece]:
        nonlocal read
        yield TrainingPiece(WISH, b"", b"")
        while True:
            read += 800
            yield TrainingPiece(None, bytes(800), b"")

    with pytest.raises(BadTrainingSet) as refused:
        await Desk(bytes_max=8_000).receive(endless())
    assert (refused.value.reason, refused.value.metadata["bytes_max"]) == ("TRAINING_SET_TOO_LARGE", 8_000)
    assert read <= 2 * 8_000 + 2 * 800


async def test_one_more_than_may_come_at_once_is_refused_and_a_place_comes_free_again() -> None:
    desk, gate, begun = Desk(), asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[TrainingPiece]:
        begun.set()
        await gate.wait()
        yield TrainingPiece(WISH, b"", b"")

    first = asyncio.create_task(desk.receive(slow()))
    await begun.wait()
    with pytest.raises(ResourceExhausted) as refused:
        await desk.receive(sent(TrainingPiece(WISH, b"", b"")))
    assert (refused.value.reason, refused.value.metadata["retry_after_s"]) == ("TRAINING_UPLOADS_FULL", 30)
    gate.set()
    await first
    await desk.receive(sent(TrainingPiece(WISH, b"", b"")))
    assert len(desk.wishes) == 2


async def test_a_sender_that_stops_in_the_middle_is_given_up() -> None:
    desk = Desk(longest_s=0.01)

    async def stalled() -> AsyncIterator[TrainingPiece]:
        yield TrainingPiece(WISH, b"", b"")
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceeded) as refused:
        await desk.receive(stalled())
    assert refused.value.reason == "TRAINING_UPLOAD_TIME"
    await desk.receive(sent(TrainingPiece(WISH, b"", b"")))
