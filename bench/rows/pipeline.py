"""P6, P7, P8: from the vendor's request to the ledger, on all cores. `--verify` ends each."""

import threading

from harness import sluice
from harness.result import Result, median, spread
from harness.load import simulate
from rows.open_loop import latencies, open_loop

RATES = (4000, 6000, 8000, 10_000)


def p6(bench):
    """The most of these rates that the backlog does not grow at: its second half is no higher than its first."""
    best, lines = 0, {}
    for rate in RATES:
        data = bench.data("p6", rate)
        server = sluice.one_machine(data)
        with Backlog(data) as backlog:
            seconds = bench.seconds * 4
            report = simulate(
                server.port, data, bench.folder, "--rate", rate, "--count", rate * seconds, "--connections", 64
            )
        server.stop()
        # The verify phase comes after the load: it is not part of the halves.
        during = backlog.seen[:seconds]
        first, second = median(during[: seconds // 2]), median(during[seconds // 2 :])
        # A backlog that one second's work clears is none.
        flat = second <= max(first * 1.5, rate) and report["rate"] >= rate * 0.95
        best = rate if flat else best
        lines[rate] = {"first_half": first, "second_half": second, "flat": flat, "report": report}
        print(f"    {rate:,}/s: {report['rate']:,.0f}/s acknowledged, {latencies([report])}; waiting, looked at each "
              f"second: median {first:,.0f}, then {second:,.0f}; kept", flush=True)
        if not flat:
            break
    waiting = ", ".join(f"{line['first_half']:,.0f} and {line['second_half']:,.0f} at {rate:,}/s" for rate, line in lines.items())
    measured = f"{best:,}/s; waiting in the median of the first and second half: {waiting}"
    what = "callbacks/s acknowledged and applied, backlog flat, 2 cores"
    return [Result("P6", what, "≥ 4,000/s", best >= 4000, measured, {"rates": lines})]


class Backlog:
    """What waits, once a second."""

    def __init__(self, data):
        self.data, self.seen, self.over = data, [], threading.Event()

    def __enter__(self):
        def look():
            while not self.over.wait(1):
                self.seen.append(sluice.waiting(self.data))

        self.thread = threading.Thread(target=look)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def p7(bench):
    rate, reports = 1000, []
    for number in range(bench.pairs):
        data = bench.data("p7", number)
        server = sluice.one_machine(data)
        reports.append(open_loop(bench, server.port, data, rate))
        server.stop()
    of = lambda key: [report["verdict"]["applied"][key] for report in reports]
    show = lambda key: spread(of(key), "{:.1f}")
    measured = f"p50 {show('p50_ms')}, p99 {show('p99_ms')}, p99.9 {show('p99_9_ms')} ms, of every event in the ledger"
    what = f"callback received to applied, p99, at {rate:,}/s"
    return [Result("P7", what, "< 250 ms", median(of("p99_ms")) < 250, measured, {"runs": reports})]


def p8(bench):
    """The same rate without repeats and with 65 % of them: what the repeats cost is what the uniques do not explain."""
    rate, share, pairs = 5000, 0.65, []
    for number in range(bench.pairs):
        unique = storm(bench, bench.data("p8.unique", number), rate, 0.0)
        mixed = storm(bench, bench.data("p8.storm", number), rate, share)
        repeats = mixed["planned"] - mixed["callbacks"]
        each_unique = unique["cpu_s"] / unique["planned"]
        each_repeat = (mixed["cpu_s"] - mixed["callbacks"] * each_unique) / repeats
        pairs.append({"unique_us": each_unique * 1e6, "duplicate_us": each_repeat * 1e6, "ratio": each_repeat / each_unique})
        print(f"    a unique {each_unique * 1e6:.0f} µs, a duplicate {each_repeat * 1e6:.0f} µs; kept", flush=True)
    of = lambda key, form: spread([pair[key] for pair in pairs], form)
    ratio = median([pair["ratio"] for pair in pairs])
    measured = f"{of('ratio', '{:.2f}')}: {of('duplicate_us', '{:.0f}')} µs against {of('unique_us', '{:.0f}')} µs"
    what = "CPU of a duplicate against a unique, 65 % duplicates at 5,000/s; uniques applied once"
    return [Result("P8", what, "≤ 0.6", ratio <= 0.6, measured, {"pairs": pairs})]


def storm(bench, data, rate, share):
    server = sluice.one_machine(data)
    before = server.cpu_seconds()
    count = round(rate * bench.seconds * 2 * (1 - share))
    report = simulate(
        server.port, data, bench.folder, "--rate", rate, "--count", count, "--duplicates", share, "--connections", 64
    )
    # The verify phase has waited for the last one to be applied.
    report["cpu_s"] = server.cpu_seconds() - before
    server.stop()
    return report
