"""Runs a command and writes down what it cost.

    measure.py --results FILE --scenario NAME --tool NAME [OPTION...] COMMAND...

Adds a line of JSON to FILE: wall and CPU time in seconds, the latter of the
whole tree of processes; peak memory in KiB, of those that ran at the same time
together, and of the largest; and, of the server, requests, connections, CPU
time, and how long it had to wait for a processor.

--log FILE      the server's log: of Pebble, or JSON of the suite's own CA
--count FILE    what proxy.py --count writes, and
--proxy PORT    where it listens
--server PID    whose tree of processes is the server
--until GLOB    the command goes on for ever: it has done its work when such a
                file is there, and is ended then
--limit SEC     then it has hung: everything is killed and the status is 124
"""
from __future__ import annotations

import argparse
import glob
import json
import os
import re
import resource
import select
import signal
import socket
import subprocess
import time

INTERVAL = 0.005
REQUEST = re.compile(rb'(GET|HEAD|POST) /\S* -> calling|^\{.*"kind": ', re.M)


def read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def tree(pid: int) -> list[int]:
    """The process and all that descend from it."""
    pids = [pid]
    for task in glob.glob(f"/proc/{pid}/task/*/children"):
        for child in read(task).split():
            pids += tree(int(child))
    return pids


class Memory:
    """Peaks of a tree of processes.

    Sampled: the kernel's own record (ru_maxrss) begins with the size of whoever
    started the process, which is ours.
    """

    def __init__(self) -> None:
        self.peaks: dict[int, int] = {}
        self.together = 0

    def sample(self, pid: int) -> None:
        total = 0
        for each in tree(pid):
            found = re.search(r"VmHWM:\s*(\d+)", read(f"/proc/{each}/status"))
            if found:
                self.peaks[each] = max(self.peaks.get(each, 0), int(found[1]))
                total += self.peaks[each]
        self.together = max(self.together, total)


class Requests:
    """Those that a server logs from now on."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.offset = os.path.getsize(path) if path else 0

    def count(self) -> int | None:
        if not self.path:
            return None
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return len(REQUEST.findall(file.read()))


class Connections:
    """Those that the proxy accepts from now on.

    It numbers them.  One of our own, over which nothing is said, comes after
    all that there were, and so its number tells theirs.
    """

    def __init__(self, path: str | None, port: int) -> None:
        self.path = path
        self.port = port
        self.first = self.mark() if path else 0

    def mark(self) -> int:
        assert self.path
        before = len(self.empty())
        socket.create_connection(("127.0.0.1", self.port)).close()
        while len(self.empty()) == before:
            time.sleep(INTERVAL)
        return self.empty()[-1]

    def empty(self) -> list[int]:
        lines = [json.loads(line) for line in read(self.path or "").split("\n")
                 if line.endswith("}")]
        return sorted(line["connection"] for line in lines
                      if line["up"] == 0)

    def count(self) -> int | None:
        return self.mark() - self.first - 1 if self.path else None


class Server:
    """What its processes have run from now on, and have waited to run."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.before = self.times()

    def times(self) -> list[float]:
        total = [0.0, 0.0]
        for each in tree(self.pid) if self.pid else []:
            for thread in glob.glob(f"/proc/{each}/task/*/schedstat"):
                for i, value in enumerate(read(thread).split()[:2]):
                    total[i] += int(value) / 1e9
        return total

    def spent(self) -> list[float]:
        return [now - then for now, then in zip(self.times(), self.before)]


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(options: argparse.Namespace) -> dict[str, object]:
    memory = Memory()
    began, ended = time.monotonic(), 0.0
    child = subprocess.Popen(options.command, start_new_session=True)
    end = select.poll()
    end.register(os.pidfd_open(child.pid), select.POLLIN)
    while not end.poll(1000 * INTERVAL):
        now = time.monotonic()
        memory.sample(child.pid)
        if options.until and not ended and glob.glob(options.until):
            ended = now
            child.terminate()
        if now > began + options.limit:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return {"status": 124}
    ended = ended or time.monotonic()
    status = child.wait()
    return {"status": 0 if options.until else status,
            "wall": ended - began, "memory": memory.together,
            "largest": max(memory.peaks.values(), default=0)}


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", required=True)
    parser.add_argument("--scenario", required=True)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--log")
    parser.add_argument("--count")
    parser.add_argument("--proxy", type=int, default=0)
    parser.add_argument("--server", type=int, default=0)
    parser.add_argument("--until")
    parser.add_argument("--limit", type=float, default=120)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    options = parse_options()
    requests = Requests(options.log)
    connections = Connections(options.count, options.proxy)
    server = Server(options.server)
    result = run(options)
    status = result["status"]
    assert isinstance(status, int)
    if status == 0:
        server_cpu, waited = server.spent()
        result |= {"scenario": options.scenario, "tool": options.tool,
                   "far": bool(options.count),
                   "cpu": children_cpu(), "requests": requests.count(),
                   "server_cpu": server_cpu, "server_waited": waited,
                   "connections": connections.count()}
        with open(options.results, "a") as file:
            file.write(json.dumps(result) + "\n")
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    raise SystemExit(main())
