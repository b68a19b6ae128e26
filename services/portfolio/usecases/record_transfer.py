"""Books cash that was paid in or out, once, and tells it apart from what was earned."""

import re

from services.portfolio.domain.account import balances_of
from services.portfolio.domain.bookings import Recorded, TransferRequest
from services.portfolio.domain.entries import Transfer
from services.portfolio.ports import Book
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT
from services.portfolio.usecases.record_curve import RecordCurve
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.ids import hashed_id
from trading.money import Money

_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_CURRENCY = re.compile(r"[A-Z0-9]{2,10}")
_LONGEST_NOTE = 500


class RecordTransfer:
    """The same transfer twice is booked once. It counts from the moment it is booked."""

    def __init__(self, book: Book, know: KnowAccounts, curve: RecordCurve, clock: Clock) -> None:
        self._book = book
        self._know = know
        self._curve = curve
        self._clock = clock

    async def __call__(self, request: TransferRequest) -> Recorded:
        """Book it.

        Raises InvalidArgument, NotFound for an account that nobody knows, IdempotencyConflict when the id came
        before with another content, Unavailable.
        """
        _check(request)
        terms = await self._know.one(request.account or DEFAULT_ACCOUNT)
        await self._curve.note(terms)
        is_new = await self._book.transfer(self._transfer(terms.id, request))
        if is_new:
            await self._curve.note(terms)
        balances = balances_of(terms, (await self._book.read(terms.id)).cash)
        currency = request.amount.currency
        return Recorded(not is_new, Money(currency, balances.get(currency, 0)))

    def _transfer(self, account: str, request: TransferRequest) -> Transfer:
        now_ns = self._clock.now_ns()
        amount = request.amount
        return Transfer(
            hashed_id("transfer", account, request.transfer_id),
            account,
            request.transfer_id,
            amount.currency,
            amount.nanos,
            request.note,
            request.time_ns or now_ns,
            now_ns,
            hashed_id(amount.currency, amount.nanos, request.note, request.time_ns),
        )


def _check(request: TransferRequest) -> None:
    check_id(request.transfer_id, "transfer_id")
    check_currency(request.amount.currency, "amount.currency")
    if not request.amount.nanos:
        raise InvalidArgument("Expected an amount that is not zero.", field="amount")
    if len(request.note) > _LONGEST_NOTE:
        raise InvalidArgument(f"Expected a note of at most {_LONGEST_NOTE} characters.", field="note")
    if request.time_ns < 0:
        raise InvalidArgument("Expected a time after 1970.", field="time_ns", value=request.time_ns)


def check_id(text: str, field: str) -> None:
    """Raise InvalidArgument unless it is 1-64 characters of `[A-Za-z0-9._:-]`."""
    if not _ID.fullmatch(text):
        raise InvalidArgument("Expected 1-64 characters of [A-Za-z0-9._:-].", field=field, value=text[:64])


def check_currency(text: str, field: str) -> None:
    """Raise InvalidArgument unless it is a code such as USD or BTC."""
    if not _CURRENCY.fullmatch(text):
        raise InvalidArgument("Expected a currency such as USD: 2-10 capitals.", field=field, value=text[:64])
