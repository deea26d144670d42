"""How long JAX compiled during a run, including the calls that compile as a side effect."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring


class CompileClock:
    """Sums the seconds of tracing, lowering and compiling while it is listening.

    JAX reports each duration when it ends, and the trace of an inner function lies within that of its caller: the clock
    keeps the union of all spans of time, so that nothing counts twice.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return sum(end - start for start, end in self._spans)

    def add(self, start: float, end: float) -> None:
        """Count a span of time, in seconds of `time.perf_counter`; spans come in the order of their ends."""
        while self._spans and self._spans[-1][0] >= start:
            self._spans.pop()
        if self._spans:
            start = max(start, self._spans[-1][1])
        self._spans.append((start, max(start, end)))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """A context manager: counts what JAX compiles within the block."""
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            end = time.perf_counter()
            self.add(end - duration_secs, end)
