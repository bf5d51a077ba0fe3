"""Prints what measure.py has written down, side by side.

    table.py FILE

A row for each tool: medians, and beside them in brackets how many times
autocert's figure that is.
"""
from __future__ import annotations

import collections
import json
import os
import statistics
import sys
from collections.abc import Iterator

ROUND_TRIP = 0.1

SCENARIOS = {
    "fresh": "One certificate, and the account",
    "known": "One certificate, the account is there",
    "names": "One certificate for 100 names",
    "list": "100 certificates",
    "many": "300 certificates at once, from the suite's own CA",
}
TOOLS = {"autocert": "autocert", "system": "autocert*", "lego": "lego",
         "caddy": "Caddy", "uacme": "uacme"}

Figures = dict[str, float]
Table = dict[tuple[str, str], Figures]


def load(path: str) -> Table:
    """Medians of each scenario and tool."""
    found: dict[tuple[str, str], dict[str, list[float]]] = (
        collections.defaultdict(lambda: collections.defaultdict(list)))
    with open(path) as file:
        for line in file:
            record = json.loads(line)
            values = found[record["scenario"], record["tool"]]
            far = record.pop("far")
            for key, value in record.items():
                if isinstance(value, str) or value is None:
                    continue
                values["far_" + key if far else key].append(value)
    return {key: {name: statistics.median(list_)
                  for name, list_ in values.items()}
            for key, values in found.items()}


def add_lists(table: Table) -> None:
    """Who cannot take a list is run once for each."""
    for scenario, tool in list(table):
        if scenario == "known" and tool not in ("autocert", "system"):
            one = table[scenario, tool]
            table["list", tool] = {
                key: one[key] * (1 if key == "memory" else 100)
                for key in ("requests", "wall", "cpu", "memory")}


def cell(width: int, figures: Figures, key: str, scale: float = 1,
         digits: int = 0) -> str:
    if key not in figures:
        return "-".rjust(width)
    return f"{figures[key] * scale:{width}.{digits}f}"


def ratio(figures: Figures, base: Figures, key: str) -> str:
    if figures is base or key not in figures or not base.get(key):
        return " " * 7
    times = figures[key] / base[key]
    return f" ({times:.{1 if times < 10 else 0}f})".ljust(7)


HEAD = (" " * 10 + "requests  conns  wall ms       far ms trips CPU ms"
        "          MiB")


def row(name: str, figures: Figures, base: Figures) -> str:
    return (name.ljust(10)
            + cell(8, figures, "requests")
            + cell(7, figures, "far_connections")
            + cell(9, figures, "wall", 1000) + ratio(figures, base, "wall")
            + cell(6, figures, "far_wall", 1000)
            + cell(6, figures, "far_wall", 1 / ROUND_TRIP, 1)
            + cell(7, figures, "cpu", 1000) + ratio(figures, base, "cpu")
            + cell(6, figures, "memory", 1 / 1024, 1)
            + ratio(figures, base, "memory")).rstrip()


def remarks(scenario: str, base: Figures) -> Iterator[str]:
    """On autocert's own figures."""
    if "largest" in base:
        yield f"{base['largest'] / 1024:.1f} MiB in its larger process"
    if "wall" in base and "far_wall" in base:
        trips = (base["far_wall"] - base["wall"]) / ROUND_TRIP
        yield f"{trips:.1f} round trips more when it is far"
    if scenario == "list":
        yield f"{base['cpu'] * 10:.1f} ms of CPU for each certificate"
    if scenario == "many" and base.get("server_cpu"):
        busy = (base["server_cpu"] + base["server_waited"]) / base["wall"]
        yield (f"{base['wall'] / base['server_cpu']:.2f} times the "
               f"{base['server_cpu']:.2f} s of CPU that the CA takes")
        yield f"the CA is at work, or waits for a processor, {busy:.0%} of it"


def main() -> int:
    table = load(sys.argv[1])
    add_lists(table)
    print(f"{os.cpu_count()} processors; in brackets: times autocert's")
    for scenario, title in SCENARIOS.items():
        base = table.get((scenario, "autocert"), {})
        print(f"\n{title}\n{HEAD}")
        for tool, name in TOOLS.items():
            if (scenario, tool) in table:
                print(row(name, table[scenario, tool], base))
        for line in remarks(scenario, base):
            print(f"autocert: {line}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
