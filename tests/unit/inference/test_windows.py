"""Windows share one table until somebody wants their numbers."""

import numpy as np
from builders.inference import SECOND_NS, some_ticks

from services.inference.domain.feature_series import fold
from services.inference.domain.features import WARM_UP_TICKS, FeatureState
from services.inference.domain.samples import joined, sample
from services.inference.domain.windows import Windows, dense, stacked

TABLE = np.arange(24, dtype=np.float32).reshape(8, 3)


def test_a_window_is_the_newest_rows_oldest_first() -> None:
    windows = Windows.ending_anywhere(TABLE, 3)[2:]
    assert windows.shape == (6, 3, 3)
    assert np.array_equal(dense(windows)[0], TABLE[:3])
    assert np.array_equal(dense(windows[np.array([5])])[0], TABLE[5:])
    assert windows[1:4].table is TABLE


def test_parts_of_one_table_share_it_when_they_are_stacked() -> None:
    windows = Windows.ending_anywhere(TABLE, 3)
    both = stacked([windows[2:4], windows[5:]])
    assert isinstance(both, Windows)
    assert both.table is TABLE
    assert both.ends.tolist() == [2, 3, 5, 6, 7]


def test_parts_of_two_tables_never_mix() -> None:
    one, other = Windows.ending_anywhere(TABLE, 3)[2:], Windows.ending_anywhere(TABLE + 100, 3)[2:]
    both = stacked([one, other])
    assert np.array_equal(dense(both), np.concatenate((dense(one), dense(other))))


def test_samples_of_windows_are_warm_in_every_step() -> None:
    ticks, time_ns = some_ticks(300), np.arange(300, dtype=np.int64) * SECOND_NS
    rows = sample(ticks, time_ns, SECOND_NS, steps=5)
    assert rows.time_ns[0] == (WARM_UP_TICKS + 4) * SECOND_NS
    features = fold(FeatureState(), ticks).astype(np.float32)
    assert np.array_equal(dense(rows.features)[0], features[WARM_UP_TICKS : WARM_UP_TICKS + 5])
    assert len(joined([rows, rows])) == 2 * len(rows)
