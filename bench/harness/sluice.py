"""Sluice in the arrangements that rows need, and what it has on disk."""

import json
import os
import sqlite3
import subprocess

from .machine import CONFIGURATION, EXAMPLES, OTHER_CORE, SERVER_CORE, SLUICE, free_port
from .server import Server

# The ack path alone, as the deployed app `ingest` has it: every other function is switched off.
INGEST_ONLY = {
    f"AzureWebJobs.{name}.Disabled": "1"
    for name in sorted(os.listdir(CONFIGURATION / "functions"))
    if name not in ("ingest", "health")
}


def one_machine(data, *, core=None, env=None, amqp=None):
    """The one-machine system, answering."""
    server = start(data, core=core, env=env, amqp=amqp)
    server.until_healthy()
    return server


def start(data, *, core=None, env=None, amqp=None):
    """The one-machine system, just started."""
    port = free_port()
    command = [SLUICE, "--root", CONFIGURATION, "--data", data, "--port", port]
    if amqp:
        command += ["--amqp", f"127.0.0.1:{amqp}"]
    return Server(command, f"{data}.log", port=port, core=core, env=env)


def connection_string(amqp):
    return (
        f"Endpoint=sb://127.0.0.1:{amqp};SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true"
    )


def over_amqp(amqp):
    """The handler's environment for a broker that it reaches as it would Service Bus."""
    return {"SLUICE_BUS": "service-bus", "ServiceBusConnection": connection_string(amqp)}


def handler(data, amqp):
    """The custom handler alone, just started, with its bus over AMQP."""
    port = free_port()
    command = [SLUICE, "serve", "--root", CONFIGURATION, "--data", data, "--port", port]
    return Server(command, f"{data}.log", port=port, core=SERVER_CORE, env=over_amqp(amqp))


class OverAmqp:
    """The handler on the one core; its broker (with the processors, or without) on the other."""

    def __init__(self, data, processors=False, broker=None):
        self.data, self.amqp = data, free_port()
        self.broker_data = broker or f"{data}.broker"
        env = None if processors else INGEST_ONLY
        self.broker = one_machine(self.broker_data, core=OTHER_CORE, env=env, amqp=self.amqp)
        self.server = handler(data, self.amqp)
        self.server.until_healthy()

    def kept(self):
        """Callbacks in the broker's files, and in the handler's spool."""
        return waiting(self.broker_data) + status(self.data, over_amqp(self.amqp))["spool"]

    def stop(self):
        self.server.stop()
        self.broker.stop()


class Embedded:
    """Handler and broker in one process, on one core; nothing is processed."""

    def __init__(self, data, env=None):
        self.data = data
        self.server = one_machine(data, core=SERVER_CORE, env={**INGEST_ONLY, **(env or {})})

    def kept(self):
        return waiting(self.data)

    def stop(self):
        self.server.stop()


class Bare:
    """The baseline: axum that reads the body and answers 200."""

    def __init__(self, folder):
        port = free_port()
        env = {"PORT": str(port)}
        self.server = Server([EXAMPLES / "bare_axum"], f"{folder}/bare.log", port=port, core=SERVER_CORE, env=env)
        self.server.until_healthy()

    def stop(self):
        self.server.stop()


def status(data, env=None):
    """What `sluice status` says, also beside a running system."""
    command = [SLUICE, "status", "--json", "--root", CONFIGURATION, "--data", data]
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"sluice status: {done.stderr}")
    return json.loads(done.stdout)


def waiting(data):
    """Callbacks that the broker holds: waiting, in hand, or put off."""
    return sum(each["active"] + each["locked"] + each["scheduled"] for each in status(data)["subscriptions"])


def events_in_ledger(data):
    """Counted in the file itself, in one read transaction."""
    with sqlite3.connect(f"file:{data}/documents.sqlite?mode=ro", uri=True) as documents:
        query = "SELECT count(*) FROM document WHERE container = 0 AND id >= 'evt:' AND id < 'evt;'"
        return documents.execute(query).fetchone()[0]
