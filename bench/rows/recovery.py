"""P11: killed with a million callbacks queued, and started again."""

import time

from harness import sluice
from harness.load import closed_loop
from harness.machine import fail
from harness.result import Result

BACKLOG = 1_000_000
# The drain is watched for so long; with --long until nothing is left.
WATCHED = 40
# P6's target.
RATE = 4000


def p11(bench):
    data = bench.data("p11")
    requests = bench.requests.at_least(BACKLOG + 400_000)
    acked, used = fill(data, requests)
    queued = sluice.waiting(data)
    if queued < acked:
        fail(f"LOST: {acked} acknowledged, {queued} queued after the kill")
    print(f"    {acked:,} acked, then killed: {queued:,} queued", flush=True)

    server = sluice.start(data)
    # A callback that has not been sent before.
    started = server.until_2xx(requests.nth(used + 1))
    began, before = time.monotonic(), sluice.waiting(data)
    left = before
    while left > 0 and (bench.long or time.monotonic() - began < WATCHED):
        time.sleep(1)
        left = sluice.waiting(data)
    rate = (before - left) / (time.monotonic() - began)
    server.kill()
    # Whatever the kill interrupted is in exactly one of the two, or in both for a moment: applied and not yet completed.
    applied, left = sluice.events_in_ledger(data), sluice.waiting(data)
    if applied + left < queued + 1:
        fail(f"LOST: {queued + 1} were queued, {applied} applied and {left} waiting")
    if left == 0 and applied != queued + 1:
        fail(f"{queued + 1} were queued and {applied} applied")
    figures = {"acked": acked, "queued": queued, "start_s": started, "drained_per_s": rate, "applied": applied, "left": left}
    print(f"    {applied:,} applied, {left:,} left", flush=True)
    measured = f"first 2xx after {started * 1000:,.0f} ms, {rate:,.0f}/s drained"
    what = f"start and drain after a kill with {queued:,} callbacks queued"
    return [Result("P11", what, "< 1 s; ≥ 4,000/s", started < 1 and rate >= RATE, measured, figures)]


def fill(data, requests):
    """Callbacks that nothing processes, then SIGKILL; how many were acknowledged, and how many requests used up."""
    server = sluice.one_machine(data, env=sluice.INGEST_ONLY)
    acked = used = 0
    while acked < BACKLOG:
        load = closed_loop(server.port, requests, connections=64, seconds=5, skip=used)
        acked, used = acked + load["acked"], load["used"]
        if load["refused"]:
            # The queue's limit, or the disk's.
            fail(f"{load['refused']} callbacks were refused with {acked:,} queued")
    server.kill()
    return acked, used
