"""wrk in closed loop, `sluice simulate` in open loop with its verify phase."""

import json
import os
import resource
import struct
import subprocess
from pathlib import Path

from .machine import CONFIGURATION, EXAMPLES, OTHER_CORE, ROOT, SLUICE, fail


class Requests:
    """Distinct signed requests in a file, for `bench/post.lua`. Written once, as many as a row needs at the most."""

    def __init__(self, folder):
        self.file, self.count = Path(folder) / "requests", 0

    def at_least(self, count):
        if count > self.count:
            print(f"    (writing {count:,} signed requests)", flush=True)
            command = [EXAMPLES / "requests", self.file, str(count), "127.0.0.1:7071", CONFIGURATION / "sluice.toml"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            self.count = count
        return self

    def first(self):
        """The first one, for what needs a single genuine callback."""
        return self.nth(0)

    def nth(self, number):
        with self.file.open("rb") as file:
            for _ in range(number):
                (length,) = struct.unpack("<I", file.read(4))
                file.seek(length, 1)
            (length,) = struct.unpack("<I", file.read(4))
            return file.read(length)


def closed_loop(port, requests, *, connections, seconds, skip=0, core=OTHER_CORE, timeout=15, warming_up=False):
    """So many connections, each with one request at a time, for so long; every request once.

    Returns requests acked and refused (no 2xx), per second, latencies in ms, and how many requests were used up.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{timeout}s", "-s", ROOT / "bench/post.lua"]
    command += [f"http://127.0.0.1:{port}", "--", requests.file, str(skip)]
    before = cpu_of_children()
    pin = lambda: os.sched_setaffinity(0, {core})
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, preexec_fn=pin)
    line = next((line for line in done.stdout.splitlines() if line.startswith("{")), None)
    if line is None:
        fail(f"wrk failed:\n{done.stdout}{done.stderr}")
    result = json.loads(line)
    result["generator_cpu_s"] = cpu_of_children() - before
    # What was on the wire at the end was sent too, and a thread may have drawn one more for each connection.
    result["used"] = skip + result["requests"] + 2 * connections + 1
    if result["broken"] or (result["acked"] == 0 and not warming_up):
        fail(f"wrk: {result['broken']} requests without an answer, {result['acked']} acknowledged:\n{done.stdout}")
    if result["used"] > requests.count:
        fail(f"the file's {requests.count:,} requests did not suffice")
    return result


def cpu_of_children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def simulate(port, data, folder, *arguments, core=None, verify=True):
    """`sluice simulate` in open loop (or closed, without --rate); fails unless the ledger is as it should be.

    Latency counts from the moment a request was due. Returns its report.
    """
    report = Path(folder) / "simulate.json"
    command = [SLUICE, "simulate", "--root", CONFIGURATION, "--url", f"http://127.0.0.1:{port}", "--data", data]
    command += ["--vendor", "twilio", "--json", report, *arguments, *(["--verify"] if verify else [])]
    pin = (lambda: os.sched_setaffinity(0, {core})) if core is not None else None
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, preexec_fn=pin)
    if done.returncode:
        fail(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return json.loads(report.read_text())
