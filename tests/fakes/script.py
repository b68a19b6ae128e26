"""What a fake of the fleet is told to refuse, and what it has heard."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Script:
    """What the fakes were asked, and what they refuse."""

    calls: list[Any] = field(default_factory=list)
    refusals: dict[type, Exception] = field(default_factory=dict)

    def hear(self, request: Any) -> None:
        """Note a request; raise what the test has set for its kind."""
        self.calls.append(request)
        refusal = self.refusals.get(type(request))
        if refusal is not None:
            raise refusal

    def heard(self, kind: type) -> list[Any]:
        """Every request of one kind, oldest first."""
        return [call for call in self.calls if isinstance(call, kind)]
