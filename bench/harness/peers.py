"""The handler against what a team would write by hand: installs, starts and measures them in turns."""

import shutil
import subprocess
import sys

from . import sluice
from .load import closed_loop
from .machine import OTHER_CORE, ROOT, SERVER_CORE, fail, free_port
from .result import median, spread
from .server import Server

SOURCES = ROOT / "bench/peers"
INSTALLED = ROOT / "target/peers"
PYTHON = INSTALLED / "python/bin/python"
# `sluice.toml` ships with it: the demo profile's token, which everybody knows.
TOKEN = "demo-twilio-token-not-a-secret"
PUBLIC_URL = "http://127.0.0.1:7071"
CONNECTIONS = (1, 16, 64)
# A pool that suits 64 connections; more senders cost memory and gain nothing on one core.
POOL = 16
WARM_UP = 2


def install(programs):
    """Into target/peers, once for each state of the pinned versions."""
    if any(name.startswith("python") for name in programs):
        venv = lambda: subprocess.run([sys.executable, "-m", "venv", "--clear", INSTALLED / "python"], check=True)
        pip = [PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "-r", SOURCES / "python/requirements.txt"]
        once(INSTALLED / "python", SOURCES / "python/requirements.txt", lambda: (venv(), subprocess.run(pip, check=True)))
    if "node" in programs:
        folder = INSTALLED / "node"
        for tool in ("node", "npm"):
            shutil.which(tool) or fail(f"needs {tool} (Debian: apt-get install nodejs npm)")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json", "service.js"):
            shutil.copy(SOURCES / "node" / name, folder)
        npm = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"]
        once(folder, SOURCES / "node/package-lock.json", lambda: subprocess.run(npm, cwd=folder, check=True))


def once(folder, pins, work):
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != pins.read_text():
        work()
        stamp.write_text(pins.read_text())


def peer(command, log, amqp, **more):
    port = free_port()
    env = {
        "PORT": str(port),
        "TWILIO_AUTH_TOKEN": TOKEN,
        "PUBLIC_URL": PUBLIC_URL,
        "SERVICE_BUS_CONNECTION": sluice.connection_string(amqp),
        "CALLBACKS_TOPIC": "callbacks",
        "NODE_ENV": "production",
        **more,
    }
    return Server([str(part).format(port=port) for part in command], log, port=port, core=SERVER_CORE, env=env)


UVICORN = [PYTHON, "-m", "uvicorn", "service:app", "--app-dir", SOURCES / "python", "--port", "{port}"]
UVICORN += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]

# What is started, given a data folder and the broker's port.
PROGRAMS = {
    "sluice": lambda data, amqp: sluice.handler(data, amqp),
    "node": lambda data, amqp: peer(["node", INSTALLED / "node/service.js"], f"{data}.log", amqp),
    "python, pool": lambda data, amqp: peer(UVICORN, f"{data}.log", amqp, SENDERS=str(POOL)),
    "python, lock": lambda data, amqp: peer(UVICORN, f"{data}.log", amqp, SENDERS="1"),
}


def compare(folder, memory, requests, rounds, seconds, programs, connections=CONNECTIONS):
    """Every program's turn, so often; a list of figures for each turn."""
    # The handler's rate at each number of connections, with room.
    requests.at_least(100_000 * (WARM_UP + seconds * len(connections)))
    turns = []
    for number in range(rounds):
        for name in programs:
            turn_name = f"{number}.{name.replace(', ', '-')}"
            turn = measure(name, f"{folder}/{turn_name}", f"{memory}/{turn_name}", requests, seconds, connections)
            turns.append({"program": name, "round": number, **turn})
            print(f"    round {number + 1}  {line(turns[-1])}", flush=True)
    return turns


def measure(name, data, broker_data, requests, seconds, connections):
    amqp = free_port()
    broker = sluice.one_machine(broker_data, core=OTHER_CORE, env=sluice.INGEST_ONLY, amqp=amqp)
    program = PROGRAMS[name](data, amqp)
    turn = {"start_ms": program.until_2xx(requests.first()) * 1000, "loads": {}}
    # Pools open their links with the first requests, and Node compiles what is hot: neither is what is measured.
    warm = closed_loop(program.port, requests, connections=max(connections), seconds=WARM_UP, skip=1, warming_up=True)
    acked, used = 1 + warm["acked"], warm["used"]
    for count in connections:
        cpu, broker_cpu = program.cpu_seconds(), broker.cpu_seconds()
        load = closed_loop(program.port, requests, connections=count, seconds=seconds, skip=used)
        load["cpu_s_per_million"] = (program.cpu_seconds() - cpu) / load["acked"] * 1e6
        load["broker_cpu_s"] = broker.cpu_seconds() - broker_cpu
        load["rss_mb"] = program.memory_mb()
        acked, used = acked + load["acked"], load["used"]
        turn["loads"][str(count)] = load
    kept = sluice.waiting(broker_data)
    spooled = sluice.status(data, sluice.over_amqp(amqp))["spool"] if name == "sluice" else 0
    if kept + spooled < acked:
        fail(f"LOST by {name}: {acked} acknowledged, {kept} in the broker, {spooled} spooled")
    turn |= {"acked": acked, "kept": kept, "spooled": spooled, "rss_peak_mb": program.memory_mb("VmHWM")}
    program.stop()
    broker.stop()
    # Memory for the next one.
    shutil.rmtree(broker_data)
    return turn


def line(turn):
    rates = ", ".join(f"c={count} {load['rate']:,.0f}/s" for count, load in turn["loads"].items())
    kept = f"{turn['kept']:,} in the broker" + (f" and {turn['spooled']:,} spooled" if turn["spooled"] else "")
    return f"{turn['program']:<13} {rates}; first 2xx after {turn['start_ms']:,.0f} ms; {turn['acked']:,} acked, {kept}"


def figures(turns, name, connections, key):
    return [turn["loads"][str(connections)][key] for turn in turns if turn["program"] == name]


def table(turns):
    """Medians of all rounds, as Markdown."""
    names = list(dict.fromkeys(turn["program"] for turn in turns))
    counts = list(turns[0]["loads"])
    top = counts[-1]
    head = [f"acked/s c={count}" for count in counts] + [f"p50 / p99 / p99.9 ms at c={top}"]
    head += [f"CPU s per million at c={top}", "RSS MB", "first 2xx, ms", "acked", "in the broker"]
    lines = ["| | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    for name in names:
        mine = [turn for turn in turns if turn["program"] == name]
        at = lambda key: median(figures(turns, name, top, key))
        cells = [spread(figures(turns, name, count, "rate")) for count in counts]
        cells.append(f"{at('p50_ms'):.1f} / {at('p99_ms'):.1f} / {at('p99_9_ms'):.1f}")
        cells.append(f"{at('cpu_s_per_million'):,.0f}")
        cells.append(f"{median([turn['rss_peak_mb'] for turn in mine]):,.0f}")
        cells.append(f"{median([turn['start_ms'] for turn in mine]):,.0f}")
        cells.append(f"{sum(turn['acked'] for turn in mine):,}")
        cells.append(f"{sum(turn['kept'] + turn['spooled'] for turn in mine):,}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    for other in names[1:] if names[0] == "sluice" else []:
        faster, leaner = ratios(turns, other)
        lines.append(f"\nsluice against {other} at c={top}: {spread(faster, '{:.1f}')} times as many acked/s, "
                     f"{spread(leaner, '{:.1f}')} times less CPU for each")
    return "\n".join(lines)


def ratios(turns, other):
    """Round by round: how many times more callbacks, how many times less CPU for each, at the most connections."""
    top = list(turns[0]["loads"])[-1]
    pairs = lambda key: list(zip(figures(turns, "sluice", top, key), figures(turns, other, top, key)))
    faster = [ours / theirs for ours, theirs in pairs("rate")]
    leaner = [theirs / ours for ours, theirs in pairs("cpu_s_per_million")]
    return faster, leaner
