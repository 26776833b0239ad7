"""What is measured where: programs, cores, ports, the machine's description.

SLUICE=PATH takes that executable (and the examples beside it) instead of building one. Where it is of another version, its
sluice.toml, host.json and functions/ belong to it: SLUICE_ROOT=DIR has them. BROKER_FILES=DIR is where the broker's files are
in P2 and P3, instead of /dev/shm.
"""

import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SLUICE = Path(os.environ.get("SLUICE", ROOT / "target/release/sluice")).resolve()
EXAMPLES = SLUICE.parent / "examples"
CONFIGURATION = Path(os.environ.get("SLUICE_ROOT", ROOT)).resolve()
# The program under test has the first; generator and broker share the other.
SERVER_CORE, OTHER_CORE = 0, 1


def fail(why):
    sys.exit(f"bench: {why}")


def build(*examples):
    """The release build, unless SLUICE names one; checks that everything is there."""
    for tool in ("wrk", "cc"):
        shutil.which(tool) or fail(f"needs {tool} (Debian: apt-get install wrk gcc)")
    if not {SERVER_CORE, OTHER_CORE} <= os.sched_getaffinity(0):
        fail("needs two cores: one for the server, one for the generator")
    if "SLUICE" not in os.environ:
        names = [argument for example in examples for argument in ("--example", example)]
        subprocess.run(["cargo", "build", "--release", "--locked", "--quiet", "--bin", "sluice", *names], cwd=ROOT, check=True)
    for program in (SLUICE, *(EXAMPLES / example for example in examples)):
        program.exists() or fail(f"{program} does not exist: SLUICE must name a build with its examples beside it")


def scratch():
    """A folder that goes when the program ends. Keep TMPDIR on the disk that is to be measured."""
    return tempfile.TemporaryDirectory(prefix="sluice-bench.")


def memory():
    """A folder in memory, for a broker that stands for Service Bus: its disk is no part of what is measured."""
    folder = os.environ.get("BROKER_FILES", "/dev/shm")
    if not os.path.isdir(folder):
        fail(f"{folder} is no folder: BROKER_FILES=DIR says where the broker's files of P2 and P3 may be")
    return tempfile.TemporaryDirectory(prefix="sluice-bench.", dir=folder)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def description():
    """One dictionary for the head of every report."""
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    git = lambda *arguments: subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    return {
        "date": date.today().isoformat(),
        "commit": git("rev-parse", "--short", "HEAD") + (" with changes" if git("status", "--porcelain") else ""),
        "cores": os.cpu_count(),
        "cpu": cpu,
        "memory_gb": round(memory / 1024**2),
        "kernel": platform.release(),
        "executable": str(SLUICE.relative_to(ROOT) if SLUICE.is_relative_to(ROOT) else SLUICE),
    }
