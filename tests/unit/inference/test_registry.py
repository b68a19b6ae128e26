"""Which version answers after a promotion, a rollback, a canary or a shadow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.inference.domain.errors import ModelRefused
from services.inference.domain.registry import (
    MOST_REMEMBERED,
    Deployment,
    LoadOptions,
    check_new_name,
    draw_of,
    plain_name,
)
from trading.errors import FailedPrecondition, InvalidArgument, UnknownModel

ONE = Deployment("1")


def test_a_promoted_version_is_active_and_the_one_before_is_remembered() -> None:
    found = ONE.promoted("2").promoted("3")
    assert (found.active, found.previous, found.history) == ("3", "2", ("1", "2"))


def test_promoting_the_active_version_changes_nothing() -> None:
    assert ONE.promoted("1") == ONE


@given(st.lists(st.integers(2, 9).map(str), min_size=1, max_size=40))
def test_a_rollback_undoes_a_promotion(promoted: list[str]) -> None:
    before = ONE
    for version in promoted[:-1]:
        before = before.promoted(version)
    after = before.promoted(promoted[-1])
    if after != before:
        assert after.rolled_back().active == before.active
    assert len(after.history) <= MOST_REMEMBERED


def test_without_a_version_before_there_is_no_rollback() -> None:
    with pytest.raises(FailedPrecondition) as refused:
        ONE.rolled_back()
    assert refused.value.reason == "NO_PREVIOUS_VERSION"


def test_a_canary_gets_its_share_of_the_draws() -> None:
    found = ONE.with_canary("2", 0.25)
    assert [found.version_for(draw) for draw in (0.0, 0.2499, 0.25, 0.99)] == ["2", "2", "1", "1"]
    assert found.with_canary("", 0.0) == ONE


@pytest.mark.parametrize("change", ["promoted", "rolled back"])
def test_a_trial_that_became_active_has_ended(change: str) -> None:
    trial = Deployment("1", history=("2",), canary="2", canary_weight=0.5, shadow="2")
    found = trial.promoted("2") if change == "promoted" else trial.rolled_back()
    assert (found.active, found.canary, found.canary_weight, found.shadow) == ("2", "", 0.0, "")


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_that_is_no_share_is_refused(weight: float) -> None:
    with pytest.raises(InvalidArgument):
        ONE.with_canary("2", weight)


def test_the_active_version_is_no_canary_and_no_shadow_of_its_own() -> None:
    for change in (lambda: ONE.with_canary("1", 0.5), lambda: ONE.with_shadow("1")):
        with pytest.raises(FailedPrecondition) as refused:
            change()
        assert refused.value.reason == "MODEL_IN_USE"


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_a_version_in_use_cannot_go(version: str) -> None:
    with pytest.raises(FailedPrecondition, match="in use"):
        Deployment("1", canary="2", shadow="3").without(version)


def test_a_version_that_goes_is_forgotten() -> None:
    found = ONE.promoted("2").promoted("3").with_options("2", LoadOptions("fp16")).without("2")
    assert found == Deployment("3", history=("1",))


def test_options_are_kept_for_each_version() -> None:
    found = ONE.with_options("1", LoadOptions("fp16")).with_options("2", LoadOptions(batch_rows=5))
    assert (found.options_of("1"), found.options_of("2"), found.options_of("3")) == (
        LoadOptions("fp16"),
        LoadOptions(batch_rows=5),
        LoadOptions(),
    )
    assert found.with_options("1", LoadOptions()).with_options("2", LoadOptions()) == ONE


def test_unloading_and_loading_are_remembered() -> None:
    assert ONE.put_away().unloaded
    assert ONE.put_away().loaded() == ONE
    assert not ONE.put_away().promoted("2").unloaded


@given(st.text(max_size=20))
def test_a_symbol_always_draws_the_same(symbol: str) -> None:
    assert 0 <= draw_of(symbol) == draw_of(symbol) < 1


def test_symbols_are_spread() -> None:
    share = sum(draw_of(f"SYMBOL{number}") < 0.3 for number in range(2_000)) / 2_000
    assert share == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("", ""),
        ("momentum-v1", "momentum-v1"),
        ("./models/neural-momentum-v1.safetensors", "neural-momentum-v1"),
        ("/elsewhere/x.onnx", "x"),
    ],
)
def test_a_path_means_the_model_of_that_name(asked: str, name: str) -> None:
    assert plain_name(asked) == name


@pytest.mark.parametrize("asked", ["..", "/", "./models/", "UPPER", "a b", "x" * 65, "./models/.safetensors"])
def test_what_can_be_no_name_is_an_unknown_model(asked: str) -> None:
    with pytest.raises(UnknownModel):
        (plain_name(asked) and None) or _unknown()


def _unknown() -> None:
    raise UnknownModel("The name is empty.")


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", ".hidden", "x" * 65, "a\n", "ä"])
def test_a_new_model_has_a_plain_name(name: str) -> None:
    with pytest.raises(ModelRefused) as refused:
        check_new_name(name)
    assert refused.value.reason == "MODEL_PATH"
