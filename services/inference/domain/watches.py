"""Watch how the models that follow the market do: their features against the training data, their word against it."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.inference.domain.drift import FeatureDrift, RowWindow, drift
from services.inference.domain.errors import NotFollowing
from services.inference.domain.model import ModelCard
from services.inference.domain.outcomes import Judged, Outcomes

MOST_VERSIONS = 4
"""Of one model: the active one, a canary, and those before them."""


@dataclass(frozen=True, slots=True)
class WatchRules:
    """Bounds of what is kept of each model.

    `rows` of features, every `stride`-th that was predicted from; `outcomes` judged; `waiting` of a symbol unjudged.
    """

    rows: int = 4096
    stride: int = 8
    outcomes: int = 4096
    waiting: int = 1024


@dataclass(frozen=True, slots=True)
class Drift:
    """How a version of a model does on what it sees now; `rows` are behind the features' indices."""

    model: str
    version: str
    rows: int
    features: Sequence[FeatureDrift]
    judged: Judged


class Watch:
    """What is kept of one version of a model."""

    def __init__(self, card: ModelCard, rules: WatchRules) -> None:
        self.card = card
        self.rows = RowWindow(len(card.features), rules.rows, rules.stride)
        self.outcomes = Outcomes(
            card.horizon_ns,
            window=rules.outcomes,
            waiting=rules.waiting,
            calibrated=card.calibration is not None,
        )

    def drift(self) -> Drift:
        """The figures now."""
        card, rows = self.card, self.rows.rows
        return Drift(
            card.name, card.version, len(rows), drift(card.features, card.distributions, rows), self.outcomes.summary()
        )


class Watches:
    """A watch for each version of the models that follow, of each model the newest few."""

    def __init__(self, rules: WatchRules) -> None:
        self._rules = rules
        self._watches: dict[str, dict[str, Watch]] = {}

    def of(self, card: ModelCard) -> Watch:
        """The watch of this version."""
        versions = self._watches.get(card.name)
        if versions is None:
            versions = self._watches[card.name] = {}
        watch = versions.get(card.version)
        if watch is None:
            watch = versions[card.version] = Watch(card, self._rules)
            if len(versions) > MOST_VERSIONS:
                del versions[next(iter(versions))]
        return watch

    def drift(self, name: str, version: str) -> Drift:
        """The figures of a version; raises NotFollowing."""
        watch = self._watches.get(name, {}).get(version)
        if watch is None:
            raise NotFollowing(f"Version {version!r} of {name!r} does not follow the market.", model=name)
        return watch.drift()

    def newest(self) -> list[Drift]:
        """The figures of the version of each model that began to follow last."""
        return [next(reversed(versions.values())).drift() for versions in self._watches.values()]
