"""How long to wait before the next try: almost nothing first, then longer and longer, never in step."""

from dataclasses import dataclass


@dataclass(slots=True)
class BackOff:
    """Waits in seconds: the first within `first_s`, later ones doubling from `base_s` to `cap_s`, half of it jitter."""

    first_s: float = 0.25
    base_s: float = 1.0
    cap_s: float = 30.0
    attempts: int = 0

    def next_s(self, fraction: float) -> float:
        """The next wait; `fraction` in [0, 1) is the caller's randomness."""
        self.attempts += 1
        if self.attempts == 1:
            return self.first_s * fraction
        # The exponent is bounded so that a year of failures cannot overflow a float.
        whole_s = min(self.cap_s, self.base_s * 2.0 ** min(self.attempts - 2, 32))
        return whole_s * (0.5 + fraction / 2)

    def reset(self) -> None:
        """Real data came: the next loss is a first one again."""
        self.attempts = 0
