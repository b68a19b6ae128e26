"""A training set as JSON: read into columns, or refused with the reason and the place."""

import json
from typing import Any

import numpy as np
import pytest

from services.gateway import train_body
from trading.errors import InvalidArgument

BODY: dict[str, Any] = {"features": [[1, 2.5], [3, 4]], "labels": [0, 1]}


def read(**changes: Any) -> train_body.Read:
    return train_body.read(json.dumps(BODY | changes).encode())


def test_rows_and_labels_become_little_endian_columns_with_the_defaults() -> None:
    found = read()
    assert np.frombuffer(found.features, "<f8").tolist() == [1.0, 2.5, 3.0, 4.0]
    assert np.frombuffer(found.labels, "<f8").tolist() == [0.0, 1.0]
    assert (found.epochs, found.learning_rate, found.wrong, found.malformed) == (10, 0.001, "", "")


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"features": [[1, 2], [3]]}, "FEATURES_NOT_RECTANGULAR", "features.1"),
        ({"features": [[1, 2], 3]}, "FEATURES_NOT_RECTANGULAR", "features"),
        ({"features": [[], []]}, "FEATURES_NOT_RECTANGULAR", "features.0"),
        ({"features": [[1, 2], [3, None]]}, "NOT_NUMBERS", "features"),
        ({"labels": [0, "1"]}, "NOT_NUMBERS", "labels"),
        ({"labels": [0]}, "LABELS_LENGTH", "labels"),
        ({"labels": None}, "", "labels"),
        ({"epochs": 0}, "EPOCHS_OUT_OF_RANGE", "epochs"),
        ({"epochs": -(10**9)}, "EPOCHS_OUT_OF_RANGE", "epochs"),
        ({"epochs": True}, "", "epochs"),
        ({"seeds": 1}, "", ""),
    ],
)
def test_what_is_wrong_has_a_reason_and_a_place(changes: dict[str, Any], reason: str, field: str) -> None:
    found = read(**changes)
    assert found.wrong
    assert (found.reason, found.field.startswith(field)) == (reason, True), found


def test_a_wrong_value_before_broken_json_is_broken_json() -> None:
    assert train_body.read(b'{"features": 1, ').malformed
    assert train_body.read(b"\xff").malformed
    assert train_body.read(b"[" * 100_000).malformed


def test_an_error_of_the_service_points_into_the_body() -> None:
    error = InvalidArgument("Expected finite numbers.", reason="FEATURES_NOT_FINITE", field="features[3][1]", rows=4)
    found = train_body.pointed(error)
    assert (found.reason, found.metadata["field"], found.metadata["rows"]) == ("FEATURES_NOT_FINITE", "features.3.1", 4)
    bare = InvalidArgument("No.")
    assert train_body.pointed(bare) is bare
