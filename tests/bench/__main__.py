"""`make bench [ONLY=area]`: run the benchmarks, write build/bench/<name>.json, print the table."""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.bench.result import Result

Run = Callable[[], Iterable[Result]]
_NOT_AREAS = {"__init__", "__main__", "result", "profile", "peers"}


def main() -> int:
    """Each area is a module of this folder with `run() -> Iterable[Result]`; a name of a benchmark works too.

    An area may instead have `PARTS`, such runs by the name of a benchmark; modules called `<area>_…` belong to it.
    """
    areas = _areas()
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", default="", help=f"an area ({', '.join(areas)}) or the beginning of a name")
    only = parser.parse_args().only
    chosen = [area for area in areas if only.partition(".")[0] in ("", area)]
    if not chosen:
        parser.error(f"no area is called {only!r}; there are {', '.join(areas)}")
    print(f"{'name':<36}{'unit':<10}{'value':>14}{'p50':>12}{'p99':>12}{'ratio':>9}  of")
    for area in chosen:
        module = importlib.import_module(f"tests.bench.{area}")
        parts: Mapping[str, Run] = getattr(module, "PARTS", None) or {area: module.run}
        for name, run in parts.items():
            if only in ("", area) or name.startswith(only) or only.startswith(name):
                _show(run(), only)
    return 0


def _areas() -> list[str]:
    stems = {path.stem for path in Path(__file__).parent.glob("*.py")} - _NOT_AREAS
    return sorted(stem for stem in stems if not any(stem.startswith(f"{other}_") for other in stems))


def _show(results: Iterable[Result], only: str) -> None:
    for result in results:
        if "." in only and not result.name.startswith(only):
            continue
        result.write()
        p50, p99 = (f"{value:,.1f}" if value is not None else "" for value in (result.p50, result.p99))
        ratio = f"{result.ratio:.2f}" if result.ratio is not None else ""
        row = f"{result.name:<36}{result.unit:<10}{result.value:>14,.1f}{p50:>12}{p99:>12}{ratio:>9}"
        print(f"{row}  {result.ratio_of or ''}")
        for peer in result.peers:
            print(f"    beside {peer['name']} {peer['version']}: {peer['value']:,}")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
