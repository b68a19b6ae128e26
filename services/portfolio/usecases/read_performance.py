"""Answers how an account has done: its equity curve and the statistics of it."""

from services.portfolio.domain.bookings import Answer, Question
from services.portfolio.domain.performance import performance_of, thinned
from services.portfolio.ports import Curves, Offload
from services.portfolio.usecases.catch_up import Freshen
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT
from services.portfolio.usecases.record_curve import RecordCurve
from trading.clock import Clock
from trading.errors import InvalidArgument

USUAL_POINTS, MOST_POINTS = 1_000, 10_000


class ReadPerformance:
    """The curve as it was kept, and up to this moment."""

    def __init__(
        self,
        curves: Curves,
        record: RecordCurve,
        freshen: Freshen,
        know: KnowAccounts,
        offload: Offload,
        clock: Clock,
    ) -> None:
        self._curves = curves
        self._record = record
        self._freshen = freshen
        self._know = know
        self._offload = offload
        self._clock = clock

    async def __call__(self, question: Question) -> Answer:
        """Raises InvalidArgument, NotFound for an account that nobody knows, Unavailable."""
        now_ns = self._clock.now_ns()
        end_ns = min(question.end_time_ns or now_ns, now_ns)
        _check(question, end_ns)
        await self._freshen.quietly()
        terms = await self._know.one(question.account or DEFAULT_ACCOUNT)
        points = list(await self._curves.between(terms.id, question.start_time_ns, end_ns))
        if end_ns == now_ns:
            points.append(await self._record.now(terms))
        if not points:
            points.append((await self._record.now(terms))._replace(time_ns=end_ns))
        performance = await self._offload(performance_of, points, end_ns)
        curve = thinned(points, question.points or USUAL_POINTS)
        return Answer(terms.id, terms.currency, tuple(curve), performance)


def _check(question: Question, end_ns: int) -> None:
    if question.points and not 2 <= question.points <= MOST_POINTS:
        raise InvalidArgument(f"Expected 2 to {MOST_POINTS} points.", field="points", value=question.points)
    if question.start_time_ns < 0 or question.end_time_ns < 0:
        raise InvalidArgument("Expected times after 1970.", field="start_time_ns")
    if question.start_time_ns >= end_ns:
        raise InvalidArgument(
            "Expected a start before the end, and before now.", field="start_time_ns", value=question.start_time_ns
        )
