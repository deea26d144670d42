"""How long JAX compiled: in every call of a run, also in those that nobody thought of as compiling."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring


class CompileClock:
    """Sums the time that tracing, lowering and compiling took while it was listening.

    JAX reports each duration when it ends, and an inner function's trace lies within its caller's: the spans are kept
    as a union, so that nothing counts twice.
    """

    def __init__(self) -> None:
        self._spans: list[tuple[float, float]] = []

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return sum(end - start for start, end in self._spans)

    def add(self, start: float, end: float) -> None:
        """Count the span from `start` to `end`, by `time.perf_counter`; spans come in the order of their ends."""
        while self._spans and self._spans[-1][0] >= start:
            self._spans.pop()
        if self._spans:
            start = max(start, self._spans[-1][1])
        self._spans.append((start, max(start, end)))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count what JAX compiles within the block."""
        jax.monitoring.register_event_duration_secs_listener(self._heard)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.startswith("/jax/core/compile/"):
            end = time.perf_counter()
            self.add(end - duration_secs, end)
