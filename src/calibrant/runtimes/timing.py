"""How long a model takes, for runtimes that do not measure it themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from calibrant.core.types import Latency

_WARMUP_RUNS = 2
_LONGEST_SECONDS = 0.25


def timed(run: Callable[[], object], runs: int) -> Latency:
    """Latency of ``runs`` calls after a warm-up; fewer, but one at least, where they take over 0.25 s."""
    for _ in range(_WARMUP_RUNS):
        run()
    milliseconds: list[float] = []
    while len(milliseconds) < runs and sum(milliseconds) < 1000 * _LONGEST_SECONDS:
        started = time.perf_counter()
        run()
        milliseconds.append(1000 * (time.perf_counter() - started))
    return Latency(
        median_ms=float(np.median(milliseconds)),
        p99_ms=float(np.percentile(milliseconds, 99)),
        runs=len(milliseconds),
    )
