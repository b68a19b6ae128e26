"""What Binance's protocol asks of a request: signatures, times, parameters, weights, names of streams."""

import base64
import hashlib
import hmac

import pytest
from builders.paper_venue import INSTRUMENTS

from services.paper_venue.binance.auth import Keys, check_time, signed_text, sorted_text
from services.paper_venue.binance.ed25519 import SigningKey
from services.paper_venue.binance.errors import ApiError
from services.paper_venue.binance.limits import LimitRules, Limits
from services.paper_venue.binance.listing import Listing
from services.paper_venue.binance.params import Params
from services.paper_venue.binance.subscriptions import MOST_STREAMS, Channel, Subscriptions, parse_stream
from services.paper_venue.binance.texts import TimeUnit, decimal, decimal_of_value

NOW_NS = 1_700_000_000_000_000_000
NOW_MS = NOW_NS // 1_000_000
LISTING = Listing(INSTRUMENTS)


def keys() -> Keys:
    return Keys.of("key", "secret")


def params(**values: object) -> Params:
    return Params({name: str(value) for name, value in values.items()})


def code_of(refused: pytest.ExceptionInfo[ApiError]) -> int:
    return refused.value.code


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ],
)
def test_ed25519_signs_like_the_vectors_of_rfc_8032(seed: str, public: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))

    assert key.public_bytes.hex() == public
    assert key.sign(bytes.fromhex(message)).hex() == signature


def test_a_short_seed_is_no_key() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(b"short")


def test_the_private_key_is_pkcs8_of_119_characters() -> None:
    """python-binance takes a text of more than 120 characters for an RSA key."""
    pem = keys().ed25519.pem
    der = base64.b64decode(pem.splitlines()[1])

    assert len(pem) == 119
    assert der[:16].hex() == "302e020100300506032b657004220420"


def test_an_hmac_is_good_in_any_case() -> None:
    signature = hmac.new(b"secret", b"a=1", hashlib.sha256).hexdigest()

    keys().check_signature(signature, "a=1")
    keys().check_signature(signature.upper(), "a=1")
    with pytest.raises(ApiError) as refused:
        keys().check_signature(signature, "a=2")
    assert code_of(refused) == -1022


def test_an_ed25519_signature_is_good_as_base64() -> None:
    signature = base64.b64encode(keys().ed25519.sign(b"a=1")).decode()

    keys().check_signature(signature, "a=1")
    keys().check_ed25519(signature, "a=1")
    with pytest.raises(ApiError) as refused:
        keys().check_ed25519(hmac.new(b"secret", b"a=1", hashlib.sha256).hexdigest(), "a=1")
    assert code_of(refused) == -1022


@pytest.mark.parametrize("signature", ["", "no base64", "\u00e9", base64.b64encode(bytes(64)).decode()])
def test_what_is_no_signature_of_the_key_is_refused(signature: str) -> None:
    assert not keys().ed25519.accepts(signature, b"a=1")


@pytest.mark.parametrize(("shown", "code"), [(None, -2014), ("", -2014), ("other", -2015), ("k\u00e9y", -2015)])
def test_a_missing_key_and_a_foreign_key_are_told_apart(shown: str | None, code: int) -> None:
    with pytest.raises(ApiError) as refused:
        keys().check_key(shown)
    assert (code_of(refused), refused.value.status) == (code, 401)


@pytest.mark.parametrize(
    ("query", "body", "text", "signature"),
    [
        ("a=1&signature=x", "", "a=1", "x"),
        ("signature=x&a=1", "", "a=1", "x"),
        ("a=1", "b=2&signature=x%2B%3D", "a=1b=2", "x+="),
        ("a=1", "", "a=1", None),
    ],
)
def test_query_and_body_are_signed_without_a_separator(query: str, body: str, text: str, signature: str | None) -> None:
    assert signed_text(query, body) == (text, signature)


def test_the_websocket_api_signs_by_name() -> None:
    assert sorted_text({"b": "2", "signature": "x", "a": "1"}) == "a=1&b=2"


@pytest.mark.parametrize(
    ("timestamp", "window"),
    [
        (NOW_MS, 5_000),
        (NOW_MS - 5_000, 5_000),
        (NOW_MS + 999, 5_000),
        (NOW_MS * 1_000, 5_000),
        (NOW_MS - 60_000, 60_000),
    ],
)
def test_a_time_within_the_window_is_good(timestamp: int, window: int) -> None:
    check_time(params(timestamp=timestamp, recvWindow=window), NOW_NS)


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [(NOW_MS - 5_001, "outside of the recvWindow"), (NOW_MS + 1_000, "1000ms ahead")],
)
def test_a_time_beyond_the_window_is_refused(timestamp: int, words: str) -> None:
    with pytest.raises(ApiError, match=words) as refused:
        check_time(params(timestamp=timestamp), NOW_NS)
    assert code_of(refused) == -1021


def test_a_window_is_at_most_a_minute() -> None:
    with pytest.raises(ApiError):
        check_time(params(timestamp=NOW_MS, recvWindow=60_001), NOW_NS)


@pytest.mark.parametrize(
    ("read", "code"),
    [
        (lambda p: p.text("gone"), -1102),
        (lambda p: p.text("empty"), -1102),
        (lambda p: p.whole("word"), -1100),
        (lambda p: p.amount("word"), -1100),
        (lambda p: p.amount("negative"), -1100),
        (lambda p: p.amount("fine"), -1111),
        (lambda p: p.amount("huge"), -1111),
        (lambda p: p.client_id("blank"), -1100),
        (lambda p: p.whole("zero"), -1130),
        (lambda p: p.word("word", {"A": 1}, -1117, "Invalid side."), -1117),
    ],
)
def test_each_bad_parameter_has_its_code(read: object, code: int) -> None:
    bad = params(empty="", word="abc", negative="-1", fine="0.0000000001", huge="9" * 20, blank="a b", zero=0)
    with pytest.raises(ApiError) as refused:
        read(bad)  # type: ignore[operator]
    assert code_of(refused) == code


def test_the_query_wins_over_the_body() -> None:
    assert Params.of_http("a=1", "a=2&b=3", TimeUnit.MILLISECOND).values == {"a": "1", "b": "3"}


def test_json_parameters_become_the_texts_that_were_signed() -> None:
    found = Params.of_json({"n": 1, "f": 0.5, "yes": True, "none": None, "symbols": ["A", "B"]}, TimeUnit.MILLISECOND)

    assert found.values == {"n": "1", "f": "0.5", "yes": "true", "symbols": '["A","B"]'}
    assert found.symbols() == ["A", "B"]


def test_one_symbol_and_many_exclude_each_other() -> None:
    with pytest.raises(ApiError) as refused:
        params(symbol="A", symbols='["B"]').symbols()
    assert code_of(refused) == -1128


def test_weight_is_counted_by_the_minute() -> None:
    moment = [120.0]
    limits = Limits(LimitRules(weight=10), lambda: moment[0])
    limits.take_weight(10)
    moment[0] = 150.0
    with pytest.raises(ApiError) as refused:
        limits.take_weight(1)

    assert (refused.value.status, code_of(refused), refused.value.retry_after_s) == (429, -1003, 30)
    assert limits.headers()["X-MBX-USED-WEIGHT-1M"] == "11"
    moment[0] = 180.0
    limits.take_weight(3)
    assert limits.headers()["X-MBX-USED-WEIGHT-1M"] == "3"


def test_orders_are_counted_by_ten_seconds_and_by_day() -> None:
    moment = [0.0]
    limits = Limits(LimitRules(orders=2, orders_a_day=3), lambda: moment[0])
    limits.take_order()
    limits.take_order()
    with pytest.raises(ApiError, match="10 SECOND") as refused:
        limits.take_order()
    moment[0] = 10.0
    with pytest.raises(ApiError, match="1 DAY"):
        limits.take_order()

    assert (refused.value.status, code_of(refused)) == (429, -1015)
    assert limits.order_headers() == {"X-MBX-ORDER-COUNT-10S": "1", "X-MBX-ORDER-COUNT-1D": "4"}


def test_only_coins_are_listed() -> None:
    assert [pair.name for pair in LISTING.pairs] == ["BTCUSDT"]
    assert LISTING.of_symbol("AAPL") is None
    with pytest.raises(ApiError) as refused:
        LISTING.find("btcusdt")
    assert code_of(refused) == -1121


def test_the_stated_filters_are_those_that_are_kept() -> None:
    pair = LISTING.find("BTCUSDT")
    stated = {each["filterType"]: each for each in pair.filters()}

    assert (stated["PRICE_FILTER"]["tickSize"], stated["LOT_SIZE"]["stepSize"]) == ("0.01000000", "0.00010000")
    for breach, name in (
        (lambda: pair.check_price(10_000_001), "PRICE_FILTER"),
        (lambda: pair.check_price(0), "PRICE_FILTER"),
        (lambda: pair.check_quantity(150_000), "LOT_SIZE"),
        (lambda: pair.check_notional(10**9, 4 * 10**9, market=True), "NOTIONAL"),
        (lambda: pair.check_count(200, 0, stop=False), "MAX_NUM_ORDERS"),
        (lambda: pair.check_count(5, 5, stop=True), "MAX_NUM_ALGO_ORDERS"),
    ):
        with pytest.raises(ApiError, match=f"Filter failure: {name}"):
            breach()


@pytest.mark.parametrize(
    ("name", "channel", "levels", "every_ms"),
    [
        ("btcusdt@trade", Channel.TRADE, 0, 0),
        ("btcusdt@aggTrade", Channel.AGGREGATE_TRADE, 0, 0),
        ("btcusdt@bookTicker", Channel.BOOK_TICKER, 0, 0),
        ("btcusdt@depth", Channel.DEPTH, 0, 1_000),
        ("btcusdt@depth@100ms", Channel.DEPTH, 0, 100),
        ("btcusdt@depth20@100ms", Channel.DEPTH, 20, 100),
        ("btcusdt@kline_1m", Channel.KLINE, 0, 2_000),
        ("btcusdt@miniTicker", Channel.MINI_TICKER, 0, 1_000),
        ("!miniTicker@arr", Channel.ALL_MINI_TICKERS, 0, 1_000),
    ],
)
def test_a_stream_is_known_by_its_name(name: str, channel: Channel, levels: int, every_ms: int) -> None:
    stream = parse_stream(name, LISTING)

    assert stream is not None
    assert (stream.channel, stream.levels, stream.every_ms) == (channel, levels, every_ms)


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT@trade", "aapl@trade", "btcusdt@nothing", "btcusdt@kline_7m", "btcusdt@trade_1m", "btcusdt@trade5", ""],
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_stream(name, LISTING) is None


def test_subscriptions_keep_unknown_names_and_are_bounded() -> None:
    subscriptions = Subscriptions(LISTING)

    assert [stream.name for stream in subscriptions.add(["btcusdt@trade", "nobody@trade"])] == ["btcusdt@trade"]
    assert subscriptions.add(["btcusdt@trade"]) == []
    assert subscriptions.names() == ["btcusdt@trade", "nobody@trade"]
    with pytest.raises(OverflowError):
        subscriptions.add(f"s{number}@trade" for number in range(MOST_STREAMS))
    subscriptions.remove(["btcusdt@trade", "never@trade"])
    assert subscriptions.streams() == []


def test_amounts_have_eight_decimals() -> None:
    assert decimal(1_500_000_009) == "1.50000000"
    assert decimal(-100_000) == "-0.00010000"
    assert decimal_of_value(2 * 10**9 * 3 * 10**9) == "6.00000000"


def test_microseconds_are_asked_for_by_name() -> None:
    assert TimeUnit.called("MICROSECOND").of(NOW_NS) == NOW_NS // 1_000
    assert TimeUnit.called(None) is TimeUnit.called("nonsense") is TimeUnit.MILLISECOND
