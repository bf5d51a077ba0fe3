"""Ports for servers of the tests.

    ports.py free N          prints N free ports of 127.0.0.1
    ports.py wait PORT PID   returns when PORT answers; fails when PID has
                             ended, or after half a minute
"""
import os
import socket
import sys
import time

LOOPBACK = "127.0.0.1"
PATIENCE = 30


def reserve() -> int:
    """A port nobody else is given for a minute.

    Connected once and closed here, it stays in TIME_WAIT, where the kernel
    passes it over for anonymous binds but lets a server have it that sets
    SO_REUSEADDR, as servers do.
    """
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((LOOPBACK, 0))
        server.listen(1)
        with socket.create_connection(server.getsockname()):
            accepted, _ = server.accept()
            accepted.close()
        port: int = server.getsockname()[1]
        return port


def answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def wait(port: int, pid: int) -> int:
    end = time.monotonic() + PATIENCE
    while not answers(port):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return 1
        if time.monotonic() > end:
            return 1
        time.sleep(0.01)
    return 0


def main() -> int:
    if sys.argv[1:2] == ["free"] and len(sys.argv) == 3:
        print(*[reserve() for _ in range(int(sys.argv[2]))])
        return 0
    if sys.argv[1:2] == ["wait"] and len(sys.argv) == 4:
        return wait(int(sys.argv[2]), int(sys.argv[3]))
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
