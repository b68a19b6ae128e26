"""Refusals of the optimiser and of risk as problem documents: 422 with the constraint and its numbers."""

import msgspec

from trading.errors import Kind, TradingError


def infeasible(error: TradingError) -> TradingError:
    """A problem without an answer is the caller's to change: 422 with the constraint and its numbers."""
    if error.kind not in {Kind.FAILED_PRECONDITION, Kind.INVALID_ARGUMENT}:
        return error
    facts = dict(error.metadata)
    named = {name: facts.pop(name) for name in ("field", "parameter") if name in facts}
    constraint = facts.pop("constraint", None)
    numbers = _numbers(facts.pop("numbers", None)) or {name: _number(value) for name, value in facts.items()}
    return TradingError(
        Kind.INVALID_ARGUMENT, error.reason, error.message, constraint=constraint, numbers=numbers, **named
    )


def _numbers(packed: object) -> object:
    """Portfolio packs its numbers as JSON into one text of the error's metadata."""
    try:
        return msgspec.json.decode(packed) if isinstance(packed, str) else None
    except msgspec.DecodeError:
        return {"text": packed}


def _number(text: object) -> object:
    try:
        return float(str(text))
    except ValueError:
        return text
