"""A server of the Open Inference Protocol for a module of tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from builders.open_inference import TOKEN, Served, Stub, a_server

from fleet import channels


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """A server and its registry."""
    async with a_server(tmp_path_factory.mktemp("models")) as found:
        yield found


@pytest.fixture
def address(served: Served) -> str:
    """Where the server listens."""
    return served[0]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def stub(served: Served) -> AsyncIterator[Stub]:
    """A caller with the token, whose errors have names."""
    async with channels.connect(served[0], token=TOKEN, client="test", default_timeout_s=60) as channel:
        yield Stub(channel)
