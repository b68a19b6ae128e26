"""Writes docs/order-lifecycle.md from the one transition table: `make lifecycle`."""

from collections import defaultdict
from itertools import product
from pathlib import Path

from services.execution.domain.lifecycle import FOLLOWERS, RESTORERS, next_status
from trading.errors import InvalidStateTransition
from trading.order import OrderEventKind, OrderStatus

PAGE = Path(__file__).resolve().parents[2] / "docs" / "order-lifecycle.md"
_TEXT = """\
# The life of an order

Made from `services/execution/domain/lifecycle.py` by `make lifecycle`; do not edit. A test proves that this page is
current, and another compares the table with a second statement of it, written by hand.

An order is the fold of its events. Whatever the table below does not allow raises `InvalidStateTransition` and changes
nothing.

- **UNRESOLVED** is the honest answer to a submit whose outcome nobody knows: a timeout, a lost connection, a 5xx. Its
  headroom stays reserved, it is never sent again, and the service asks the venue for our id until it knows.
- **CANCELED** and **EXPIRED** are closed, yet a fill may overtake the news of the end: one that leaves something open
  is counted and leaves the state standing.
- {restorers} give back the status that the pending state interrupted, written ↩. A change that leaves nothing to
  trade, because more has traded meanwhile than it asks for, fills the order.
- An order of another program is adopted: from INITIALIZED straight to what the venue says of it.

## Diagram

States with a bold frame are closed. An arrow without a name is the event of its target's name. FILL leads to
PARTIALLY_FILLED or, when nothing is left, to FILLED.

```mermaid
stateDiagram-v2
{diagram}
```

## Table

{states} states by {events} events: the status after each event, `·` where the event is refused. Of two names the first
is for a fill that leaves something, the second for one that leaves nothing.

{table}
"""
_BEFORE = OrderStatus.INITIALIZED
"""Stands in for the status that a pending state interrupted: no event that restores leads there by itself."""


def page() -> str:
    """The whole page."""
    return _TEXT.format(
        restorers=_sentence([f"`{kind}`" for kind in RESTORERS]),
        diagram="\n".join(_diagram()),
        table="\n".join(_table()),
        states=len(OrderStatus),
        events=len(OrderEventKind),
    )


def _sentence(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _table() -> list[str]:
    """One row for each event, one column for each state."""
    rows = [["event \\ state", *(f"{status}" for status in OrderStatus)], ["---"] * (len(OrderStatus) + 1)]
    rows += [[f"**{kind}**", *(_cell(status, kind) for status in OrderStatus)] for kind in OrderEventKind]
    return [f"| {' | '.join(row)} |" for row in rows]


def _cell(status: OrderStatus, kind: OrderEventKind) -> str:
    partly, wholly = _after(status, kind, whole=False), _after(status, kind, whole=True)
    if partly == wholly:
        return partly
    return f"{partly}, {wholly}"


def _after(status: OrderStatus, kind: OrderEventKind, *, whole: bool) -> str:
    try:
        after = next_status(status, kind, before=_BEFORE, whole=whole)
    except InvalidStateTransition:
        return "·"
    return "↩" if kind in RESTORERS and after is _BEFORE else after


def _diagram() -> list[str]:
    """The steps between states, those of one pair on one arrow."""
    arrows: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for status, kind in product(OrderStatus, OrderEventKind):
        for after in dict.fromkeys(_after(status, kind, whole=whole) for whole in (False, True)):
            if after not in ("·", "↩") and kind not in arrows[status, after]:
                arrows[status, after].append(kind)
    steps = [_arrow(*ends, kinds) for ends, kinds in arrows.items()]
    back = [f"    {pending} --> {pending}: ↩ {kind}" for kind, pending in RESTORERS.items()]
    closed = [status for status in OrderStatus if status.is_closed]
    ends = [f"    {status} --> [*]" for status in closed if not FOLLOWERS[status]]
    bold = ["    classDef closed stroke-width:3px", f"    class {','.join(closed)} closed"]
    return ["    [*] --> INITIALIZED", *steps, *back, *ends, *bold]


def _arrow(source: str, target: str, kinds: list[str]) -> str:
    named = f": {', '.join(kinds)}" if kinds != [target] else ""
    return f"    {source} --> {target}{named}"


if __name__ == "__main__":
    PAGE.write_text(page())
