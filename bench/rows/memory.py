"""P9, P10: memory under a steady load and after an overload; the start on the data that this leaves."""

from harness import sluice
from harness.load import simulate
from harness.result import Result, median, spread

STARTS = 5


def p9_p10(bench):
    # In full: ten minutes, and as long again. The ids of the first ten minutes are what duplicate detection remembers at
    # a time, so memory grows until then and not after.
    seconds = 1200 if bench.long else 60
    data = bench.data("p9")
    server = sluice.one_machine(data)
    rate = 2000
    half = ["--rate", rate, "--count", rate * seconds // 2, "--connections", 64]
    seen = {}
    for seed, name in enumerate(("half", "full"), 1):
        simulate(server.port, data, bench.folder, *half, "--seed", seed)
        seen[name] = server.memory_mb()
    # As much as it can take, with four times the connections.
    simulate(server.port, data, bench.folder, "--count", 300_000 if bench.long else 100_000, "--connections", 256, "--seed", 3)
    seen |= {"overload": server.memory_mb(), "peak": server.memory_mb("VmHWM")}
    server.stop()
    measured = (f"{seen['half']:.0f} MB after {seconds // 2} s, {seen['full']:.0f} MB after {seconds} s, {seen['overload']:.0f} MB after "
                f"256 connections in closed loop ({seen['peak']:.0f} MB at its peak)")
    fits = max(seen["full"], seen["overload"]) < 100 and seen["full"] < seen["half"] * 1.1
    met = fits if bench.long or not fits else None
    what = f"memory after {seconds // 2} and {seconds} s at {rate:,}/s, and after an overload"
    print(f"    {measured}", flush=True)
    return [Result("P9", what, "< 100 MB and flat", met, measured, seen), p10(bench, data)]


def p10(bench, data):
    """From the start of the process to the first 2xx for a genuine callback."""
    request = bench.requests.at_least(1).first()
    starts = []
    for _ in range(STARTS):
        server = sluice.start(data)
        starts.append(server.until_2xx(request) * 1000)
        server.stop()
    server = sluice.one_machine(data)
    simulate(server.port, data, bench.folder, "--count", 2000, "--seed", 4)
    server.stop()
    events = sluice.events_in_ledger(data)
    measured = f"{spread(starts)} ms on {events:,} events"
    what = f"start of the process to the first 2xx for a callback, existing data, {STARTS} starts"
    return Result("P10", what, "< 150 ms", median(starts) < 150, measured, {"starts_ms": starts, "events": events})
