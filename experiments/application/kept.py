"""A long loop saves its state and what it has measured now and then, so that --resume goes on from there."""

import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ebmjax.learn import checkpoint
from experiments.application.report import Report

EVERY = 20.0
"""Seconds at least from one checkpoint of a loop to the next. A loop that is shorter saves nothing."""
SHARE = 20.0
"""Saving takes at most one part in so many of the time."""


class Keeper:
    """Saves one loop of a run. A loop is known by its number in the run, the same whenever that is repeated."""

    def __init__(self, report: Report) -> None:
        """Begin with the next loop of a run."""
        self._report = report
        self._folder: Path = report.next_loop()
        self._last, self._pause = time.monotonic(), EVERY

    def found(self, state: Any, table: Any) -> tuple[int, Any, Any]:
        """How many steps an earlier run has done, the state after them, and the table with what they measured.

        Args:
            state: the first state; it comes back where nothing was saved.
            table: `jax.ShapeDtypeStruct`s of the measurements of all steps, with a leading axis of steps.

        Raises:
            ArgumentError: a checkpoint that is damaged, or of another loop.
        """
        blank = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), table)
        saved = checkpoint.restore(self._folder, (state, blank)) if self._report.resume else None
        done, (state, table) = saved or (0, (state, blank))
        return done, state, jax.tree.map(np.array, table)

    def keep(self, done: int, state: Any, table: Any, ended: bool) -> None:
        """Save what was done, if that is due. The end of a loop that was saved before is always saved.

        Raises:
            ArgumentError: it cannot be written.
        """
        start = time.monotonic()
        if start - self._last >= self._pause or (ended and self._folder.exists()):
            _ = self._report.checkpoints  # the folder of all of them
            checkpoint.save(self._folder, done, (state, table))
            self._last = time.monotonic()
            self._pause = max(EVERY, SHARE * (self._last - start))


def strong(state: Any) -> Any:
    """The same state without weak types, which no file keeps and which are other programs."""
    kept = lambda leaf: isinstance(leaf, jax.Array) and (is_key(leaf) or not leaf.weak_type)
    return jax.tree.map(lambda leaf: leaf if kept(leaf) else jnp.asarray(np.asarray(leaf)), state)


def is_key(leaf: Any) -> bool:
    """Whether something is an array of typed random keys."""
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
