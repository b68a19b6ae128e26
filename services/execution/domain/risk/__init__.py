"""Pre-trade checks: each is pure and answers with a denial, its code and its numbers, or with nothing."""

from services.execution.domain.risk.exposure import daily_loss_nanos
from services.execution.domain.risk.judge import CHECKS, judge
from services.execution.domain.risk.order_form import tick_at
from services.execution.domain.risk.trial import Intent, Situation

__all__ = ["CHECKS", "Intent", "Situation", "daily_loss_nanos", "judge", "tick_at"]
