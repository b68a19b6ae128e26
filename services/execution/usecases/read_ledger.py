"""Read everything that moved an account's cash or positions, in the one order in which it is folded."""

from collections import deque
from collections.abc import AsyncIterator, Sequence

from services.execution.domain.charge import LoggedCharge
from services.execution.domain.fill import LoggedFill
from services.execution.ports.charges import ChargeStore
from services.execution.ports.log import OrderStore

_PAGE = 10_000
Entry = LoggedFill | LoggedCharge


async def read_ledger(
    store: OrderStore, charges: ChargeStore, account: str | None = None
) -> AsyncIterator[Sequence[Entry]]:
    """Pages of trades in the order of the log, each charge after the events that were there when it came."""
    waiting = deque(await _every_charge(charges, account))
    after = 0
    while fills := await store.fills(after, _PAGE, account):
        page: list[Entry] = []
        for fill in fills:
            while waiting and waiting[0].log_sequence < fill.log_sequence:
                page.append(waiting.popleft())
            page.append(fill)
        yield page
        after = fills[-1].log_sequence
    yield list(waiting)


async def _every_charge(charges: ChargeStore, account: str | None) -> list[LoggedCharge]:
    found: list[LoggedCharge] = []
    while page := await charges.list(found[-1].sequence if found else 0, _PAGE, account):
        found += page
    return found
