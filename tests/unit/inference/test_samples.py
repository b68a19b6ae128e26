"""No row knows another's future."""

import numpy as np
from builders.inference import SECOND_NS, some_ticks

from services.inference.domain.features import WARM_UP_TICKS
from services.inference.domain.samples import EMBARGO_NS, Samples, cut, joined, sample

HORIZON_NS = 10 * SECOND_NS


def test_labels_tell_whether_the_mid_is_higher_after_the_horizon() -> None:
    ticks, time_ns = some_ticks(400), np.arange(400, dtype=np.int64) * SECOND_NS
    rows = sample(ticks, time_ns, HORIZON_NS)
    assert rows.time_ns[0] == WARM_UP_TICKS * SECOND_NS
    assert rows.time_ns[-1] == (399 - 10) * SECOND_NS
    change = ticks.price[WARM_UP_TICKS + 10 :] - ticks.price[WARM_UP_TICKS:-10]
    assert np.array_equal(rows.labels, (np.sign(change) + 1) / 2)
    assert set(np.unique(rows.labels)) == {0.0, 0.5, 1.0}


def test_slices_are_apart_by_the_horizon_and_the_embargo() -> None:
    count = 2_000
    time_ns = np.arange(count, dtype=np.int64) * SECOND_NS
    rows = Samples(np.zeros((count, 1)), np.zeros(count), time_ns, time_ns)
    slices = cut(rows, HORIZON_NS)
    for earlier, later in ((slices.train, slices.calibrate), (slices.calibrate, slices.judge)):
        assert later.time_ns.min() - (earlier.time_ns.max() + HORIZON_NS) >= EMBARGO_NS
    assert len(slices.train) > len(slices.calibrate) > 0 < len(slices.judge)


def test_joined_parts_keep_every_row() -> None:
    part = sample(some_ticks(300), np.arange(300, dtype=np.int64) * SECOND_NS, HORIZON_NS)
    assert len(joined([part, part[:5]])) == len(part) + 5
