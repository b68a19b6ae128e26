"""Requests that wait for one model, run together: nobody waits for company, but who waits anyway shares a run.

Whoever finds a model free runs it at once. Whatever comes in by the time it is free again, at the earliest in the
event loop's next round, goes into the next run together, at most `chunk_rows` of it. Short runs stay on the event
loop; longer ones have a thread, and a timer that ends them. A big request takes turns with others.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trading.errors import DeadlineExceeded, ResourceExhausted

Samples = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float64]


class QueueRules(NamedTuple):
    """Rows of one run, rows that run on the event loop itself, rows that may wait, and the seconds of a request."""

    chunk_rows: int
    inline_rows: int
    waiting_rows: int
    deadline_s: float


@dataclass(slots=True, eq=False)
class _Request:
    samples: Samples
    answer: "asyncio.Future[Logits]"
    expires: float
    logits: Logits = field(init=False)
    done: int = 0

    def __post_init__(self) -> None:
        self.logits = np.empty(len(self.samples))


class _Part(NamedTuple):
    request: _Request
    start: int
    stop: int


class _Ran(NamedTuple):
    """What a thread has run, and what the model said of it."""

    parts: list[_Part]
    logits: Logits


class RunQueue:
    """The requests of one model; `run` turns samples into logits, `stop` ends a run from another thread."""

    def __init__(
        self, name: str, run: Callable[[Samples], Logits], stop: Callable[[], None], rules: QueueRules
    ) -> None:
        self._run = run
        self._stop = stop
        self._rules = rules
        self._waiting: deque[_Request] = deque()
        self._rows = 0
        self._busy = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"model-{name}")

    async def ask(self, samples: Samples) -> Logits:
        """The logits of some samples; raises DeadlineExceeded, or ResourceExhausted when too many rows wait."""
        if not len(samples):
            return np.empty(0)
        if self._rows + len(samples) > max(self._rules.waiting_rows, len(samples)):
            raise ResourceExhausted(f"{self._rows} rows wait for the model already.", retry_after_s=1)
        loop = asyncio.get_running_loop()
        if not self._busy and len(samples) <= self._rules.inline_rows:
            self._busy = True  # up to the loop's next round: whoever comes in this one shares a run
            loop.call_soon(self._turn, loop)
            return self._checked(samples)
        request = _Request(samples, loop.create_future(), loop.time() + self._rules.deadline_s)
        self._waiting.append(request)
        self._rows += len(samples)
        if not self._busy:
            self._busy = True
            loop.call_soon(self._turn, loop)
        return await request.answer

    def close(self) -> None:
        """Wait for the run in progress and end the thread; what still waits is cancelled."""
        self._closed = True
        self._thread.shutdown()
        for request in self._waiting:
            request.answer.cancel()

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run the next chunk."""
        parts = self._take(loop.time())
        if not parts:
            self._busy = False
            return
        if sum(stop - start for _, start, stop in parts) <= self._rules.inline_rows:
            self._settle(parts, *self._attempt(parts))
            self._go_on(loop)
            return
        self._timer = loop.call_later(self._rules.deadline_s, self._stop)
        running = self._thread.submit(self._run_on, loop, parts)
        running.add_done_callback(lambda ended: _told(loop, self._ended, loop, parts, ended))

    def _run_on(self, loop: asyncio.AbstractEventLoop, parts: list[_Part]) -> _Ran:
        """In the thread: the parts of one run, and further chunks of a request that is alone."""
        found = [self._run_together(parts)]
        request, start, stop = parts[-1]
        while len(parts) == 1 and stop < len(request.samples) and self._may_go_on(request, loop):
            more = min(stop + self._rules.chunk_rows, len(request.samples))
            found.append(self._checked(request.samples[stop:more]))
            stop, parts = more, [_Part(request, start, more)]
        return _Ran(parts, found[0] if len(found) == 1 else np.concatenate(found))

    def _may_go_on(self, request: _Request, loop: asyncio.AbstractEventLoop) -> bool:
        alone = not (self._waiting or self._closed or request.answer.done())
        return alone and loop.time() <= request.expires

    def _ended(self, loop: asyncio.AbstractEventLoop, parts: list[_Part], ended: "Future[_Ran]") -> None:
        if self._timer is not None:
            self._timer.cancel()
        error = ended.exception()
        if error is None:
            parts, logits = ended.result()
            self._settle(parts, logits, None)
        else:
            self._settle(parts, None, error)
        self._go_on(loop)

    def _attempt(self, parts: list[_Part]) -> tuple[Logits | None, Exception | None]:
        try:
            return self._run_together(parts), None
        except Exception as error:  # the requests of this run get it, each as its own
            return None, error

    def _run_together(self, parts: list[_Part]) -> Logits:
        pieces = [request.samples[start:stop] for request, start, stop in parts]
        return self._checked(pieces[0] if len(pieces) == 1 else np.concatenate(pieces))

    def _checked(self, samples: Samples) -> Logits:
        logits = self._run(samples)
        if logits.shape != samples.shape[:1]:
            raise ValueError(f"Expected {len(samples)} logits, was {logits.shape}.")
        return logits

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._waiting:
            loop.call_soon(self._turn, loop)
        else:
            self._busy = False

    def _take(self, now: float) -> list[_Part]:
        """The rows of the next run; a request that does not fit goes on behind the others."""
        parts: list[_Part] = []
        space = self._rules.chunk_rows
        for _ in range(len(self._waiting)):
            request = self._waiting.popleft()
            if request.answer.done():
                self._rows -= len(request.samples) - request.done
            elif now > request.expires:
                self._fail(request, DeadlineExceeded(f"The model took more than {self._rules.deadline_s} s."))
            else:
                stop = min(request.done + space, len(request.samples))
                parts.append(_Part(request, request.done, stop))
                space -= stop - request.done
            if not space:
                break
        return parts

    def _settle(self, parts: list[_Part], logits: Logits | None, error: BaseException | None) -> None:
        position = 0
        for request, start, stop in parts:
            if logits is None:
                self._fail(request, error or RuntimeError("no answer"))
                continue
            request.logits[start:stop] = logits[position : position + stop - start]
            position += stop - start
            self._advance(request, stop)

    def _advance(self, request: _Request, stop: int) -> None:
        self._rows -= stop - request.done
        request.done = stop
        if stop < len(request.samples):
            self._waiting.append(request)
        elif not request.answer.done():
            request.answer.set_result(request.logits)

    def _fail(self, request: _Request, error: BaseException) -> None:
        self._rows -= len(request.samples) - request.done
        if not request.answer.done():
            request.answer.set_exception(error)


def _told(loop: asyncio.AbstractEventLoop, tell: Callable[..., None], *facts: object) -> None:
    """Tell the loop, unless it has ended: then nobody waits any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(tell, *facts)
