"""Which SQL a stranger may ask: one SELECT over the tables of the history, and nothing that opens a file."""

import re

from trading.errors import InvalidArgument

LONGEST = 16_384
_START = re.compile(r"\s*\(*\s*(select|with)\b", re.IGNORECASE)
_FILE_READER = re.compile(r"(read|scan)_", re.IGNORECASE)


def checked_sql(sql: str) -> str:
    """The statement when it may run; raises InvalidArgument.

    The engine's functions that open files all begin with `read_` or `scan_`. The letters are refused wherever they
    stand, also in a text or a comment: no trick of quoting can then hide them.
    """
    if not 0 < len(sql) <= LONGEST:
        raise InvalidArgument(f"Expected a SELECT of at most {LONGEST} characters.", field="sql", characters=len(sql))
    if _START.match(sql) is None:
        raise InvalidArgument("Expected one SELECT over bars, quotes and trades.", field="sql")
    if _FILE_READER.search(sql):
        raise InvalidArgument("Expected no read_ or scan_: only bars, quotes and trades can be read.", field="sql")
    return sql
