"""P12: a ledger with millions of documents against an empty one."""

import shutil
import subprocess
import time
from pathlib import Path

from harness import sluice
from harness.load import closed_loop, simulate
from harness.machine import EXAMPLES, OTHER_CORE, SERVER_CORE
from harness.result import Result, median, spread


def p12(bench):
    asked = 10_000_000
    documents = asked if bench.long else asked // 10
    full = bench.data("p12.full")
    began = time.monotonic()
    subprocess.run([EXAMPLES / "fill", full, str(documents)], check=True, stdout=subprocess.DEVNULL)
    size = sum(path.stat().st_size for path in Path(full).iterdir() if path.is_file()) / 1e9
    print(f"    {documents:,} documents, {size:.1f} GB, written in {time.monotonic() - began:.0f} s", flush=True)

    # More than are acknowledged on two cores.
    bench.requests.at_least(100_000 * bench.seconds * bench.pairs)
    pairs, used = [], 0
    for number in range(bench.pairs):
        empty = bench.data("p12.empty", number)
        pair = {}
        for name, data in (("empty", empty), ("full", full)):
            pair[name], used_now = turn(bench, data, used, number)
        used = used_now
        shutil.rmtree(empty)
        pair["latency"] = pair["full"]["p99_ms"] / pair["empty"]["p99_ms"]
        pair["apply"] = pair["empty"]["applied_per_s"] / pair["full"]["applied_per_s"]
        pairs.append(pair)
        print(f"    ack p99 {pair['empty']['p99_ms']:.1f} and {pair['full']['p99_ms']:.1f} ms, applied "
              f"{pair['empty']['applied_per_s']:,.0f} and {pair['full']['applied_per_s']:,.0f}/s; kept", flush=True)
    latency, apply = ([pair[key] for pair in pairs] for key in ("latency", "apply"))
    fits = median(latency) <= 1.3 and median(apply) <= 1.3
    measured = f"ack p99 {spread(latency, '{:.2f}')} times as long, applying {spread(apply, '{:.2f}')} times as slow"
    what = f"{documents:,} ledger documents ({size:.1f} GB) against none: ack p99 at 2,000/s, apply rate"
    return [Result("P12", what, "≤ 1.3x", fits if bench.long or not fits else None, measured, {"pairs": pairs})]


def turn(bench, data, skip, seed):
    """A backlog drained by processors alone, then an open loop with its verify phase."""
    server = sluice.one_machine(data, env=sluice.INGEST_ONLY)
    load = closed_loop(server.port, bench.requests, connections=64, seconds=bench.seconds, skip=skip)
    server.stop()
    server = sluice.one_machine(data, core=SERVER_CORE)
    began, before = time.monotonic(), sluice.waiting(data)
    while sluice.waiting(data):
        time.sleep(0.1)
    rate = before / (time.monotonic() - began)
    report = simulate(
        server.port, data, bench.folder, "--rate", 2000, "--count", 4000 * bench.seconds, "--connections", 64,
        "--seed", 100 + seed, core=OTHER_CORE,
    )
    server.stop()
    return {"applied_per_s": rate, "p99_ms": report["latency"]["p99_ms"], "report": report}, load["used"]
