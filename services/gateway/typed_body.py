"""What bodies that msgspec reads have in common: nothing is raised, because the answer may have to cross processes."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import msgspec

ReadT = TypeVar("ReadT")
_KEY = re.compile(r"\.(\w+)|\[(\d+)\]")


def no_json(
    refused: Callable[[str], ReadT],
) -> Callable[[Callable[[bytes], ReadT]], Callable[[bytes], ReadT]]:
    """Makes a reader of bodies give `refused(why)` for what is no JSON at all."""

    def guarding(read: Callable[[bytes], ReadT]) -> Callable[[bytes], ReadT]:
        @wraps(read)
        def guarded(body: bytes) -> ReadT:
            try:
                return read(body)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                return refused(f"The body is no JSON: {error}")
            except RecursionError:
                return refused("The body is nested too deeply.")

        return guarded

    return guarding


def said_of(error: msgspec.ValidationError) -> tuple[str, str]:
    """What is wrong with a body, as a sentence, and where: `rows.3.price`."""
    said, _, path = str(error).partition(" - at `$")
    return f"{said}.", ".".join(name or place for name, place in _KEY.findall(path.rstrip("`")))


def shapes_of(*kinds: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON schemas of bodies, by name."""
    return msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")[1]
