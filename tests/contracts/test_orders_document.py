"""What docs/orders.md promises is what the code does."""

import ast
import re
from pathlib import Path

from services.execution.domain import risk
from services.execution.domain.limits import RiskLimits
from services.execution.settings import Settings
from services.gateway.schemas.reports import COMPARISON_COLUMNS, STATEMENT_COLUMNS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "orders.md").read_text()
DENIALS = re.compile(r"^\| `([A-Z_]+)` \| [^|]+ \| ([a-z_, ]*)\|$", re.MULTILINE)
CODE = re.compile(r"[A-Z]+(_[A-Z]+)+")
FORMS_OF_A_SESSION = {"LIMIT_UP", "LIMIT_DOWN"}


def codes() -> set[str]:
    """Every code that the checks can deny with: the first argument of each denial, and the states of a session."""
    calls = [
        node
        for file in Path(risk.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.lower() == "denial"
    ]
    found = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    return {code for code in found if isinstance(code, str) and CODE.fullmatch(code)} | FORMS_OF_A_SESSION


def test_every_denial_code_is_explained_and_no_other() -> None:
    assert {code for code, _ in DENIALS.findall(DOCUMENT)} == codes()


def test_every_limit_is_named() -> None:
    names = {name.removesuffix("_nanos") for name in RiskLimits.__dataclass_fields__} - {"account", "updated_time_ns"}
    assert {name for name in names if f"`{name}`" not in DOCUMENT} == set()


def test_the_columns_of_the_files_are_named_in_their_order() -> None:
    for columns in (STATEMENT_COLUMNS[1:], COMPARISON_COLUMNS):
        assert ", ".join(f"`{name}`" for name in columns) in " ".join(DOCUMENT.split())


def test_the_first_limits_of_an_account_are_the_settings() -> None:
    first = {name: field.default for name, field in Settings.model_fields.items() if name.startswith("default_")}
    assert first == {
        "default_max_order_notional": 1_000_000.0,
        "default_price_collar": 0.1,
        "default_max_quote_age_seconds": 15.0,
        "default_max_open_orders": 10_000,
        "default_refuse_self_trades": True,
    }
    told = "notional of 1,000,000, a collar of 0.1, quotes of at most 15 s, 10,000 open orders, and self-trades refused"
    assert told in " ".join(DOCUMENT.split())
