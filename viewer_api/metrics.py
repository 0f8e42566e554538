"""/metrics: what all processes of the API use together, whichever of them is asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

PROC = Path("/proc")
OLDEST = "process_start_time_seconds"  # of which a sum says nothing


def registry(process_count: int) -> CollectorRegistry:
    """The metrics of this process or, if it is one of several, of all that its parent forked."""
    several = process_count > 1
    found = CollectorRegistry()
    found.register(Together((lambda: children(os.getppid())) if several else (lambda: [os.getpid()])))
    PlatformCollector(registry=found)
    return found


class Together(Collector):
    """The sum over processes of what prometheus_client tells of one."""

    def __init__(self, pids: Callable[[], list[int]]) -> None:
        self._pids = pids

    def collect(self) -> Iterable[Metric]:
        each = [{one.name: one for one in _of(pid)} for pid in self._pids()]
        each = [found for found in each if found]  # without those that ended meanwhile
        yield GaugeMetricFamily("tongying_api_processes", "Processes of the API", len(each))
        for metric in each[0].values() if each else ():
            for number, sample in enumerate(metric.samples):
                values = [found[metric.name].samples[number].value for found in each if metric.name in found]
                total = min(values) if sample.name == OLDEST else sum(values)
                metric.samples[number] = sample._replace(value=total)
            yield metric


def _of(pid: int) -> Iterable[Metric]:
    return ProcessCollector(pid=lambda: pid, registry=None).collect()


def children(parent: int) -> list[int]:
    """The processes that a process forked."""
    return [pid for pid, its_parent in _parents() if its_parent == parent]


def _parents() -> Iterator[tuple[int, int]]:
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text()
            except OSError:  # it ended meanwhile
                continue
            yield int(folder.name), int(stat.rpartition(")")[2].split()[1])  # proc(5): state, ppid
