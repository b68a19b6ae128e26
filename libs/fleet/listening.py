"""Whether a port can be listened on, and the one way to say that it cannot."""

import errno
import socket
import sys

from trading.errors import Unavailable


def cannot_listen(address: str, error: OSError) -> Unavailable:
    """The refusal of an address, for the reason that the system gave."""
    why = "the port is taken" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return Unavailable(f"Cannot listen on {address}: {why}.", address=address)


def must_be_free(address: str) -> None:
    """Raise Unavailable unless `host:port` can be bound now; gRPC itself only logs why it could not."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if sys.platform != "win32":  # where it would steal the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise cannot_listen(address, error) from error
