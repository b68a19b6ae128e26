"""How often each version of a model was asked for tensors, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class InferCount:
    """Requests of one version; times in ns, but the last answer's in ms since 1970, as the protocol has it."""

    name: str
    version: str
    rows: int = 0
    answered: int = 0
    answered_ns: int = 0
    failed: int = 0
    failed_ns: int = 0
    model_ns: int = 0
    last_ms: int = 0


class InferCounts:
    """A count for each version that was ever asked; there are no more of them than the registry has versions."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], InferCount] = {}

    def of(self, name: str, version: str) -> InferCount:
        """The count of one version, zeros before its first request."""
        found = self._counts.get((name, version))
        if found is None:
            found = self._counts[name, version] = InferCount(name, version)
        return found

    def all(self) -> Sequence[InferCount]:
        """Every count, by name and version."""
        return [self._counts[key] for key in sorted(self._counts)]
