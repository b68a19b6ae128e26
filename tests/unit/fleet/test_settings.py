"""Settings come from five places in a fixed order, and what is wrong is said in one line without a secret."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import Field, SecretStr, model_validator

from fleet.settings import AlpacaSettings, CacheSettings, DatabaseSettings, FleetSettings, Names, load
from trading.instruments import DEFAULT_SYMBOLS

CANARY = "hunter2-canary"


class Settings(AlpacaSettings, CacheSettings, DatabaseSettings, FleetSettings):
    """A service of the test."""

    speed: float = Field(1.0, gt=0, description="How fast, in % of real time.")
    models: Names = Field((), description="Models, comma-separated.")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no variable of the fleet."""
    monkeypatch.chdir(tmp_path)
    for name in ("NATS_URL", "DATABASE_URL", "REDIS_URL", "NT_CONFIG", "NT_SPEED", "NT_SYMBOLS", "NT_LOG_LEVEL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], argv: Sequence[str] = ()) -> str:
    """What is said about settings that cannot be used."""
    with pytest.raises(SystemExit) as end:
        load(Settings, "test", argv)
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    return said.err


ORDER = ["default", "file", "dotenv", "environment", "flag"]


@pytest.mark.parametrize("strongest", ORDER)
@pytest.mark.parametrize(
    ("field", "variable"), [("nats_url", "NATS_URL"), ("speed", "NT_SPEED"), ("symbols", "NT_SYMBOLS")]
)
def test_the_nearer_place_wins(
    folder: Path, monkeypatch: pytest.MonkeyPatch, field: str, variable: str, strongest: str
) -> None:
    default = getattr(Settings(), field)
    values = {place: f"nats://{place}" if field == "nats_url" else str(10 + n) for n, place in enumerate(ORDER)}
    given = ORDER[: ORDER.index(strongest) + 1]
    if "file" in given:
        (folder / "fleet.toml").write_text(f'{field} = "{values["file"]}"\n')
        monkeypatch.setenv("NT_CONFIG", "fleet.toml")
    if "dotenv" in given:
        (folder / ".env").write_text(f"{variable}={values['dotenv']}\n")
    if "environment" in given:
        monkeypatch.setenv(variable, values["environment"])
    flags = [f"--{field.replace('_', '-')}", values["flag"]] if "flag" in given else []
    expected = {"nats_url": str, "speed": float, "symbols": lambda text: (text,)}[field](values[strongest])
    assert getattr(load(Settings, "test", flags), field) == (default if strongest == "default" else expected)


def test_the_flag_for_the_file_beats_its_variable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "one.toml").write_text("speed = 1.5\n")
    (folder / "two.toml").write_text("speed = 2.5\n")
    monkeypatch.setenv("NT_CONFIG", "one.toml")
    assert load(Settings, "test", []).speed == 1.5
    assert load(Settings, "test", ["--config", "two.toml"]).speed == 2.5
    assert load(Settings, "test", []).speed == 1.5


def test_a_file_may_serve_several_services(folder: Path) -> None:
    (folder / "fleet.toml").write_text('speed = 3\nsymbols = ["AAPL", "SPY"]\nfield_of_another = true\n')
    settings = load(Settings, "test", ["--config", "fleet.toml"])
    assert (settings.speed, settings.symbols) == (3.0, ("AAPL", "SPY"))


SECRET_PLACES = ["file", "dotenv file", "dotenv", "environment file", "environment"]


@pytest.mark.parametrize("strongest", SECRET_PLACES)
@pytest.mark.parametrize(
    ("field", "variable"), [("database_url", "DATABASE_URL"), ("internal_token", "NT_INTERNAL_TOKEN")]
)
def test_a_secret_may_lie_in_a_file_of_its_own(
    folder: Path, monkeypatch: pytest.MonkeyPatch, field: str, variable: str, strongest: str
) -> None:
    given = SECRET_PLACES[: SECRET_PLACES.index(strongest) + 1]
    for place in ("dotenv file", "environment file"):
        (folder / place).write_text(f"{place.replace(' ', '-')}\n")
    if "file" in given:
        (folder / "fleet.toml").write_text(f'{field} = "file"\n')
    lines = [f"{variable}_FILE=dotenv file"] if "dotenv file" in given else []
    lines += [f"{variable}=dotenv"] if "dotenv" in given else []
    (folder / ".env").write_text("\n".join(lines))
    if "environment file" in given:
        monkeypatch.setenv(f"{variable}_FILE", "environment file")
    if "environment" in given:
        monkeypatch.setenv(variable, "environment")
    secret = getattr(load(Settings, "test", ["--config", "fleet.toml"]), field)
    assert secret.get_secret_value() == strongest.replace(" ", "-")


def test_an_empty_variable_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_SYMBOLS", "")
    assert load(Settings, "test", []).symbols == DEFAULT_SYMBOLS


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NT_SYMBOLS", " AAPL, BTC-USDT ,,SPY")
    assert load(Settings, "test", ["--models", "ofi"]).symbols == ("AAPL", "BTC-USDT", "SPY")


def test_settings_do_not_change_afterwards() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(Settings, "test", []).host = "0.0.0.0"  # type: ignore[misc]  # the point


def test_tokens_are_those_that_are_set() -> None:
    assert load(Settings, "test", []).tokens == ()
    assert load(Settings, "test", []).token is None
    both = Settings(internal_token=SecretStr("inner"), admin_api_key=SecretStr("admin"))
    assert (both.tokens, both.token) == (("inner", "admin"), "inner")
    assert Settings(admin_api_key=SecretStr("admin")).token == "admin"


@pytest.mark.parametrize("token", ["two words", "line\nbreak", "naïve", "nul\x00"])
def test_a_token_that_no_header_can_carry_is_refused_unseen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, token: str
) -> None:
    (folder / "token").write_text(token)
    monkeypatch.setenv("NT_INTERNAL_TOKEN_FILE", "token")
    said = refused(capsys)
    assert said == "test: NT_INTERNAL_TOKEN: Value error, Expected printable ASCII characters without blanks\n"


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("NT_LOG_LEVEL", "LOUD", "test: NT_LOG_LEVEL: String should match pattern"),
        ("NT_GRPC_PORT", "x", "test: NT_GRPC_PORT: Input should be a valid integer"),
        ("NT_GRPC_PORT", "70000", "test: NT_GRPC_PORT: Input should be less than or equal to 65535, was '70000'"),
        ("NT_DRAIN_SECONDS", "nan", "test: NT_DRAIN_SECONDS: "),
        ("NT_SPEED", "0", "test: NT_SPEED: Input should be greater than 0, was '0'"),
        ("NT_ACCOUNTS", ",", "test: NT_ACCOUNTS: "),
        ("NT_CONFIG", "nosuch.toml", "test: [Errno 2] No such file or directory: 'nosuch.toml'"),
        ("DATABASE_URL_FILE", "nosuch", "test: DATABASE_URL_FILE: [Errno 2] No such file or directory: 'nosuch'"),
        ("DATABASE_URL_FILE", ".", "test: DATABASE_URL_FILE: [Errno 21]"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, value: str, complaint: str
) -> None:
    monkeypatch.setenv(variable, value)
    said = refused(capsys)
    assert said.startswith(complaint)
    assert said.count("\n") == 1


def test_each_wrong_setting_has_a_line_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NT_GRPC_PORT", "x")
    monkeypatch.setenv("NT_SPEED", "y")
    assert [line.split(":")[1] for line in refused(capsys).splitlines()] == [" NT_GRPC_PORT", " NT_SPEED"]


@pytest.mark.parametrize("content", [b"speed =", b"\xff\xfe", b"[unclosed"])
def test_a_file_that_cannot_be_read_is_named(folder: Path, capsys: pytest.CaptureFixture[str], content: bytes) -> None:
    (folder / "broken.toml").write_bytes(content)
    said = refused(capsys, ["--config", "broken.toml"])
    assert said.startswith("test: broken.toml: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--nope", CANARY], "test: unknown flag --nope; see --help\n"),
        ([f"--nope={CANARY}"], "test: unknown flag --nope; see --help\n"),
        (["--spe", "2"], "test: unknown flag --spe; see --help\n"),
        ([CANARY], "test: expected flags only; see --help\n"),
        (["--speed"], "test: argument --speed: expected one argument\n"),
        (
            ["--internal-token", CANARY],
            "test: --internal-token: a secret comes as NT_INTERNAL_TOKEN or NT_INTERNAL_TOKEN_FILE, never as a flag\n",
        ),
        (
            [f"--database-url={CANARY}"],
            "test: --database-url: a secret comes as DATABASE_URL or DATABASE_URL_FILE, never as a flag\n",
        ),
    ],
)
def test_a_wrong_flag_is_said_in_one_line_without_its_value(
    capsys: pytest.CaptureFixture[str], argv: list[str], said: str
) -> None:
    assert refused(capsys, argv) == said


@pytest.mark.parametrize("line", ["database_url = 12345678", "alpaca_secret_key = [12345678]"])
def test_a_secret_of_the_wrong_type_is_not_repeated(
    folder: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    (folder / "fleet.toml").write_text(line)
    assert "12345678" not in refused(capsys, ["--config", "fleet.toml"])


def test_a_rule_about_several_settings_does_not_repeat_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Strict(Settings):
        @model_validator(mode="before")
        @classmethod
        def _never(cls, values: object) -> object:
            raise ValueError("the keys do not fit together")

    monkeypatch.setenv("DATABASE_URL", CANARY)
    with pytest.raises(SystemExit):
        load(Strict, "test", [])
    assert capsys.readouterr().err == "test: Value error, the keys do not fit together\n"


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = ["DATABASE_URL", "REDIS_URL", "ALPACA_SECRET_KEY", "NT_INTERNAL_TOKEN", "NT_ADMIN_API_KEY"]
    for name in secrets:
        monkeypatch.setenv(name, CANARY)
    settings = load(Settings, "test", [])
    assert CANARY not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    with pytest.raises(SystemExit) as end:
        load(Settings, "test", ["--help"])
    shown = capsys.readouterr().out
    assert end.value.code == 0
    assert CANARY not in shown
    assert all(f"{name}[_FILE]" in " ".join(shown.split()) for name in secrets)


def test_the_help_names_every_setting_with_its_variable_and_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(Settings, "test", ["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--speed VALUE How fast, in % of real time. (NT_SPEED, default 1.0)" in shown
    assert "(NT_DATA_DIR, default .data)" in shown
    assert "(NT_MODELS, default empty)" in shown
    assert "(NT_ACCOUNTS, default main)" in shown


@pytest.mark.parametrize(
    ("crypto", "expected"),
    [("", "ws://127.0.0.1:9/v1beta3/crypto/us"), ("ws://elsewhere/coins", "ws://elsewhere/coins")],
)
def test_coins_are_streamed_by_the_server_of_the_shares_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, crypto: str, expected: str
) -> None:
    monkeypatch.setenv("ALPACA_STREAM_URL", "ws://127.0.0.1:9/v2/iex")
    monkeypatch.setenv("ALPACA_CRYPTO_STREAM_URL", crypto)

    assert AlpacaSettings().alpaca_crypto_stream == expected
