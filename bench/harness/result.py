"""A row's figures against its target; as text, JSON and Markdown."""

import statistics
from dataclasses import asdict, dataclass, field


@dataclass
class Result:
    """One line of the report."""

    row: str
    what: str
    target: str
    # None: measured, but not what the target asks for (a shorter run, a smaller store).
    met: bool | None
    measured: str
    figures: dict = field(default_factory=dict)

    def verdict(self):
        if not self.target:
            return "for comparison"
        return {True: "met", False: "MISSED", None: "measured, but less than the target asks for"}[self.met]

    def text(self):
        target = f"   (target {self.target})" if self.target else ""
        return f"  {self.row:<4} {self.verdict()}: {self.measured}{target}"

    def markdown(self):
        return f"| {self.row} | {self.what} | {self.target} | {self.measured} | {self.verdict()} |"

    def as_dict(self):
        return {**asdict(self), "verdict": self.verdict()}


def markdown(report):
    """The table of `docs/performance.md`."""
    lines = ["| | what | target | measured | |", "|---|---|---|---|---|"]
    for each in report["results"]:
        each = {key: value for key, value in each.items() if key != "verdict"}
        lines.append(Result(**each).markdown())
    machine = report["machine"]
    lines.append("")
    lines.append(
        f"{machine['cores']} cores, {machine['cpu']}, {machine['memory_gb']} GB, Linux {machine['kernel']}; "
        f"commit {machine['commit']}, {machine['date']}; `{report['command']}`, executable {machine['executable']}"
    )
    return "\n".join(lines)


def spread(values, form="{:,.0f}"):
    """The median, and between what it lies: `30,357 (28,900 to 31,200)`."""
    show = form.format
    middle = show(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({show(min(values))} to {show(max(values))})"


median = statistics.median
