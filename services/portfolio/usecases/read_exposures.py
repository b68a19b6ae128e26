"""Reads what positions are worth: those that were given, or an account's own."""

from services.portfolio.domain.risk_inputs import Exposures, Subject, exposures_of
from services.portfolio.usecases.read_book import DEFAULT_ACCOUNT, ReadBook


class ReadExposures:
    """Answers with symbols and their values in money."""

    def __init__(self, read: ReadBook) -> None:
        self._read = read

    async def __call__(self, subject: Subject) -> Exposures:
        """The given positions, else the account's at the newest marks; `main` where none is named.

        Raises Refusal or InvalidArgument for wrong positions, NotFound for an unknown account, FailedPrecondition
        NOTHING_HELD or MIXED_CURRENCIES.
        """
        given = subject.given()
        if given is not None:
            return given
        account = subject.account or DEFAULT_ACCOUNT
        return exposures_of((await self._read.positions(account)).positions, account)
