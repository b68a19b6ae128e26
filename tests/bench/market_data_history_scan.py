"""A real day of quotes scanned, filtered and grouped, and the same answers of pandas, which must be equal."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from services.market_data.adapters.history_frames import HistoryFrames
from services.market_data.adapters.market_files import Import, import_file
from services.market_data.adapters.parquet_store import ParquetStore
from services.market_data.adapters.sealed_history import SealedHistory, SealLimits
from services.market_data.domain.frame_query import Aggregate, FrameQuery, frame_query, selection
from services.market_data.domain.history import Kind
from tests.bench.market_data_history import START_NS, a_folder, day_file, timed
from tests.bench.peers import NAUTILUS, PANDAS, PeerMissing
from tests.bench.result import Result, beside, of_samples

TOLERANCE = 1e-12
"""Relative: the file's prices are some last digits off the cents that they stand for, and sums add in another order."""
_DAY_NS = 86_400 * 10**9
_SCANS = 30
_AMOUNTS = ("bid", "bid_size", "ask", "ask_size")
_PANDAS = Path(__file__).with_name("market_data_history_pandas.py")
_NAUTILUS = Path(__file__).with_name("market_data_history_nautilus.py")


def history_scan() -> Iterator[Result]:
    """The quotes of one real day, as the store answers them once the day is sealed; the headline is the filter.

    pandas reads in four forms: the day's Parquet file, also into Arrow columns, the same as an uncompressed Feather
    file, and from a frame that lies in memory before (no reading at all). The mark is over the first.
    """
    with a_folder() as folder:
        file, data = day_file(folder)
        dear = float(pl.read_parquet(file)["bid"].quantile(0.99) or 0) + 0.005
        store = ParquetStore(folder / "history", mapped_bytes_most=2**30, cached_bytes_most=2**26)
        import_file(store, file, Import("import", ("BAC",)), lambda done, total: None)
        frames = HistoryFrames(store, scan_bytes_most=2**32)
        facts: dict[str, Any] = {"data": data, "as_written_ms": _medians(_measured(frames, dear))}
        facts["seal_ms"] = _once_ms(lambda: _seal(store))
        facts["first_read_ms"] = _once_ms(lambda: frames.read(_questions(dear)["scan"]))
        before = _measured(frames, dear)
        theirs = _of_pandas(file, dear, folder)
        after = _measured(frames, dear)  # on both sides of the peer, so that a busy moment is nobody's advantage
        samples = {name: before[name] + after[name] for name in before}
        facts["ours_ms"], facts["ours_fastest_ms"] = _medians(samples), _fastest(samples)
        result = of_samples("market_data.history_scan", "ms", samples["filter"], extra=facts)
        yield _beside_pandas(_beside_nautilus(result, file, folder), theirs, _answers(frames, dear))


def _seal(store: ParquetStore) -> None:
    sealed = SealedHistory(store, SealLimits(2**32, 10**7))
    sealed.plan(time.time_ns())
    sealed.go_on(2**40)


def _measured(frames: HistoryFrames, dear: float) -> dict[str, list[float]]:
    questions = _questions(dear)
    samples = {name: timed(lambda asked=asked: frames.read(asked), _SCANS) for name, asked in questions.items()}  # type: ignore[misc]
    numbers = pl.selectors.numeric().max()
    return samples | {"scan_and_look": timed(lambda: frames.read(questions["scan"]).frame.select(numbers), _SCANS)}


def _questions(dear: float) -> dict[str, FrameQuery]:
    folds = (Aggregate("ask_size", "mean", ""), Aggregate("*", "count", ""))
    return {
        "scan": _asked(),
        "filter": _asked(filter_text=f"bid > {dear!r}"),
        "group": _asked(group_by=("bid",), aggregates=folds),
    }


def _asked(**changes: Any) -> FrameQuery:
    rows = selection(Kind.QUOTES, ("BAC",), "", START_NS - _DAY_NS, START_NS + 3 * _DAY_NS, "", 0)
    question = {"columns": (), "filter_text": "", "group_by": (), "aggregates": (), "row_limit": 0, "rows_most": 10**6}
    return frame_query(rows, **question | changes)


def _answers(frames: HistoryFrames, dear: float) -> dict[str, Any]:
    """What the answers amount to, in the words of the pandas script."""
    found = {name: frames.read(asked).frame for name, asked in _questions(dear).items()}
    totals = {
        name: [len(found[name]), *(float(found[name][one].sum()) for one in _AMOUNTS)] for name in ("scan", "filter")
    }
    return totals | {"group": [list(row) for row in found["group"].rows()]}


def _beside_nautilus(result: Result, file: Path, folder: Path) -> Result:
    try:
        found = NAUTILUS.measure(_NAUTILUS, "scan", str(folder / "catalog"), str(file))
    except PeerMissing as reason:
        result.extra["without_nautilus_trader catalog"] = str(reason)
        return result
    return beside(result, "nautilus_trader catalog", found["version"], found["value"], ratio_of="peer/ours")


def _of_pandas(file: Path, dear: float, folder: Path) -> dict[str, Any] | str:
    """What pandas measures and answers, or why it does not."""
    try:
        return PANDAS.measure(_PANDAS, "scan", str(file), repr(dear), str(_SCANS), str(folder / "day.feather"))
    except PeerMissing as reason:
        return str(reason)


def _beside_pandas(result: Result, found: dict[str, Any] | str, answers: dict[str, Any]) -> Result:
    if isinstance(found, str):
        result.extra["without_pandas"] = found
        return result
    compared = _compared(answers, found["answers"])
    result.extra["equal_to_pandas"] = compared
    for key in ("ms", "fastest_ms"):  # the fastest of all runs tells most where others share the cores
        ours = result.extra[f"ours_{key}"]
        result.extra[f"pandas_{key}"] = found[key]
        result.extra[f"times_pandas_{key}"] = {form: _ratios(times, ours) for form, times in found[key].items()}
    return beside(result, "pandas", found["version"], found["ms"]["parquet"]["filter"], ratio_of="peer/ours")


def _ratios(theirs: Mapping[str, float], ours: Mapping[str, float]) -> dict[str, float]:
    return {name: round(theirs[name] / ours[name], 1) for name in ours}


def _compared(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """What was compared; raises AssertionError where the answers differ."""
    for name in ("scan", "filter"):
        assert ours[name][0] == theirs[name][0] > 0, f"{name}: {ours[name][0]} rows, pandas {theirs[name][0]}"
        assert all(map(_close, ours[name], theirs[name])), f"{name}: {ours[name]}, pandas {theirs[name]}"
    assert len(ours["group"]) == len(theirs["group"]) > 1
    for mine, other in zip(ours["group"], theirs["group"], strict=True):
        assert mine[2] == other[2], f"group: {mine}, pandas {other}"
        assert all(map(_close, mine, other)), f"group: {mine}, pandas {other}"
    return {
        "rows": ours["scan"][0],
        "filter_rows": ours["filter"][0],
        "groups": len(ours["group"]),
        "relative_tolerance": TOLERANCE,
    }


def _close(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=TOLERANCE)


def _medians(samples: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(statistics.median(times), 2) for name, times in samples.items()}


def _fastest(samples: Mapping[str, list[float]]) -> dict[str, float]:
    return {name: round(min(times), 2) for name, times in samples.items()}


def _once_ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return round((time.perf_counter() - started) * 1e3, 1)
