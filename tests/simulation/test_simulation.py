"""The order core in worlds where everything goes wrong: no seed breaks a promise."""

from collections import Counter
from collections.abc import Iterable

import pytest
from simulation.naive import CARELESS
from simulation.world import CAREFUL, Manner, Outcome, simulate

QUICK = 60
"""Worlds of `make test`; `make test-slow` has as many as promised and more, `make simulate SEEDS=…` any number."""
ALL = 1_200
CHUNK = 30


def chunks(first: int, last: int) -> list[range]:
    return [range(start, min(start + CHUNK, last)) for start in range(first, last, CHUNK)]


def check(seeds: Iterable[int]) -> list[Outcome]:
    """Run worlds; whoever breaks a promise is named with how to see it again."""
    outcomes = [simulate(seed) for seed in seeds]
    broken = {f"make simulate SEEDS={each.seed}-{each.seed}": each.violations for each in outcomes if each.violations}
    assert broken == {}
    return outcomes


@pytest.mark.parametrize("seeds", chunks(0, QUICK), ids=str)
def test_no_world_breaks_a_promise(seeds: range) -> None:
    """Lost and late answers, refusals, duplicates, reordered news, outages of every part, crashes at any step."""
    outcomes = check(seeds)
    happened = sum((each.kinds for each in outcomes), Counter[str]())
    assert sum(each.crashes for each in outcomes) > len(seeds) / 2
    assert set(happened) >= {"FILL", "UNRESOLVED", "REJECTED", "CANCELED", "PENDING_CANCEL", "EXPIRED", "UPDATED"}


@pytest.mark.slow
@pytest.mark.parametrize("seeds", chunks(QUICK, ALL), ids=str)
def test_no_world_of_many_breaks_a_promise(seeds: range) -> None:
    """The same, long enough for rare pairs of faults."""
    check(seeds)


@pytest.mark.parametrize("seed", [3, 7, 17])
def test_a_seed_is_a_world(seed: int) -> None:
    """The same seed twice gives the same log, hash for hash."""
    once, again = simulate(seed), simulate(seed)
    assert once.kinds.total() > 10
    assert (once.digest, once.steps) == (again.digest, again.steps)
    assert simulate(seed + 1).digest != once.digest


@pytest.mark.parametrize("manner", CARELESS, ids=lambda manner: manner.name)
def test_carelessness_is_noticed(manner: Manner) -> None:
    """The checker finds what each precaution is for, and soon."""
    careless = [outcome for seed in range(12) if (outcome := simulate(seed, manner)).violations]
    assert careless
    assert not any(simulate(outcome.seed, CAREFUL).violations for outcome in careless[:2])
