"""Rows of the book's tables: plain tuples in the order of the columns named here, as both drivers take them."""

from typing import Any, NamedTuple

from sqlalchemy import Boolean, Table, Text

from services.portfolio.adapters import tables
from services.portfolio.adapters.tables import ExactInt
from services.portfolio.domain.account import BookTotals, PositionChange
from services.portfolio.domain.entries import Acquisition, CashKey, Charge, Entry, Fill, Transfer
from services.portfolio.domain.ledger import Cash, Position
from services.portfolio.ports import PendingChange
from trading.order import Side

Row = tuple[Any, ...]


class Shape(NamedTuple):
    """A table as the statements need it: names, the array type of each column in Postgres, and its key."""

    name: str
    columns: tuple[str, ...]
    arrays: tuple[str, ...]
    key: tuple[str, ...]


def shape_of(table: Table, *without: str) -> Shape:
    """The shape of a table, but for some columns that the database fills in."""
    columns = [column for column in table.c if column.name not in without]
    return Shape(
        table.name,
        tuple(column.name for column in columns),
        tuple(_array(column.type) for column in columns),
        tuple(column.name for column in table.primary_key),
    )


def _array(type_: object) -> str:
    if isinstance(type_, Boolean):
        return "boolean[]"
    return "text[]" if isinstance(type_, Text | ExactInt) else "bigint[]"


FILLS = shape_of(tables.fills)
CHARGES = shape_of(tables.charges)
TRANSFERS = shape_of(tables.transfers)
IMPORTS = shape_of(tables.imports)
ACQUISITIONS = shape_of(tables.acquisitions)
POSITIONS = shape_of(tables.positions)
CASH = shape_of(tables.cash_flows)
BOOKS = shape_of(tables.books)
SCANS = shape_of(tables.scans)
OUTBOX = shape_of(tables.outbox, "place")


def entry_row(entry: Entry) -> Row:
    """An entry in its inbox; its fields are the columns."""
    match entry:
        case Fill():
            return (*entry[:4], entry.side.value, *entry[5:])
        case Charge():
            return entry
        case Transfer():
            return (*entry[:4], str(entry.amount_nanos), *entry[5:])
        case Acquisition():
            return (*entry[:8], str(entry.value_nanos), *entry[9:])


def fill_of(row: Row) -> Fill:
    return Fill._make((*row[:4], Side(row[4]), *row[5:]))


def charge_of(row: Row) -> Charge:
    return Charge(*row)


def transfer_of(row: Row) -> Transfer:
    return Transfer._make((*row[:4], int(row[4]), *row[5:]))


def acquisition_of(row: Row) -> Acquisition:
    return Acquisition._make((*row[:7], bool(row[7]), int(row[8]), *row[9:]))


def position_row(position: Position) -> Row:
    return (*position[:3], *map(str, position[3:7]), *position[7:])


def position_of(row: Row) -> Position:
    return Position._make((*row[:3], *map(int, row[3:7]), *row[7:]))


def cash_row(key: CashKey, cash: Cash) -> Row:
    return (*key, *map(str, cash))


def cash_of(row: Row) -> tuple[CashKey, Cash]:
    return CashKey(*row[:2]), Cash(*map(int, row[2:]))


def totals_of(row: Row) -> BookTotals:
    return BookTotals(*row)


def change_row(change: PositionChange) -> Row:
    return (
        *position_row(change.position),
        change.event_id,
        change.account_sequence,
        str(change.flow_nanos),
    )


def pending_of(row: Row) -> PendingChange:
    """A row of the outbox, its place first."""
    end = 1 + len(POSITIONS.columns)
    event_id, account_sequence, flow = row[end:]
    return PendingChange(row[0], PositionChange(position_of(row[1:end]), event_id, account_sequence, int(flow)))
