"""What a service looks like inside, and what no module may do."""

import ast
import statistics
from collections.abc import Iterator

import pytest
from architecture.sources import REPOSITORY, Source, sources

SAME_TEN = {
    "__main__",
    "settings",
    "wiring",
    "rpc",
    "listeners",
    "translate",
    "ports",
    "usecases",
    "domain",
    "adapters",
}
BESIDE_THEM = {"__init__", "migrations", "models", "starter", "training", "__pycache__"}
DUMPING_GROUNDS = {"utils", "util", "helpers", "helper", "misc", "common", "base", "core", "manager", "stuff"}
LOVED = "starlette, svcs, taskiq: functions median 4-10 lines, p90 <= 30; files median 57-150"


@pytest.mark.parametrize("service", ["market_data", "inference", "execution", "portfolio"])
def test_a_service_has_the_same_ten_names_inside(service: str) -> None:
    """Whoever knows one service finds the room in the next; a room may be a module or a package."""
    names = {path.stem for path in (REPOSITORY / "services" / service).iterdir()}
    assert names - SAME_TEN - BESIDE_THEM == set()
    assert {"__main__", "settings", "wiring", "rpc", "ports", "domain", "adapters"} <= names


def test_no_module_is_a_dumping_ground() -> None:
    """A module is named for what it holds."""
    assert [source.name for source in sources() if source.path.stem in DUMPING_GROUNDS] == []


def test_every_module_says_in_a_sentence_what_it_is_for() -> None:
    """Only empty package markers and migrations may be silent."""
    silent = [
        source.name
        for source in sources()
        if source.text.strip() and not ast.get_docstring(source.tree) and "versions" not in source.path.parts
    ]
    assert silent == []


def test_every_task_is_kept() -> None:
    """A task whose handle is thrown away may vanish in the middle of its work."""
    thrown = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and _called(node.value) in {"asyncio.create_task", "asyncio.ensure_future", "loop.create_task"}
    ]
    assert thrown == []


def test_a_servicer_never_catches() -> None:
    """Errors reach the one boundary that maps and logs them."""
    catching = [
        f"{source.name}:{node.lineno}"
        for source in sources("services")
        if "rpc" in {source.path.stem, source.path.parent.name}
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Try) and node.handlers
    ]
    assert catching == []


def test_every_broad_except_says_why() -> None:
    """`except Exception` stands at a boundary, and its line or the next one says which."""
    unexplained = [
        f"{source.name}:{node.lineno}"
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or _called(node.type) in {"Exception", "BaseException"})
        and not any("#" in line for line in source.text.splitlines()[node.lineno - 1 : node.lineno + 1])
    ]
    assert unexplained == []


def test_nothing_sleeps_on_an_event_loop() -> None:
    """`time.sleep` belongs to threads and to the supervisor's command line."""
    sleeping = [
        f"{source.name}:{node.lineno}"
        for source in sources("services")
        for function in ast.walk(source.tree)
        if isinstance(function, ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and _called(node) == "time.sleep"
    ]
    assert sleeping == []


def test_sizes_beside_the_loved_codebases(capsys: pytest.CaptureFixture[str]) -> None:
    """Printed, not enforced; nesting that a reader cannot follow is."""
    files = [len(source.text.splitlines()) for source in sources() if source.text.strip()]
    functions = sorted(length for source in sources() for length in _function_lengths(source))
    with capsys.disabled():
        print(
            f"\nfiles: {len(files)}, median {statistics.median(files):.0f}, max {max(files)} lines; "
            f"functions: {len(functions)}, median {statistics.median(functions):.0f}, "
            f"p90 {functions[int(len(functions) * 0.9)]} lines ({LOVED})"
        )
    assert statistics.median(functions) <= 12
    assert functions[int(len(functions) * 0.9)] <= 30


def _function_lengths(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            yield node.end_lineno - node.lineno + 1


def _called(node: ast.expr) -> str:
    target = node.func if isinstance(node, ast.Call) else node
    return ast.unparse(target)
