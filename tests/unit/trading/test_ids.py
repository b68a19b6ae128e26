"""Ids are ordered, repeatable, and told apart from a stranger's."""

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.errors import InvalidArgument
from trading.ids import (
    OrderId,
    hashed_id,
    new_id,
    order_id_of_venue,
    parse_client_order_id,
    parse_order_id,
    venue_client_order_id,
)

ALLOWED = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
A_UUID = "01a2059b-3789-75da-981c-246d9030a35a"
PARTS = st.lists(st.text(max_size=8), max_size=4)


def test_new_ids_are_uuid7_in_the_order_of_their_making() -> None:
    made = [new_id() for _ in range(2_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {uuid.UUID(each).version for each in made} == {7}


def test_a_new_id_carries_the_time_of_its_making() -> None:
    before_ms = time.time_ns() // 1_000_000
    made_ms = int(new_id().replace("-", "")[:12], 16)
    assert before_ms <= made_ms <= time.time_ns() // 1_000_000


@given(PARTS)
def test_the_same_fact_gets_the_same_id(parts: list[str]) -> None:
    made = uuid.UUID(hashed_id(*parts))
    assert made == uuid.UUID(hashed_id(*parts))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)


@given(PARTS, PARTS)
def test_other_facts_get_other_ids(first: list[str], second: list[str]) -> None:
    assert (hashed_id(*first) == hashed_id(*second)) == (first == second)


@pytest.mark.parametrize("imitation", ["a\x1fb", "1:a1:b", "ab", "a:1:b"])
def test_one_part_cannot_imitate_two(imitation: str) -> None:
    assert hashed_id(imitation) != hashed_id("a", "b")


def test_a_part_may_hold_a_lone_surrogate() -> None:
    assert hashed_id("\ud800") != hashed_id("\ud801")


def test_the_form_of_hashed_ids_never_changes() -> None:
    assert hashed_id("fill", "main", 7) == "eff49261-5e0d-8689-a025-64ca52c2efdb"


@given(st.text(ALLOWED, min_size=1, max_size=64))
def test_client_order_ids_of_the_charset_are_accepted(text: str) -> None:
    assert parse_client_order_id(text) == text


@given(st.text(max_size=70).filter(lambda text: not (0 < len(text) <= 64 and set(text) <= set(ALLOWED))))
def test_other_client_order_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_client_order_id(text)
    assert refusal.value.metadata["field"] == "client_order_id"


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "ab\n", "é", "a/b", "a'--"])
def test_client_order_ids_at_the_edges_of_the_charset_are_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        parse_client_order_id(text)


@given(st.uuids())
def test_an_order_id_is_read_as_it_is_printed(order: uuid.UUID) -> None:
    assert parse_order_id(str(order)) == str(order)


@pytest.mark.parametrize("text", ["", "x", "0" * 32, A_UUID.upper(), A_UUID + "\n"])
def test_what_is_no_order_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_order_id(text)
    assert refusal.value.metadata["field"] == "order_id"


@given(st.uuids(), st.integers(0, 10_000))
def test_the_venue_s_id_leads_back_to_our_order(order: uuid.UUID, replacement: int) -> None:
    sent = venue_client_order_id(OrderId(str(order)), replacement)
    assert len(sent.partition("-")[0]) == 32
    assert order_id_of_venue(sent) == str(order)


def test_each_replacement_has_a_venue_id_of_its_own() -> None:
    order_id = OrderId(new_id())
    assert len({venue_client_order_id(order_id, replacement) for replacement in range(50)}) == 50


@pytest.mark.parametrize(
    "foreign",
    [
        "",
        "manual",
        "{0123456789abcdef0123456789abcdef}",
        "urn:uuid:0123456789abcdef0123456789abcdef",
        "0123456789abcdef_123456789abcdef",
        "0123456789abcdef0123456789abcdef-",
        "0123456789abcdef0123456789abcdef-0",
        "0123456789abcdef0123456789abcdef-x",
        "0123456789abcdef0123456789abcdef\n",
        "0fe3a239-baac-4236-84fd-104e89710a1f",
    ],
)
def test_a_stranger_s_order_is_not_ours(foreign: str) -> None:
    assert order_id_of_venue(foreign) is None
