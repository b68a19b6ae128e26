"""Alpaca's account activities as charges: everything that moves cash, or coins as a fee, and is no trade."""

from datetime import UTC, datetime
from typing import Any

from services.execution.adapters.alpaca_orders import parse_time
from services.execution.domain.charge import ChargeKind, VenueCharge
from trading.clock import SECOND_NS
from trading.errors import InvalidArgument
from trading.ids import VenueOrderId
from trading.money import parse_nanos

_COIN_FEE = "CFEE"
KINDS = {
    "FEE": ChargeKind.FEE,
    _COIN_FEE: ChargeKind.FEE,
    "PTC": ChargeKind.FEE,
    "PTR": ChargeKind.FEE,
    "INT": ChargeKind.INTEREST,
    "INTNRA": ChargeKind.INTEREST,
    "INTTW": ChargeKind.INTEREST,
    "DIV": ChargeKind.DIVIDEND,
    "DIVCGL": ChargeKind.DIVIDEND,
    "DIVCGS": ChargeKind.DIVIDEND,
    "DIVFEE": ChargeKind.DIVIDEND,
    "DIVFT": ChargeKind.DIVIDEND,
    "DIVNRA": ChargeKind.DIVIDEND,
    "DIVROC": ChargeKind.DIVIDEND,
    "DIVTW": ChargeKind.DIVIDEND,
    "DIVTXEX": ChargeKind.DIVIDEND,
    "CSD": ChargeKind.TRANSFER,
    "CSW": ChargeKind.TRANSFER,
    "JNLC": ChargeKind.TRANSFER,
    "ACATC": ChargeKind.TRANSFER,
}
"""What each type of activity is; Alpaca charges what is borrowed as FEE or INT."""
_CANCELED = "canceled"


def charge_of(activity: dict[str, Any]) -> VenueCharge | None:
    """An activity as a charge, None when it moves nothing; raises InvalidArgument for what is no activity.

    Only under CFEE is `qty` what was taken: a dividend's is what it was paid for.
    """
    try:
        if activity.get("status") == _CANCELED:
            return None
        kind = activity["activity_type"]
        charge = VenueCharge(
            venue_id=activity["id"],
            kind=KINDS[kind],
            currency=activity.get("currency") or "USD",
            amount_nanos=-parse_nanos(activity.get("net_amount") or "0"),
            event_time_ns=_time_of(activity),
            symbol=activity.get("symbol") or "",
            quantity_nanos=-parse_nanos(activity.get("qty") or "0") if kind == _COIN_FEE else 0,
            venue_order_id=VenueOrderId(activity["order_id"]) if activity.get("order_id") else None,
        )
    except (KeyError, TypeError, ValueError, InvalidArgument) as error:
        raise InvalidArgument("Not an activity of Alpaca.", activity=str(activity)[:200]) from error
    return charge if charge.amount_nanos or charge.quantity_nanos else None


def _time_of(activity: dict[str, Any]) -> int:
    """Its time, or the beginning of its day: most are told with their date alone."""
    if activity.get("transaction_time"):
        return parse_time(activity["transaction_time"])
    day = datetime.strptime(activity["date"][: len("2026-02-03")], "%Y-%m-%d").replace(tzinfo=UTC)
    return int(day.timestamp()) * SECOND_NS
