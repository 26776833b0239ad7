"""A program under load."""

import os
import signal
import socket
import subprocess
import sys
import time

from .machine import fail

TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A child process on a core of its own, its output in a file."""

    def __init__(self, command, log, *, port, env=None, core=None):
        self.port, self.log = port, log
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={**os.environ, "RUST_LOG": "warn", **(env or {})},
            stdout=open(log, "ab"),
            stderr=subprocess.STDOUT,
            preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if core is not None else None,
        )
        RUNNING.append(self)

    def until_2xx(self, request, timeout=60):
        """Sends a request until it is answered with a 2xx; seconds since the start of the process."""
        while time.monotonic() - self.began < timeout:
            if self.process.poll() is not None:
                fail(f"the server stopped:\n{self.tail()}")
            if (status := exchange(self.port, request)) and 200 <= status < 300:
                return time.monotonic() - self.began
            time.sleep(0.0005)
        fail(f"no 2xx after {timeout} s:\n{self.tail()}")

    def until_healthy(self):
        return self.until_2xx(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")

    def cpu_seconds(self):
        """User and system time so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self, field="VmRSS"):
        """VmRSS: now; VmHWM: the most so far."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith(field))

    def tail(self):
        return open(self.log, errors="replace").read()[-3000:]

    def stop(self):
        self.end(signal.SIGTERM)

    def kill(self):
        self.end(signal.SIGKILL)

    def end(self, how):
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                fail(f"the server did not stop within 30 s:\n{self.tail()}")
        if self in RUNNING:
            RUNNING.remove(self)


RUNNING = []
# `timeout` and the like end a run so: what it started must end with it.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))


def end_all():
    """What a row that failed has left behind."""
    for server in list(RUNNING):
        server.process.kill()
        server.process.wait()


def exchange(port, request):
    """The status of one request on a connection of its own; None where there is no answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(request)
            head = connection.recv(64)
        return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.") else None
    except (OSError, ValueError, IndexError):
        return None
