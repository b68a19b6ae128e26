"""The named errors of the house, free of any wire; `fleet.rpc_errors` gives them their wire form.

TradingError
├── InvalidArgument          a value that can never be right
│   └── AmountOutOfRange     an amount outside the int64 nanos range, or finer than a nano
├── Unauthenticated          no key, or a wrong one
├── PermissionDenied         a key that may not do this
├── NotFound
│   ├── UnknownSymbol
│   ├── UnknownOrder
│   └── UnknownModel
├── AlreadyExists            the name is taken
│   └── IdempotencyConflict  the same id came before with another body
├── FailedPrecondition       right words at the wrong moment
│   └── InvalidStateTransition
├── ResourceExhausted        a limit was reached; `retry_after_s` says when to come back
├── Unavailable              a part of the fleet, or the venue, cannot answer now
└── DeadlineExceeded
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What a caller can do about an error; the values are the gRPC code names."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    ABORTED = "ABORTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    CANCELED = "CANCELED"
    INTERNAL = "INTERNAL"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


class TradingError(Exception):
    """An error with a kind for the caller, a stable reason for the machine and a message for the reader."""

    def __init__(self, kind: Kind, reason: str, message: str, /, **metadata: object) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.metadata = metadata

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the way back from a worker process."""
        return named, (self.kind, self.reason, self.message, self.metadata)


class _OfKind(TradingError):
    """A TradingError whose class fixes its kind and its usual reason."""

    KIND: Kind
    REASON: str

    def __init__(self, message: str, /, *, reason: str | None = None, **metadata: object) -> None:
        super().__init__(self.KIND, reason or self.REASON, message, **metadata)


class InvalidArgument(_OfKind):
    """A value that can never be right; `field` in the metadata points at it."""

    KIND, REASON = Kind.INVALID_ARGUMENT, "INVALID_ARGUMENT"


class AmountOutOfRange(InvalidArgument):
    """An amount that does not fit int64 nanos, or has more than nine decimals."""

    REASON = "AMOUNT_OUT_OF_RANGE"


class Unauthenticated(_OfKind):
    """No key, or a key that is wrong."""

    KIND, REASON = Kind.UNAUTHENTICATED, "UNAUTHENTICATED"


class PermissionDenied(_OfKind):
    """A key that may not do this."""

    KIND, REASON = Kind.PERMISSION_DENIED, "PERMISSION_DENIED"


class NotFound(_OfKind):
    """The thing that was named does not exist."""

    KIND, REASON = Kind.NOT_FOUND, "NOT_FOUND"


class UnknownSymbol(NotFound):
    """No instrument carries this symbol."""

    REASON = "UNKNOWN_SYMBOL"


class UnknownOrder(NotFound):
    """No order carries this id."""

    REASON = "UNKNOWN_ORDER"


class UnknownModel(NotFound):
    """No model in the registry carries this name."""

    REASON = "UNKNOWN_MODEL"


class AlreadyExists(_OfKind):
    """The name is taken."""

    KIND, REASON = Kind.ALREADY_EXISTS, "ALREADY_EXISTS"


class IdempotencyConflict(AlreadyExists):
    """The same idempotency key came before with another body."""

    REASON = "IDEMPOTENCY_CONFLICT"


class FailedPrecondition(_OfKind):
    """A request that is right in itself, at a moment when it cannot be served."""

    KIND, REASON = Kind.FAILED_PRECONDITION, "FAILED_PRECONDITION"


class InvalidStateTransition(FailedPrecondition):
    """The order's state does not allow this event."""

    REASON = "INVALID_STATE_TRANSITION"


class ResourceExhausted(_OfKind):
    """A stated limit was reached; `retry_after_s` in the metadata says when to come back."""

    KIND, REASON = Kind.RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED"


class Unavailable(_OfKind):
    """A part of the fleet or the venue cannot answer now; trying again may help."""

    KIND, REASON = Kind.UNAVAILABLE, "UNAVAILABLE"


class DeadlineExceeded(_OfKind):
    """The caller's deadline passed before there was an answer."""

    KIND, REASON = Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED"


def named(kind: Kind, reason: str, message: str, metadata: Mapping[str, object]) -> TradingError:
    """The error of the narrowest class that fits: by its reason, else by its kind, else a plain TradingError."""
    same_kind = [found for found in _classes(_OfKind) if found.KIND is kind]
    fitting = [found for found in same_kind if reason == found.REASON] or same_kind[:1]
    error = fitting[0](message, reason=reason) if fitting else TradingError(kind, reason, message)
    error.metadata = dict(metadata)  # set, not passed: a foreign key may be called like an argument
    return error


def _classes(above: type[_OfKind]) -> Iterator[type[_OfKind]]:
    """Every class of this module below `above`, parents before their children."""
    for found in above.__subclasses__():
        if found.__module__ == __name__:
            yield found
            yield from _classes(found)
