"""Where everything listens; the defaults that compose and Kubernetes share."""

import socket
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
GATEWAY: Final = 8080
NATS: Final = 4222
PAPER_VENUE: Final = 8090
GRPC: Final = {"market_data": 50051, "inference": 50052, "execution": 50053, "portfolio": 50054}
METRICS: Final = {
    "market_data": 9101,
    "inference": 9102,
    "execution": 9103,
    "portfolio": 9104,
    "gateway": 9105,
    "paper_venue": 9106,
}


@dataclass(frozen=True, slots=True)
class Ports:
    """One port for each listener of a fleet."""

    gateway: int
    nats: int
    paper_venue: int
    grpc: dict[str, int]
    metrics: dict[str, int]


def choose() -> Ports:
    """The default ports, each replaced by a free one where it is taken."""
    chosen: set[int] = set()
    return Ports(
        gateway=_free(GATEWAY, chosen),
        nats=_free(NATS, chosen),
        paper_venue=_free(PAPER_VENUE, chosen),
        grpc={name: _free(port, chosen) for name, port in GRPC.items()},
        metrics={name: _free(port, chosen) for name, port in METRICS.items()},
    )


def _free(wanted: int, chosen: set[int]) -> int:
    port = wanted if wanted not in chosen and _can_bind(wanted) else _any_free(chosen)
    chosen.add(port)
    return port


def _can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _any_free(chosen: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = int(probe.getsockname()[1])
        if port not in chosen:
            return port
