"""A port that cannot be listened on is refused for the system's reason."""

import socket

import pytest
from servers import free_port

from fleet.listening import must_be_free
from trading.errors import Unavailable


def test_a_free_port_passes_and_stays_free() -> None:
    address = f"127.0.0.1:{free_port()}"
    for _ in range(2):
        must_be_free(address)


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Unavailable, match=f"Cannot listen on {address}: the port is taken") as failure:
            must_be_free(address)
    assert failure.value.metadata == {"address": address}


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_that_is_not_ours_is_refused_for_its_own_reason(host: str) -> None:
    with pytest.raises(Unavailable) as failure:
        must_be_free(f"{host}:{free_port()}")
    assert "taken" not in str(failure.value)


def test_an_address_of_the_newer_kind_is_understood() -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("This machine has no IPv6.")
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as taken,
        pytest.raises(Unavailable, match="the port is taken"),
    ):
        must_be_free(f"[::1]:{taken.getsockname()[1]}")
