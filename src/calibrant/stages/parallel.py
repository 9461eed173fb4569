"""Several samples under way at once, results in order, memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from calibrant.core.types import ConcurrentSession, Session

S = TypeVar("S")
R = TypeVar("R")


def workers_of(session: Session) -> int:
    """How many threads may run a session at once; 1 where it does not say."""
    return session.concurrency if isinstance(session, ConcurrentSession) else 1


def in_order(function: Callable[[S], R], samples: Sequence[S], workers: int) -> Iterator[R]:
    """Apply ``function`` to every sample on ``workers`` threads and yield the results in order.

    A sample's reading, inference and decoding run on one thread while other samples' do on others,
    which keeps all cores busy where one inference on all cores cannot. At most twice as many samples as
    workers are under way. The first error ends it: samples that have not begun never do.
    """
    if workers == 1:
        yield from map(function, samples)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="calibrant")
    under_way: deque[Future[R]] = deque()
    try:
        for sample in samples:
            under_way.append(pool.submit(function, sample))
            if len(under_way) > 2 * workers:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
