"""P1, P2, P13: the ack path alone, in closed loop. What was acknowledged is compared with what is on disk."""

import subprocess

from harness import sluice
from harness.load import closed_loop
from harness.machine import ROOT, fail
from harness.result import Result, median, spread

# More than bare axum answers.
MOST_PER_SECOND = 200_000


def p1(bench):
    what = "acks/s at c=64, durable before 2xx, one core, against bare axum"
    return [against_bare(bench, "P1", what, 0.30, sluice.Embedded)]


def p2(bench):
    """The broker stands for Service Bus: its files are in memory, and on this machine's disk for comparison."""
    what = "P1 with the bus over AMQP; broker (files in memory) and generator on the other core"
    in_memory = lambda data: sluice.OverAmqp(data, broker=bench.in_memory(data))
    on_disk = "the same with the broker's files on disk, which both then wait for"
    return [
        against_bare(bench, "P2", what, 0.35, in_memory),
        against_bare(bench, "P2", on_disk, None, sluice.OverAmqp),
    ]


def against_bare(bench, row, what, target, system):
    bench.requests.at_least(MOST_PER_SECOND * bench.seconds)
    pairs = []
    for number in range(bench.pairs):
        baseline = sluice.Bare(bench.folder)
        bare = closed_loop(baseline.server.port, bench.requests, connections=64, seconds=bench.seconds)
        baseline.stop()
        ours = acked(system(bench.data(row, number)), bench, 64)
        pairs.append({"bare": bare, "sluice": ours, "ratio": ours["rate"] / bare["rate"]})
        print(f"    bare {bare['rate']:,.0f}/s, sluice {ours['rate']:,.0f}/s, p99 {ours['p99_ms']:.1f} ms, "
              f"refused {ours['refused']}, {ours['acked']:,} acked, {ours['kept']:,} kept", flush=True)
    ratio = median([pair["ratio"] for pair in pairs])
    rates = spread([pair["sluice"]["rate"] for pair in pairs])
    bares = spread([pair["bare"]["rate"] for pair in pairs])
    measured = f"{spread([pair['ratio'] for pair in pairs], '{:.3f}')}: {rates}/s against {bares}/s, {len(pairs)} pairs"
    met = ratio >= target if target else None
    return Result(row, what, f"≥ {target:.2f}" if target else "", met, measured, {"pairs": pairs})


def acked(system, bench, connections, seconds=None):
    """A closed loop against a system, which is stopped then; fails unless everything acknowledged is on disk."""
    cpu = system.server.cpu_seconds()
    load = closed_loop(system.server.port, bench.requests, connections=connections, seconds=seconds or bench.seconds)
    load["cpu_s_per_million"] = (system.server.cpu_seconds() - cpu) / load["acked"] * 1e6
    load["kept"] = system.kept()
    system.stop()
    if load["kept"] < load["acked"]:
        fail(f"LOST: {load['acked']} acknowledged, {load['kept']} kept")
    return load


FLUSH_MS = 5


def p13(bench):
    """A cloud disk: a library between the program and libc adds 5 ms to every flush."""
    library = f"{bench.folder}/flush_delay.so"
    compile = ["cc", "-shared", "-fPIC", "-O2", "-o", library, ROOT / "bench/flush_delay.c", "-ldl"]
    subprocess.run(compile, check=True)
    env = {"LD_PRELOAD": library, "FLUSH_DELAY_MS": str(FLUSH_MS)}
    bench.requests.at_least(50_000 * bench.seconds)

    # One request at a time cannot be faster than the flushes, or the delay is not there.
    alone = acked(sluice.Embedded(bench.data("p13.alone"), env), bench, 1, 2)
    if alone["rate"] > 1000 / FLUSH_MS:
        fail(f"the flush delay has no effect: {alone['rate']:.0f}/s on one connection")
    runs = [acked(sluice.Embedded(bench.data("p13", number), env), bench, 256) for number in range(bench.pairs)]
    for run in runs:
        print(f"    {run['rate']:,.0f}/s, p99 {run['p99_ms']:.1f} ms, {run['acked']:,} acked, {run['kept']:,} kept")
    rates = [run["rate"] for run in runs]
    measured = (f"{spread(rates)}/s, p99 {median([run['p99_ms'] for run in runs]):.0f} ms; "
                f"{alone['rate']:.0f}/s on one connection")
    what = "acks/s at c=256 with 5 ms added to every flush, one core"
    return [Result("P13", what, "≥ 10,000/s", median(rates) >= 10_000, measured, {"runs": runs, "alone": alone})]
