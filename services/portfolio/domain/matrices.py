"""What numbers must be like before anything is computed from them; every refusal says which and where."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from trading.errors import InvalidArgument

Floats = npt.NDArray[np.float64]
_SYMMETRY = 1e-9
"""Largest difference of mirrored entries, beside the largest entry."""
_BLOCK = 256
_FLOAT = np.dtype("<f8")


class Refusal(InvalidArgument):
    """A question that has no answer: its code, the constraint behind it and the numbers that prove it."""

    def __init__(self, code: str, message: str, constraint: str, numbers: Mapping[str, object]) -> None:
        super().__init__(message, reason=code, constraint=constraint, numbers=json.dumps(numbers))
        self.constraint = constraint
        self.numbers = dict(numbers)


def require_unique(symbols: Sequence[str]) -> None:
    """At least one symbol, and none twice."""
    if not symbols:
        raise Refusal("SHAPE_MISMATCH", "Expected at least one symbol.", "symbols", {"expected": 1, "was": 0})
    if len(set(symbols)) == len(symbols):
        return
    repeated = sorted(symbol for symbol, times in Counter(symbols).items() if times > 1)
    message = f"Symbols appear twice: {', '.join(repeated[:5])}."
    raise Refusal("DUPLICATE_SYMBOL", message, "symbols", {"symbols": repeated})


def require_length(name: str, values: Floats, expected: int) -> None:
    """One value for each of `expected`."""
    if values.shape != (expected,):
        numbers = {"expected": expected, "was": int(values.size)}
        raise Refusal("SHAPE_MISMATCH", f"Expected {expected} {name}, was {values.size}.", name, numbers)


def require_square(name: str, values: Floats, expected: int) -> None:
    """A matrix of N×N."""
    if values.shape != (expected, expected):
        shape = "×".join(map(str, values.shape))
        numbers = {"expected": [expected, expected], "was": list(values.shape)}
        raise Refusal("SHAPE_MISMATCH", f"Expected {expected}×{expected} {name}, was {shape}.", name, numbers)


def require_observations(returns: Floats, symbols: int) -> None:
    """A matrix of T×N with T ≥ 2."""
    if returns.ndim != 2 or returns.shape[1] != symbols or returns.shape[0] < 2:
        shape = "×".join(map(str, returns.shape))
        numbers = {"expected_columns": symbols, "expected_rows_min": 2, "was": list(returns.shape)}
        raise Refusal("SHAPE_MISMATCH", f"Expected T×{symbols} returns, T ≥ 2, was {shape}.", "returns", numbers)


def require_finite(name: str, values: Floats) -> None:
    """No NaN and no infinity."""
    with np.errstate(all="ignore"):
        total = values.sum()  # finite only if every value is, and had without a matrix of flags
    if np.isfinite(total) or np.isfinite(values).all():
        return
    where = [int(index) for index in np.argwhere(~np.isfinite(values))[0]]
    bad = int(np.count_nonzero(~np.isfinite(values)))
    numbers = {"first_at": where, "count": bad, "value": str(values[tuple(where)])}
    raise Refusal("NOT_FINITE", f"{name} has {bad} values that are not finite.", name, numbers)


def symmetric(symbols: Sequence[str], covariance: Floats) -> Floats:
    """The matrix itself, or the mean of its mirrored entries where they differ by no more than rounding."""
    worst, at = _asymmetry(covariance)
    if worst == 0.0:
        return covariance
    if worst <= _SYMMETRY * float(np.abs(covariance).max()):
        mean: Floats = (covariance + covariance.T) / 2
        return mean
    row, column = at
    numbers = {
        "symbols": [symbols[row], symbols[column]],
        "upper": float(covariance[row, column]),
        "lower": float(covariance[column, row]),
    }
    raise Refusal("NOT_SYMMETRIC", "The covariance is not symmetric.", "covariance", numbers)


def _is_mirrored(matrix: Floats) -> bool:
    """Every entry equals its mirrored one; in blocks that fit the cache, since a transposed walk is slow."""
    for start in range(0, len(matrix), _BLOCK):
        for other in range(start, len(matrix), _BLOCK):
            rows, columns = slice(start, start + _BLOCK), slice(other, other + _BLOCK)
            if not np.array_equal(matrix[rows, columns], matrix[columns, rows].T):
                return False
    return True


def _asymmetry(matrix: Floats) -> tuple[float, tuple[int, int]]:
    """Largest |aᵢⱼ − aⱼᵢ| and where."""
    if _is_mirrored(matrix):
        return 0.0, (0, 0)
    worst, at = 0.0, (0, 0)
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, start + _BLOCK)
        difference = np.abs(matrix[rows, start:] - matrix[start:, rows].T)
        index = np.unravel_index(int(difference.argmax()), difference.shape)
        if difference[index] > worst:
            worst, at = float(difference[index]), (start + int(index[0]), start + int(index[1]))
    return worst, at


def matrix_of(name: str, data: bytes, columns: int) -> Floats:
    """Rows of `columns` little-endian float64; a copy only where the machine is not little-endian."""
    row_bytes = columns * _FLOAT.itemsize
    if not row_bytes or not data or len(data) % row_bytes:
        numbers = {"bytes": len(data), "bytes_per_row": row_bytes}
        raise Refusal("SHAPE_MISMATCH", f"Expected {name} of whole rows of {columns} float64.", name, numbers)
    return np.frombuffer(data, _FLOAT).astype(np.float64, copy=False).reshape(-1, columns)


def vector_of(name: str, data: bytes) -> Floats | None:
    """Little-endian float64, or None for no bytes."""
    return matrix_of(name, data, 1).ravel() if data else None
