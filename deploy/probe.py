"""Asks the process of this container whether it is ready: exit code 0, or 1 with its answer on stderr.

`probe.py [PORT [PATH]]`; without a port it is the one of the service's metrics. It runs every few seconds in
every container, so it imports next to nothing.
"""

import os
import socket
import sys

TIMEOUT_S = 2.0
LONGEST_ANSWER = 4096


def main(arguments: list[str]) -> int:
    """Ask once; a refused connection or an answer in a wrong form is a no."""
    port = int(arguments[0]) if arguments else metrics_port()
    path = arguments[1] if len(arguments) > 1 else "/readyz"
    try:
        answer = ask(port, path)
    except OSError as error:
        answer = f"{port}{path}: {error}"
    if answer.startswith("HTTP/") and answer.split(maxsplit=2)[1] == "200":
        return 0
    print(answer, file=sys.stderr)
    return 1


def metrics_port() -> int:
    """The port that the service was told, or its default."""
    if told := os.environ.get("NT_METRICS_PORT"):
        return int(told)
    from fleet.supervisor.ports import METRICS

    return METRICS[os.environ["SERVICE"]]


def ask(port: int, path: str) -> str:
    """The head and the beginning of the body that `path` answers; raises OSError when nobody listens."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = b""
        while len(answer) < LONGEST_ANSWER and (part := connection.recv(LONGEST_ANSWER)):
            answer += part
    return answer.decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
