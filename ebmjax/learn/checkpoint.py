"""Training with checkpoints: saved every few epochs, and resumed where it stopped.

Needs the extra `checkpoint` (orbax-checkpoint). A checkpoint is a numbered folder with every array of a state. It gets
its name by one rename when it is complete, so that a process killed while saving leaves the checkpoint before it
intact.

`train_resumable` is `train` with checkpoints; `load_params` reads what it has learned so far. `save` and `restore` are
for a pytree of any kind. In every path a leading `~` is the home folder.
"""

from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.checks import ArgumentError, check_callable, check_count, check_key, check_record
from ebmjax.learn.fingerprint import fingerprint, program_fingerprint
from ebmjax.learn.leaves import arrays_of, as_arrays, is_array, widened, with_arrays
from ebmjax.learn.on_disk import Found, in_the_form_of, path_of, read, write
from ebmjax.learn.stored import check_arrays, form_of, is_key, of_form, of_text
from ebmjax.learn.train import Metrics, Progress, Trained, advance, begin, check_data
from ebmjax.records import record
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner

_PARAMS, _KEY = ".progress.state.params", ".key"


@record
class Checkpointed(NamedTuple):
    """What was trained, and how the training ended."""

    trained: Trained
    """Where a segment was not healthy, the parameters and the state before it; the metrics end with it."""
    result: int
    """`STEP_LIMIT` where all epochs were done, whether or not they were enough; `DIVERGED` where a segment was not
    healthy."""


@runtime_checkable
class Healthy(Protocol):
    """Whether a segment of a training is good enough to go on from."""

    def __call__(self, params: Any, metrics: Any, /) -> bool:
        """False stops the training.

        Args:
            params: after the segment.
            metrics: of the learner in the segment, with the leading axes (epochs, batches).
        """
        ...


@record
class Loaded(NamedTuple):
    """What a training has learned so far."""

    params: Any
    """After the last epoch that was saved."""
    epochs: int
    """How many were done."""
    key: Key[Array, ""]
    """The key that the training was given."""


@record
class _Saved(NamedTuple):
    """The content of a training run's checkpoint."""

    arguments: dict[str, np.ndarray]
    """Fingerprints of what determines the run."""
    key: Key[Array, ""]
    progress: Progress
    metrics: Metrics
    """Of the epochs that are done."""


def save(folder: Path | str, step: int, state: Any) -> None:
    """Save a pytree of arrays as checkpoint number `step`, and delete all but the last two checkpoints.

    Args:
        folder: created where it does not exist; other files in it stay.
        step: above that of every checkpoint in the folder.
        state: arrays of any dtype and typed random keys of any implementation.

    Raises:
        ValueError: a step that is not above the latest, a folder that is a file, a state that holds what is no array.
        ModuleNotFoundError: the extra `checkpoint` is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder, 3, {"w": jnp.arange(2.0), "key": jax.random.key(0)})
    ...     step, state = restore(folder, {"w": jnp.zeros(2), "key": jax.random.key(1)})
    >>> step, state["w"].tolist(), bool(state["key"] == jax.random.key(0))
    (3, [0.0, 1.0], True)
    """
    folder = path_of(folder)
    if not isinstance(step, int | np.integer):
        raise ArgumentError(f"step: got {step!r}, wanted a whole number")
    check_arrays("state", state)
    write(folder, step, state, None)


def restore(folder: Path | str, like: Any) -> tuple[int, Any] | None:
    """The latest checkpoint of a folder: its number and its state, bit for bit as saved. None where there is none.

    Args:
        folder: as for `save`.
        like: a pytree with the structure, shapes, dtypes and key implementations of the state: arrays (their values
            do not matter) or `jax.ShapeDtypeStruct`. NumPy arrays come back as such, all others as JAX arrays.

    Raises:
        ValueError: a state that is not like `like`, a checkpoint that is damaged or was not made by `save`, a folder
            that is a file.
        ModuleNotFoundError: the folder exists and the extra `checkpoint` is not installed.

    >>> restore("no such folder", jnp.zeros(2)) is None
    True
    """
    folder = path_of(folder)
    found = read(folder)
    if found is None:
        return None
    return found.step, in_the_form_of(like, found, range(len(found.described)), "", folder)


def load_params(folder: Path | str, like: Any = None) -> Loaded:
    """The parameters of the latest checkpoint of `train_resumable`, without the learner and the data that made it.

    Args:
        folder: as for `train_resumable`.
        like: as for `restore`, of the parameters alone. Without it, records (such as `horn.Params`), dicts, tuples and
            lists of arrays come back as they were saved, in another program too. Other parameters, such as a network,
            need it: `load_params(folder, like=init(key))`.

    Raises:
        ValueError: a folder without a checkpoint, parameters that are not like `like`, or that need it, a checkpoint
            that `train_resumable` did not make. Other errors are those of `restore`.

    >>> import optax, tempfile
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = gradient(lambda w, y: jnp.mean((w["a"] - y) ** 2), optax.sgd(0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     train_resumable(jax.random.key(7), learner, {"a": 0.0}, jnp.full(8, 3.0), 4, 20, folder, 8).result
    ...     loaded = load_params(folder)
    1
    >>> round(float(loaded.params["a"]), 2), loaded.epochs, bool(loaded.key == jax.random.key(7))
    (3.0, 20, True)
    """
    folder = path_of(folder)
    found = read(folder)
    if found is None:
        raise ArgumentError(f"folder: got {folder}, which holds no checkpoint, wanted one that does")
    if found.form is None:
        raise ArgumentError(
            f"folder: got {folder}, whose checkpoint {found.step} was not made by `train_resumable`, wanted one of it"
        )
    (key,) = _places(found, _KEY)
    places = _places(found, _PARAMS)
    if like is None:
        arrays = [of_text(found.arrays.get(str(place)), found.described[place][1]) for place in places]
        params = of_form(found.form, arrays, f"checkpoint {found.step} of {folder}")
    else:
        params = in_the_form_of(like, found, places, _PARAMS, folder)
    return Loaded(params, found.step, of_text(found.arrays[str(key)], found.described[key][1]))


def _places(found: Found, prefix: str) -> list[int]:
    return [place for place, (path, _) in enumerate(found.described) if path.startswith(prefix)]


def all_finite(params: Any, metrics: Any) -> bool:
    """Whether every number in the metrics is finite: the default of `healthy` in `train_resumable`.

    Args:
        params: not used.
        metrics: a pytree of arrays.

    >>> all_finite(None, {"loss": np.array([1.0, np.nan])})
    False
    """
    leaves = [leaf for leaf in jax.tree.leaves(metrics) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return all(bool(jnp.isfinite(leaf).all()) for leaf in leaves)


def train_resumable(
    key: Key[Array, ""],
    learner: Learner,
    params: Any,
    data: Any,
    batch_size: int,
    epochs: int,
    folder: Path | str,
    every: int,
    healthy: Healthy = all_finite,
) -> Checkpointed:
    """`train` in segments of some epochs, with a checkpoint after each. Called again, it resumes from the last one.

    A run that was interrupted, even killed, ends with the same bits as one that was not. They differ from those of
    `train` only by the rounding of another compilation. The segments share one compilation; a shorter last segment has
    its own. A run that has ended goes on where more `epochs` are asked.

    A segment in which an update is not finite, or which `healthy` refuses, is the last one. It is not saved, so that
    the last good parameters stay on disk.

    Args:
        key: typed random key.
        learner: `init(key, params) -> state`, `update(key, state, batch) -> (state, metrics)`.
        params: initial parameters.
        data: arrays with the leading axis N, such as y or (x, y).
        batch_size: samples an update, from 1 to N.
        epochs: passes over the data, at least 1.
        folder: for this run alone. The initial state is checkpoint 0, the state after n epochs is checkpoint n.
        every: epochs in a segment, at least 1.
        healthy: `healthy(params, metrics)` of the parameters after a segment and the learner's metrics in it, which
            have the axes (every, N // batch_size): False stops the run. It is called outside of jit. A run that goes
            on calls it first for all the epochs that are done, whatever it then returns.

    Returns:
        `Checkpointed(trained, result)`, with the metrics of every epoch, also of those before an interruption.

    Raises:
        ValueError: arguments that `train` refuses, every below 1, a folder that holds more epochs, or another run: the
            message says which of the key, the initial parameters, the data, batch_size and the learner was another. A
            learner is what its update computes, as JAX traces it, with the numbers in it: a loss, a rate, beta. Another
            version of JAX or of optax may compute it in another way.
        ModuleNotFoundError: the extra `checkpoint` is not installed.

    >>> import optax, tempfile
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = (jax.random.key(0), learner, jnp.array(0.0), jnp.full(8, 3.0), 4, 20, folder, 8)
    ...     first, again = train_resumable(*run), train_resumable(*run)
    >>> round(float(first.trained.params), 2), bool(again.trained.params == first.trained.params)
    (3.0, True)
    """
    folder = path_of(folder)
    check_key("key", key)
    check_record("learner", learner, Learner)
    check_callable("healthy", healthy)
    data = as_arrays("data", data)
    check_data(data, batch_size, epochs)
    check_count("every", every)
    progress, keys = begin(key, learner, params, epochs)
    arguments = _arguments(key, learner, params, progress, data, batch_size)
    found = read(folder)
    if found is not None:
        _check_same_run(folder, found, arguments, epochs)

    # No file keeps weak types. With them, the first segment would need a compilation of its own.
    whole = progress
    on_disk = lambda progress: jax.tree.map(lambda leaf: leaf if is_array(leaf) else None, progress)
    completed = lambda progress: with_arrays(whole, jax.tree.leaves(progress))
    progress = jax.tree.map(lambda leaf: leaf if is_key(leaf) else jnp.asarray(np.asarray(leaf)), on_disk(progress))
    segment = lambda keys, progress: advance(keys, learner, progress, data, batch_size)
    form = form_of(whole.state.params)

    shapes = jax.eval_shape(lambda keys, progress: segment(keys, completed(progress))[1], keys[:every], progress)
    metrics = jax.tree.map(lambda leaf: np.zeros((epochs, *leaf.shape[1:]), leaf.dtype), shapes)
    until = lambda done: jax.tree.map(lambda leaf: leaf[:done], metrics)
    done = 0 if found is None else found.step
    start = _Saved(arguments, key, progress, until(done))
    if found is None and progress.alive:
        write(folder, 0, start, form)
    if found is not None:
        saved = in_the_form_of(start, found, range(len(found.described)), "", folder)
        progress = saved.progress
        for part_of, part in zip(jax.tree.leaves(metrics), jax.tree.leaves(saved.metrics), strict=True):
            part_of[:done] = part

    progress = completed(progress)
    if 0 < done < epochs:
        healthy(progress.state.params, until(done).learner)
    while done < epochs:
        upto = min(done + every, epochs)
        after, reported = segment(keys[done:upto], progress)
        for part_of, part in zip(jax.tree.leaves(metrics), jax.tree.leaves(reported), strict=True):
            part_of[done:upto] = part
        if not (after.alive and healthy(after.state.params, reported.learner)):
            return _ended(progress, metrics, upto, DIVERGED)
        write(folder, upto, _Saved(arguments, key, on_disk(after), until(upto)), form)
        progress, done = after, upto
    return _ended(progress, metrics, epochs, STEP_LIMIT)


def _arguments(key, learner, params, progress, data, batch_size):
    """What determines a run, in the order in which a difference is named: the program depends on all before it."""
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype), data)
    state = progress.state

    def update(key, arrays, batch):
        new, metrics = learner.update(key, with_arrays(state, arrays), jax.tree.map(widened, batch))
        return arrays_of(new), metrics

    return {
        "key": fingerprint(key),
        "params": fingerprint(arrays_of(params)),
        "data": fingerprint(data),
        "batch_size": np.array(batch_size),
        "learner": program_fingerprint(update, key, arrays_of(state), batch),
    }


def _ended(progress: Progress, metrics: Metrics, epochs: int, result: int) -> Checkpointed:
    metrics = jax.tree.map(lambda leaf: jnp.asarray(leaf[:epochs]), metrics)
    return Checkpointed(Trained(progress.state.params, progress.state, metrics), result)


def _check_same_run(folder: Path, found: Found, arguments: dict[str, np.ndarray], epochs: int) -> None:
    """Raise ArgumentError, naming the argument, where the run in a folder had another."""
    places = {path: str(place) for place, (path, _) in enumerate(found.described)}
    for name, ours in arguments.items():
        theirs = found.arrays.get(places.get(f".arguments['{name}']", ""))
        if theirs is None or not np.array_equal(theirs, ours):
            which = f"{name} {theirs} and not {ours}" if ours.ndim == 0 and theirs is not None else f"another {name}"
            raise ArgumentError(
                f"folder: got {folder}, which holds a run with {which}, wanted the same run or a folder of its own"
            )
    if epochs < found.step:
        raise ArgumentError(f"epochs: got {epochs}, wanted at least {found.step}, which {folder} holds")
