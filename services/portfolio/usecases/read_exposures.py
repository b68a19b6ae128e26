"""Reads what positions are worth: those that were given, or an account's own."""

from services.portfolio.domain.rates import Rates
from services.portfolio.domain.risk_inputs import Exposures, Subject, exposures_of, only_currency
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT, ReadBook


class ReadExposures:
    """Answers with symbols and their values in one currency."""

    def __init__(self, read: ReadBook, rates: Rates) -> None:
        self._read = read
        self._rates = rates

    async def __call__(self, subject: Subject) -> Exposures:
        """The given positions, else the account's at the newest marks; `main` where none is named.

        An account that holds several currencies is told in its own. Raises Refusal or InvalidArgument for wrong
        positions, NotFound for an unknown account, FailedPrecondition NOTHING_HELD or NO_RATE.
        """
        given = subject.given()
        if given is not None:
            return given
        account = subject.account or DEFAULT_ACCOUNT
        positions = (await self._read.positions(account)).positions
        currency = only_currency(positions) or (await self._read.account(account)).terms.currency
        return exposures_of(positions, account, currency, self._rates)
