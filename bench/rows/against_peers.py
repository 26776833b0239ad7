"""P3, P14: the handler against what a team would write by hand, on the same broker; see bench/peers."""

from harness import peers
from harness.result import Result, median, spread


def p3_p14(bench):
    programs = ["sluice", "node", "python, pool"]
    peers.install(programs)
    turns = peers.compare(bench.folder, bench.memory, bench.requests, bench.pairs, bench.seconds, programs, connections=(64,))
    results = []
    for other, times, share in (("node", 5, 3), ("python, pool", 25, 15)):
        faster, leaner = peers.ratios(turns, other)
        rates = f"{spread(peers.figures(turns, 'sluice', 64, 'rate'))}/s against {spread(peers.figures(turns, other, 64, 'rate'))}/s"
        cpu = [median(peers.figures(turns, name, 64, "cpu_s_per_million")) for name in ("sluice", other)]
        what = {"node": "Node fastify + SDK", "python, pool": "Python FastAPI + SDK, pool of senders"}[other]
        results.append(Result("P3", f"acks/s at c=64 over AMQP against {what}", f"≥ {times}x", median(faster) >= times,
                              f"{spread(faster, '{:.1f}')}x: {rates}", {"ratios": faster}))
        results.append(Result("P14", f"CPU for each ack against {what}", f"≤ 1/{share}", median(leaner) >= share,
                              f"1/{spread(leaner, '{:.1f}')}: {cpu[0]:,.0f} s a million against {cpu[1]:,.0f} s",
                              {"ratios": leaner}))
    results[0].figures["turns"] = turns
    return results
