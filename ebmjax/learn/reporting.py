"""Reports of a training while it runs, out of its compiled scan: for a progress bar, a log file, a plot that grows."""

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from ebmjax.checks import check_callable, check_count, check_record
from ebmjax.compiled import OnHost
from ebmjax.records import record
from ebmjax.types import Learner

MOST_NUMBERS = 4
"""So many metrics fit beside a bar."""


@record
class State(NamedTuple):
    """The state of a learner that reports."""

    params: Any
    """Those of the learner inside."""
    inner: Any
    """The state of the learner inside."""
    updates: Int[Array, ""]
    """How many there have been."""


@runtime_checkable
class Report(Protocol):
    """What is called on the host, outside of the compiled program."""

    def __call__(self, updates: int, metrics: Any, /) -> None:
        """Print, draw or write.

        Args:
            updates: how many there have been.
            metrics: those of the newest update, as NumPy arrays.
        """
        ...


def reported(learner: Learner, report: Report, every: int) -> Learner:
    """The same learner, which calls a function on the host after every so many updates.

    What is learned does not change. Under `jax.vmap` nothing is reported.

    Args:
        learner: any.
        report: `report(updates, metrics)`, such as `progress_bar` gives. In a loop over trainings, hand the same
            function to all of them: another one is another program.
        every: updates from one call to the next, at least 1.

    Returns:
        A learner whose state is `State` and whose metrics are those of `learner`.

    Raises:
        ValueError: an argument of another kind, every below 1.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> from ebmjax.learn.train import train
    >>> show = lambda updates, metrics: print(updates, round(float(metrics.loss), 3))
    >>> learner = reported(gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1)), show, every=10)
    >>> trained = train(jax.random.key(0), learner, 0.0, jnp.full(8, 3.0), 4, 10)
    10 0.162
    20 0.002
    """
    check_record("learner", learner, Learner)
    check_callable("report", report)
    check_count("every", every)
    tell = _teller(report if isinstance(report, OnHost) else OnHost(report))

    def init(key: Key[Array, ""], params: Any) -> State:
        inner = learner.init(key, params)
        return State(inner.params, inner, jnp.int32(0))

    def update(key: Key[Array, ""], state: State, batch: Any) -> tuple[State, Any]:
        check_record("state", state, State)
        inner, metrics = learner.update(key, state.inner, batch)
        updates = state.updates + 1
        updates = tell(updates, updates % every == 0, metrics)
        return State(inner.params, inner, updates), metrics

    return Learner(init, update)


def _teller(report):
    """`tell(updates, due, metrics) -> updates`: calls the host where it is due, but under vmap does nothing."""

    def call(updates, metrics):
        report(int(updates), jax.tree.map(np.asarray, metrics))

    @jax.custom_batching.custom_vmap
    def tell(updates, due, metrics):
        jax.lax.cond(due, lambda: jax.debug.callback(call, updates, metrics), lambda: None)
        return updates

    @tell.def_vmap
    def tell_nobody(size, batched, updates, due, metrics):
        return updates, batched[0]

    return tell


def progress_bar(description: str, updates: int) -> contextlib.AbstractContextManager[Report]:
    """A bar on the terminal: the share done, the time left, and the newest metrics. Needs the package rich.

    Where there is no terminal, such as in a log file, each report is a line.

    Args:
        description: what is in front of the bar.
        updates: how many there will be, at least 1: `epochs * (len(data) // batch_size)`.

    Returns:
        A context manager, `with progress_bar(...) as show:`, of a `report` for `reported`.

    Raises:
        ValueError: updates below 1.
        ModuleNotFoundError: rich is not installed.

    >>> with progress_bar("training", 200) as show:
    ...     show(100, {"loss": np.float32(0.5)})
    training: 100 of 200 updates, loss 0.5
    """
    check_count("updates", updates)
    return _bar(description, int(updates))


@contextlib.contextmanager
def _bar(description: str, updates: int) -> Iterator[Report]:
    try:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('progress_bar needs rich: python -m pip install "ebmjax[progress]"') from error
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        yield OnHost(lambda done, metrics: print(f"{description}: {done} of {updates} updates, {_numbers(metrics)}"))
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[newest]}", markup=False),
    )
    with Progress(*columns, console=console) as live:
        task = live.add_task(description, total=updates, newest="")
        yield OnHost(lambda done, metrics: live.update(task, completed=done, newest=_numbers(metrics)))
        jax.effects_barrier()  # the last reports may still be on their way


def _numbers(metrics: Any) -> str:
    """The first few scalars by their names: `loss 0.5, gradient_norm 0.1`."""
    paths = jax.tree_util.tree_flatten_with_path(metrics)[0]
    scalars = [(jax.tree_util.keystr(path[-1:], simple=True), leaf) for path, leaf in paths if np.ndim(leaf) == 0]
    return ", ".join(f"{name} {leaf:.4g}".strip() for name, leaf in scalars[:MOST_NUMBERS])
