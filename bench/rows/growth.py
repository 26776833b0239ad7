"""P12: a ledger with millions of documents against an empty one."""

import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

from harness import sluice
from harness.load import closed_loop, simulate
from harness.machine import EXAMPLES, OTHER_CORE, SERVER_CORE
from harness.result import Result, median, spread

READ_AT_ONCE = 16 << 20


def p12(bench):
    asked = 10_000_000
    documents = asked if bench.long else asked // 10
    full = bench.data("p12.full")
    began = time.monotonic()
    subprocess.run([EXAMPLES / "fill", full, str(documents)], check=True, stdout=subprocess.DEVNULL)
    size = store(full).stat().st_size / 1e9
    print(f"    {documents:,} documents, {size:.1f} GB, written in {time.monotonic() - began:.0f} s", flush=True)

    # Two backlogs a round; more than are acknowledged on two cores.
    bench.requests.at_least(2 * 100_000 * bench.seconds * bench.pairs)
    rounds, used = [], 0
    for number in range(bench.pairs):
        empty = bench.data("p12.empty", number)
        turns = {"empty": turn(bench, empty, used, number)}
        shutil.rmtree(empty)
        # The same requests as on the empty store; a full one must not have them a second time.
        turns["in memory"] = turn(bench, full, used, number, state=in_memory)
        turns["from disk"] = turn(bench, full, turns["in memory"]["used"], number + bench.pairs, state=from_disk)
        used = turns["from disk"]["used"]
        rounds.append(turns)
        told = ", ".join(f"{name} {each['p99_ms']:.1f} ms and {each['applied_per_s']:,.0f}/s" for name, each in turns.items())
        print(f"    ack p99 and applied: {told}; kept", flush=True)

    what = f"{documents:,} ledger documents ({size:.1f} GB), {{}}, against none: ack p99 at 2,000/s, apply rate"
    results = []
    for state, target in (("in memory", "≤ 1.3x"), ("from disk", "")):
        latency = [turns[state]["p99_ms"] / turns["empty"]["p99_ms"] for turns in rounds]
        apply = [turns["empty"]["applied_per_s"] / turns[state]["applied_per_s"] for turns in rounds]
        fits = median(latency) <= 1.3 and median(apply) <= 1.3
        measured = f"ack p99 {spread(latency, '{:.2f}')} times as long, applying {spread(apply, '{:.2f}')} times as slow"
        met = fits if bench.long or not fits else None
        results.append(Result("P12", what.format(state), target, met, measured, {"rounds": rounds} if target else {}))
    return results


def turn(bench, data, skip, seed, state=nullcontext):
    """A backlog drained by processors alone, with the documents' file in that state; then an open loop with its verify phase."""
    server = sluice.one_machine(data, env=sluice.INGEST_ONLY)
    load = closed_loop(server.port, bench.requests, connections=64, seconds=bench.seconds, skip=skip)
    server.stop()
    with state(data):
        server = sluice.one_machine(data, core=SERVER_CORE)
        began, backlog = time.monotonic(), sluice.waiting(data)
        while sluice.waiting(data):
            time.sleep(0.1)
        rate = backlog / (time.monotonic() - began)
    report = simulate(
        server.port, data, bench.folder, "--rate", 2000, "--count", 4000 * bench.seconds, "--connections", 64,
        "--seed", 100 + seed, core=OTHER_CORE,
    )
    server.stop()
    return {"applied_per_s": rate, "p99_ms": report["latency"]["p99_ms"], "report": report, "used": load["used"]}


@contextmanager
def in_memory(data):
    """Read through, and again each second on the other core: some kernels drop in seconds what nobody reads, whatever is free."""
    done = threading.Event()

    def keep():
        os.sched_setaffinity(0, {OTHER_CORE})
        while not done.wait(1):
            read(data)

    read(data)
    keeper = threading.Thread(target=keep)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


@contextmanager
def from_disk(data):
    """Dropped from memory, as after a start of the machine."""
    with store(data).open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    yield


def read(data):
    piece = bytearray(READ_AT_ONCE)
    with store(data).open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def store(data):
    return Path(data) / "documents.sqlite"
