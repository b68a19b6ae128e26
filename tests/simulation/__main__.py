"""`make simulate SEEDS=1000`: run worlds and say how to replay the first that breaks a promise."""

import argparse
import multiprocessing
import os
import sys
import time

from simulation.world import Outcome, simulate


def main() -> int:
    """SEEDS is a number of seeds from 0 on, or a range first-last."""
    parser = argparse.ArgumentParser(prog="make simulate", description=__doc__)
    parser.add_argument("seeds", help="how many, or first-last")
    seeds = _range(parser.parse_args().seeds)
    started = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(min(len(seeds), os.cpu_count() or 1)) as pool:
        outcomes = pool.map(simulate, seeds, chunksize=10)
    taken = time.perf_counter() - started
    broken = [outcome for outcome in outcomes if outcome.violations]
    for outcome in broken[:5]:
        _report(outcome)
    events, crashes = sum(each.kinds.total() for each in outcomes), sum(each.crashes for each in outcomes)
    hours = sum(each.seconds for each in outcomes) / 3600
    print(f"{len(outcomes)} worlds, {hours:.1f} virtual hours, {crashes} crashes, {events} events in {taken:.1f} s")
    if len(outcomes) == 1:
        print(f"event log sha256 {outcomes[0].digest}")
    print(f"{len(broken)} broke a promise" + (f": seeds {[each.seed for each in broken][:20]}" if broken else ""))
    return 1 if broken else 0


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    return range(int(first), int(last) + 1) if dash else range(int(first))


def _report(outcome: Outcome) -> None:
    print(f"\nseed {outcome.seed}: replay it with: make simulate SEEDS={outcome.seed}-{outcome.seed}", file=sys.stderr)
    for violation in outcome.violations:
        print(f"  {violation}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
