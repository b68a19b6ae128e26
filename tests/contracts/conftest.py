"""Where the stores of execution keep what they are told, in their contract tests."""

import pytest


@pytest.fixture(params=["fake", "sqlite", "postgresql"])
def kept_in(request: pytest.FixtureRequest) -> str | None:
    """Where the log is kept: None in memory, "" in a SQLite file, else a Postgres URL."""
    if request.param == "fake":
        return None
    return "" if request.param == "sqlite" else str(request.getfixturevalue("postgres_url"))
