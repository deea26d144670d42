"""Training with checkpoints: saved every few epochs, and resumed where it stopped.

Needs the extra `checkpoint` (orbax-checkpoint). A checkpoint is a numbered folder with every array of a state. It gets
its name by one rename when it is complete, so that a process killed while saving leaves the checkpoint before it
intact.

`train_resumable` is `train` with checkpoints; `restore_params` reads what it has learned so far. `save` and `restore`
are for a pytree of any kind. In every path a leading `~` is the home folder.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.checks import ArgumentError, check_callable, check_count, check_key, check_record
from ebmjax.learn.fingerprint import fingerprint
from ebmjax.learn.leaves import as_arrays, is_array, replaced
from ebmjax.learn.stored import check_arrays, check_like, described, from_disk, is_key, to_disk
from ebmjax.learn.train import Metrics, Progress, Trained, advance, begin, check_data
from ebmjax.records import record
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager

_FORMAT = "ebmjax checkpoint 1"
_PARAMS = ".progress.state.params"


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
class _Saved(NamedTuple):
    """The content of a training run's checkpoint; metrics of epochs to come are zeros."""

    arguments: dict[str, np.ndarray]
    """Fingerprints of what determines the run, and its whole numbers."""
    progress: Progress
    metrics: Metrics


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
    folder = _path(folder)
    if not isinstance(step, int | np.integer):
        raise ArgumentError(f"step: got {step!r}, wanted a whole number")
    check_arrays("state", state)
    ocp = _orbax()
    about = described(state)
    stored = {str(index): to_disk(leaf) for index, leaf in enumerate(jax.tree.leaves(state)) if np.size(leaf)}
    # Orbax saves neither arrays of no elements nor a tree of no arrays.
    arrays = ocp.args.StandardSave(stored or {"none": np.zeros(1)})
    _remove_unfinished(folder)
    with _manager(folder) as manager:
        latest = manager.latest_step()
        least = 0 if latest is None else latest + 1
        if step < least:
            raise ArgumentError(f"step: got {step}, wanted at least {least}, after the latest in {folder}")
        about = ocp.args.JsonSave({"format": _FORMAT, "leaves": about})
        manager.save(step, args=ocp.args.Composite(arrays=arrays, about=about), force=True)


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
    folder = _path(folder)
    found = _read(folder)
    if found is None:
        return None
    return found.step, _in_the_form_of(like, found, range(len(found.described)), "", folder)


def restore_params(folder: Path | str, like: Any) -> tuple[int, Any] | None:
    """The parameters of the latest checkpoint of `train_resumable`, without the learner and the data that made it.

    Args:
        folder: as for `train_resumable`.
        like: as for `restore`, of the parameters alone.

    Returns:
        `(epochs, params)`: how many epochs were done, and the parameters then. None where there is no checkpoint.

    Raises:
        ValueError: parameters that are not like `like`, a checkpoint that `train_resumable` did not make. Other errors
            are those of `restore`.

    >>> restore_params("no such folder", jnp.zeros(2)) is None
    True
    """
    folder = _path(folder)
    found = _read(folder)
    if found is None:
        return None
    places = [place for place, (path, _) in enumerate(found.described) if path.startswith(_PARAMS)]
    if not places:
        raise ArgumentError(f"folder: got {folder}, whose checkpoint {found.step} was not made by `train_resumable`")
    return found.step, _in_the_form_of(like, found, places, _PARAMS, folder)


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
    its own.

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
            have the axes (every, N // batch_size): False stops the run. It is called outside of jit.

    Returns:
        `Checkpointed(trained, result)`, with the metrics of every epoch, also of those before an interruption.

    Raises:
        ValueError: arguments that `train` refuses, every below 1, a folder that holds another run: the message says
            which of the key, the learner (its functions and the numbers in them), the initial parameters, the data,
            batch_size, epochs and every was another.
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
    folder = _path(folder)
    check_key("key", key)
    check_record("learner", learner, Learner)
    check_callable("healthy", healthy)
    data = as_arrays("data", data)
    check_data(data, batch_size, epochs)
    check_count("every", every)
    progress, keys = begin(key, learner, params, epochs)
    arrays, numbers = (key, learner, params, data), (batch_size, epochs, every)
    arguments = {name: fingerprint(of) for name, of in zip(("key", "learner", "params", "data"), arrays, strict=True)}
    arguments |= dict(zip(("batch_size", "epochs", "every"), map(np.array, numbers), strict=True))

    # No file keeps weak types. With them, the first segment would need a compilation of its own.
    whole = progress
    on_disk = [is_array(leaf) for leaf in jax.tree.leaves(whole)]
    progress = replaced(whole, [not of for of in on_disk], [None] * on_disk.count(False))
    progress = jax.tree.map(lambda leaf: leaf if is_key(leaf) else jnp.asarray(np.asarray(leaf)), progress)
    completed = lambda progress: replaced(whole, on_disk, jax.tree.leaves(progress))
    segment = lambda keys, progress: advance(keys, learner, progress, data, batch_size)

    shapes = jax.eval_shape(lambda keys, progress: segment(keys, completed(progress))[1], keys[:every], progress)
    metrics = jax.tree.map(lambda leaf: np.zeros((epochs, *leaf.shape[1:]), leaf.dtype), shapes)
    start = _Saved(arguments, progress, metrics)
    _check_same_run(folder, arguments)
    found = restore(folder, start)
    if found is None and start.progress.alive:
        save(folder, 0, start)
    done, saved = found or (0, start)

    progress, metrics = completed(saved.progress), jax.tree.map(np.array, saved.metrics)
    while done < epochs:
        upto = min(done + every, epochs)
        after, reported = segment(keys[done:upto], progress)
        for part_of, part in zip(jax.tree.leaves(metrics), jax.tree.leaves(reported), strict=True):
            part_of[done:upto] = part
        if not (after.alive and healthy(after.state.params, reported.learner)):
            return _ended(progress, metrics, upto, DIVERGED)
        arrays = replaced(after, [not of for of in on_disk], [None] * on_disk.count(False))
        save(folder, upto, _Saved(arguments, arrays, metrics))
        progress, done = after, upto
    return _ended(progress, metrics, epochs, STEP_LIMIT)


def _ended(progress: Progress, metrics: Metrics, epochs: int, result: int) -> Checkpointed:
    metrics = jax.tree.map(lambda leaf: jnp.asarray(leaf[:epochs]), metrics)
    return Checkpointed(Trained(progress.state.params, progress.state, metrics), result)


def _check_same_run(folder: Path, arguments: dict[str, np.ndarray]) -> None:
    """Raise ArgumentError, naming the argument, where the run in a folder had another."""
    found = _read(folder)
    if found is None:
        return
    places = {path: str(place) for place, (path, _) in enumerate(found.described)}
    for name, ours in arguments.items():
        theirs = found.arrays.get(places.get(f".arguments['{name}']", ""))
        if theirs is None or not np.array_equal(theirs, ours):
            which = f"{name} {theirs} and not {ours}" if ours.ndim == 0 and theirs is not None else f"another {name}"
            raise ArgumentError(
                f"folder: got {folder}, which holds a run with {which}, wanted the same run or a folder of its own"
            )


def _orbax() -> Any:
    """The optional package, imported where it is first used: `import ebmjax` does not need it."""
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('checkpoints need the extra: python -m pip install "ebmjax[checkpoint]"') from error
    return orbax.checkpoint


@record
class _Found(NamedTuple):
    """The latest checkpoint of a folder, as it is on disk."""

    step: int
    described: list[list[str]]
    arrays: dict[str, np.ndarray]


def _read(folder: Path) -> _Found | None:
    if not folder.exists():
        return None
    ocp = _orbax()
    with _manager(folder) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        # A damaged file makes orbax and its storage raise all kinds of errors, which mean the same.
        try:
            found = manager.restore(
                step, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(), about=ocp.args.JsonRestore())
            )
            ours, leaves = found.about["format"] == _FORMAT, found.about["leaves"]
        except Exception as error:
            raise ArgumentError(
                f"folder: got {folder}, whose checkpoint {step} is damaged or was not made by `save`"
                f" ({type(error).__name__})"
            ) from error
    if not ours:
        raise ArgumentError(f"folder: got {folder}, whose checkpoint {step} was not made by `save`")
    return _Found(step, leaves, found.arrays)


def _path(folder: Any) -> Path:
    """A folder that a user names, with the home folder for `~`."""
    try:
        return Path(folder).expanduser()
    except (TypeError, RuntimeError) as error:
        raise ArgumentError(f"folder: got {folder!r} ({error}), wanted the path of a folder") from None


def _manager(folder: Path) -> "CheckpointManager":
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"folder: got {folder}, which is a file, wanted a folder")
    ocp = _orbax()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    return ocp.CheckpointManager(folder.absolute(), options=options)


def _remove_unfinished(folder: Path) -> None:
    """Remove checkpoints that a killed process left half written.

    Orbax can do so by itself, but in a thread that may outlive the manager which started it, and which then removes
    what the next manager is writing.
    """
    for unfinished in folder.glob("*.orbax-checkpoint-tmp"):
        shutil.rmtree(unfinished)


def _in_the_form_of(like: Any, found: _Found, places: Sequence[int], prefix: str, folder: Path) -> Any:
    """The arrays at some places of a checkpoint, as a pytree like `like`."""
    check_arrays("like", like)
    saved = [[path.removeprefix(prefix), kind] for path, kind in (found.described[place] for place in places)]
    check_like(like, saved, f"as in checkpoint {found.step} of {folder}")
    leaves, structure = jax.tree.flatten(like)
    rebuilt = [from_disk(found.arrays.get(str(place)), leaf) for place, leaf in zip(places, leaves, strict=True)]
    return jax.tree.unflatten(structure, rebuilt)
