"""P4, P5: how long vendors wait at a given rate, with everything running. `--verify` ends each."""

import threading

from harness import sluice
from harness.load import simulate
from harness.machine import OTHER_CORE, SERVER_CORE
from harness.result import Result, median, spread
from harness.server import exchange


def p4(bench):
    rate = 2000
    runs = {"embedded": [], "AMQP": []}
    for number in range(bench.pairs):
        data = bench.data("p4", number)
        server = sluice.one_machine(data, core=SERVER_CORE)
        runs["embedded"].append(open_loop(bench, server.port, data, rate, core=OTHER_CORE))
        server.stop()

        data = bench.data("p4.amqp", number)
        system = sluice.OverAmqp(data, processors=True)
        with Sweeping(system.server.port):
            runs["AMQP"].append(open_loop(bench, system.server.port, f"{data}.broker", rate, core=OTHER_CORE))
        system.stop()
    results = []
    for name, reports in runs.items():
        p99 = median([report["latency"]["p99_ms"] for report in reports])
        what = f"ack p99 at {rate:,}/s open loop, everything running, {name}"
        results.append(Result("P4", what, "< 5 ms", p99 < 5, latencies(reports), {"runs": reports}))
    return results


def p5(bench):
    rate, reports = 5000, []
    for number in range(bench.pairs):
        data = bench.data("p5", number)
        server = sluice.one_machine(data)
        reports.append(open_loop(bench, server.port, data, rate))
        server.stop()
    worst = median([report["latency"]["p99_9_ms"] for report in reports])
    what = f"ack p99.9 at {rate:,}/s open loop, all processors on the same 2 cores"
    return [Result("P5", what, "< 50 ms", worst < 50, latencies(reports), {"runs": reports})]


def open_loop(bench, port, data, rate, *arguments, core=None):
    count = rate * bench.seconds * 2
    options = ["--rate", rate, "--count", count, "--connections", 64, *arguments]
    report = simulate(port, data, bench.folder, *options, core=core)
    print(f"    {latencies([report])}, {report['rate']:,.0f}/s acknowledged; kept", flush=True)
    return report


def latencies(reports):
    of = lambda key: spread([report["latency"][key] for report in reports], "{:.1f}")
    return f"p50 {of('p50_ms')}, p99 {of('p99_ms')}, p99.9 {of('p99_9_ms')} ms"


class Sweeping:
    """The timer that the Functions host would fire: brings back what the handler had to spool."""

    CALL = (
        b'{"Data":{"timer":{"Schedule":{"AdjustForDST":true},"ScheduleStatus":null,"IsPastDue":false}},'
        b'"Metadata":{"sys":{"MethodName":"sweep-retries","UtcNow":"2026-01-01T00:00:00Z",'
        b'"RandGuid":"fa3b2fbc-26ed-4fcb-be75-82db8773b519"}}}'
    )

    def __init__(self, port):
        head = f"POST /sweep-retries HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.request = f"{head}content-length: {len(self.CALL)}\r\n\r\n".encode() + self.CALL
        self.port, self.over = port, threading.Event()

    def __enter__(self):
        def fire():
            while not self.over.wait(1):
                exchange(self.port, self.request)

        self.thread = threading.Thread(target=fire)
        self.thread.start()

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
