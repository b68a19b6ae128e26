"""Receive a training set in pieces, which is larger than one message may be, and queue its job."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from services.inference.domain.training import TrainingJob, TrainingPiece, TrainingWish
from services.inference.domain.training_errors import BadTrainingSet
from services.inference.usecases.train import Train
from trading.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted, TradingError

_RETRY_AFTER_S = 30
_NUMBER_BYTES = 8


@dataclass(frozen=True, slots=True)
class ReceiveRules:
    """Most bytes of one set, most sets that come at the same time, and the longest that one may take to come."""

    bytes_max: int
    sets_max: int
    longest_s: float


class ReceiveTraining:
    """Takes training sets in; they are in memory until their job is kept."""

    def __init__(self, train: Train, rules: ReceiveRules) -> None:
        self._train, self._rules = train, rules
        self._coming = 0

    async def __call__(self, pieces: AsyncIterator[TrainingPiece]) -> TrainingJob:
        """The queued job; raises what `Train` raises, ResourceExhausted, DeadlineExceeded, BadTrainingSet: too large.

        What is refused is read to its end, or up to a bound: a sender hears no answer while it sends.
        """
        try:
            with self._place():
                return await self._train(await self._in_time(pieces))
        except TradingError:
            await self._read_on(pieces)
            raise

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._coming >= self._rules.sets_max:
            raise ResourceExhausted(
                f"Expected at most {self._rules.sets_max} training sets at the same time.",
                reason="TRAINING_UPLOADS_FULL",
                retry_after_s=_RETRY_AFTER_S,
            )
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1

    async def _in_time(self, pieces: AsyncIterator[TrainingPiece]) -> TrainingWish:
        try:
            async with asyncio.timeout(self._rules.longest_s):
                return await self._whole(pieces)
        except TimeoutError as error:
            raise DeadlineExceeded(
                f"The training set has not come within {self._rules.longest_s:g} s.", reason="TRAINING_UPLOAD_TIME"
            ) from error

    async def _whole(self, pieces: AsyncIterator[TrainingPiece]) -> TrainingWish:
        first = await anext(pieces, None)
        if first is None or first.wish is None:
            raise InvalidArgument("Expected a first piece that says what is wanted.", field="job")
        features, labels = bytearray(first.features_f64le), bytearray(first.labels_f64le)
        async for each in pieces:
            features += each.features_f64le
            labels += each.labels_f64le
            self._check_size(len(features) + len(labels))
        if len(labels) % _NUMBER_BYTES:
            raise InvalidArgument(f"Expected labels of 8 bytes, was {len(labels)} bytes.", field="labels_f64le")
        return first.wish._replace(features_f64le=features, labels=np.frombuffer(labels, "<f8"))

    def _check_size(self, size: int) -> None:
        if size > self._rules.bytes_max:
            raise BadTrainingSet(
                f"Expected at most {self._rules.bytes_max} bytes of features and labels.",
                reason="TRAINING_SET_TOO_LARGE",
                field="features",
                bytes_max=self._rules.bytes_max,
            )

    async def _read_on(self, pieces: AsyncIterator[TrainingPiece]) -> None:
        left = self._rules.bytes_max
        async for each in pieces:
            left -= len(each.features_f64le) + len(each.labels_f64le)
            if left < 0:
                break
