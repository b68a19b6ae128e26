"""Quotes that come alone, sent on where the socket is read: the reader that waits would wake up a turn later."""

from collections.abc import Callable, Sequence
from typing import Any

from services.market_data.adapters.tick_columns import TickColumns
from services.market_data.adapters.venue_socket import TAKEN, Frame, UnreadableFrame
from services.market_data.ports import PublishAtOnce
from trading.clock import Clock

_FRAME_MOST = 512
"""Length of a frame beyond which it is no single quote."""


class LoneQuotes:
    """Takes a frame that holds one usual quote and nothing else, and leaves every other one to the reader.

    `message_in` gives the only message of a frame, or None; it may raise UnreadableFrame.
    """

    def __init__(
        self, columns: TickColumns, clock: Clock, message_in: Callable[[Frame], Any], publish: PublishAtOnce
    ) -> None:
        self._columns, self._clock, self._message_in, self._publish = columns, clock, message_in, publish

    def __call__(self, frame: Frame) -> Frame:
        """What is left of a frame for the reader: TAKEN, or all of it."""
        if len(frame) > _FRAME_MOST:
            return frame
        received_ns = self._clock.now_ns()
        try:
            message = self._message_in(frame)
        except UnreadableFrame:
            return frame
        block = self._columns.alone(message, received_ns)
        if block is None or (first_sequence := self._publish(block)) is None:
            return frame
        self._columns.carry(block, first_sequence)
        return TAKEN


def only_message(decode: Callable[[Frame], tuple[Sequence[Any], int]]) -> Callable[[Frame], Any]:
    """What gives the message of a frame that holds one, from what gives all of them and how many were refused."""

    def message_in(frame: Frame) -> Any:
        messages, refused = decode(frame)
        return messages[0] if len(messages) == 1 and not refused else None

    return message_in
