"""Books positions that were acquired elsewhere, all of an import or none, once."""

from collections.abc import Sequence
from typing import NamedTuple

from services.portfolio.domain.account import AccountTerms
from services.portfolio.domain.bookings import Bought, ImportRequest
from services.portfolio.domain.entries import Acquisition
from services.portfolio.domain.rates import Rates
from services.portfolio.ports import Import, MarketData
from services.portfolio.usecases.apply_fills import ApplyFills
from services.portfolio.usecases.know_accounts import KnowAccounts
from services.portfolio.usecases.price_positions import PricePositions
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT, Holdings, ReadBook
from services.portfolio.usecases.record_curve import RecordCurve
from services.portfolio.usecases.record_transfer import check_currency, check_id
from trading.clock import Clock
from trading.errors import InvalidArgument
from trading.ids import hashed_id
from trading.instruments import Instruments
from trading.money import notional_nanos


class Imported(NamedTuple):
    """How it stands: booked before or now, and the account's positions after it."""

    repeated: bool
    holdings: Holdings


class ImportPositions:
    """Each line is folded as a trade at its mean price, behind everything that the book holds already."""

    def __init__(
        self,
        apply: ApplyFills,
        know: KnowAccounts,
        market_data: MarketData,
        price: PricePositions,
        curve: RecordCurve,
        read: ReadBook,
        rates: Rates,
        clock: Clock,
        *,
        most: int,
    ) -> None:
        self._apply = apply
        self._know = know
        self._market_data = market_data
        self._price = price
        self._curve = curve
        self._read = read
        self._rates = rates
        self._clock = clock
        self._most = most

    async def __call__(self, request: ImportRequest) -> Imported:
        """Book them.

        Raises InvalidArgument, NotFound for an account that nobody knows, IdempotencyConflict when
        the id came before with another content, Unavailable; then nothing was booked.
        """
        check_id(request.import_id, "import_id")
        if not 0 < len(request.positions) <= self._most:
            count = len(request.positions)
            raise InvalidArgument(f"Expected 1 to {self._most} positions.", field="positions", value=count)
        terms = await self._know.one(request.account or DEFAULT_ACCOUNT)
        lines = _listed(request.positions, await self._market_data.instruments())
        await self._price.symbols({line.symbol for line in lines})
        await self._curve.note(terms)
        is_new = await self._apply.acquire(self._import(terms, request, lines))
        if is_new:
            await self._curve.note(terms)
        return Imported(not is_new, await self._read.positions(terms.id))

    def _import(self, terms: AccountTerms, request: ImportRequest, lines: Sequence[Bought]) -> Import:
        now_ns = self._clock.now_ns()
        entries = tuple(self._entry(terms.id, request, line, now_ns) for line in lines)
        fingerprint = hashed_id(request.takes_cash, *(value for line in sorted(lines) for value in line))
        return Import(terms.id, request.import_id, fingerprint, now_ns, entries)

    def _entry(self, account: str, request: ImportRequest, line: Bought, now_ns: int) -> Acquisition:
        """What is brought in counts as paid in at the newest price; without one at what it cost."""
        price = self._rates.marks.get(line.symbol) or line.price_nanos
        return Acquisition(
            hashed_id("acquisition", account, request.import_id, line.symbol, line.currency),
            account,
            request.import_id,
            line.symbol,
            line.currency,
            line.quantity_nanos,
            line.price_nanos,
            request.takes_cash,
            0 if request.takes_cash else notional_nanos(price, line.quantity_nanos),
            now_ns,
            0,
            0,
        )


def _listed(positions: Sequence[Bought], instruments: Instruments) -> list[Bought]:
    """Positions by their canonical symbols and currencies, each once."""
    lines: dict[tuple[str, str], Bought] = {}
    for number, given in enumerate(positions):
        line = _line(given, instruments, f"positions.{number}")
        if (line.symbol, line.currency) in lines:
            raise InvalidArgument(
                f"Expected {line.symbol} in {line.currency} once.",
                field=f"positions.{number}.symbol",
                value=given.symbol,
            )
        lines[line.symbol, line.currency] = line
    return list(lines.values())


def _line(given: Bought, instruments: Instruments, field: str) -> Bought:
    instrument = instruments.get(given.symbol)
    if not given.quantity_nanos:
        raise InvalidArgument("Expected a quantity that is not zero.", field=f"{field}.quantity")
    if given.price_nanos < 0:
        raise InvalidArgument("Expected a mean price of at least zero.", field=f"{field}.avg_price")
    currency = given.currency or instrument.currency
    check_currency(currency, f"{field}.currency")
    return given._replace(symbol=instrument.symbol, currency=currency)
