"""The rows of `bench/run`: one file for each kind of measurement. A row takes a Bench and returns Results."""

from dataclasses import dataclass
from pathlib import Path

from harness.load import Requests


@dataclass
class Bench:
    """What rows have in common."""

    # A temporary folder on the disk that is measured.
    folder: str
    # The same in memory.
    memory: str
    requests: Requests
    # Interleaved pairs of a comparison, and seconds of each load.
    pairs: int
    seconds: int
    # Whether there is time for what the targets ask in full.
    long: bool

    def in_memory(self, data):
        return f"{self.memory}/{Path(data).name}"

    def data(self, *name):
        return "/".join((self.folder, ".".join(map(str, name))))
