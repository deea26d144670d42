"""Training with checkpoints: saved every few epochs, and resumed where it stopped.

Needs the extra `checkpoint` (orbax-checkpoint). A checkpoint is a numbered folder with every array of a state. It gets
its name by one rename when it is complete, so that a process killed while saving leaves the checkpoint before it
intact.

`train_resumable` is `train` with checkpoints; `save` and `restore` are for a pytree of any kind.
"""

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ebmjax.checks import ArgumentError, check_count
from ebmjax.learn.train import Metrics, Progress, Trained, advance, begin, check_data
from ebmjax.types import DIVERGED, STEP_LIMIT, Learner

if TYPE_CHECKING:
    from orbax.checkpoint import CheckpointManager

_FORMAT = "ebmjax checkpoint 1"


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


class _Saved(NamedTuple):
    """The content of a training run's checkpoint; metrics of epochs to come are zeros."""

    arguments: np.ndarray
    progress: Progress
    metrics: Metrics


def save(folder: Path | str, step: int, state: Any) -> None:
    """Save a pytree of arrays as checkpoint number `step`, and delete all but the last two checkpoints.

    Args:
        folder: created where it does not exist; other files in it stay.
        step: above that of every checkpoint in the folder.
        state: arrays of any dtype and typed random keys of any implementation.

    Raises:
        ValueError: a step that is not above the latest, a folder that is a file.
        ModuleNotFoundError: the extra `checkpoint` is not installed.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(folder, 3, {"w": jnp.arange(2.0), "key": jax.random.key(0)})
    ...     step, state = restore(folder, {"w": jnp.zeros(2), "key": jax.random.key(1)})
    >>> step, state["w"].tolist(), bool(state["key"] == jax.random.key(0))
    (3, [0.0, 1.0], True)
    """
    ocp = _orbax()
    described = _described(state)
    stored = {str(index): _stored(leaf) for index, leaf in enumerate(jax.tree.leaves(state)) if np.size(leaf)}
    # Orbax saves neither arrays of no elements nor a tree of no arrays.
    arrays = ocp.args.StandardSave(stored or {"none": np.zeros(1)})
    _remove_unfinished(folder)
    with _manager(folder) as manager:
        latest = manager.latest_step()
        least = 0 if latest is None else latest + 1
        if step < least:
            raise ArgumentError(f"step: got {step}, wanted at least {least}, after the latest in {folder}")
        about = ocp.args.JsonSave({"format": _FORMAT, "leaves": described})
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
    if not Path(folder).exists():
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
            ours, saved = found.about["format"] == _FORMAT, found.about["leaves"]
        except Exception as error:
            raise ArgumentError(
                f"folder: got {folder}, whose checkpoint {step} is damaged or was not made by `save`"
                f" ({type(error).__name__})"
            ) from error
    if not ours:
        raise ArgumentError(f"folder: got {folder}, whose checkpoint {step} was not made by `save`")
    _check_like(like, saved, f"as in checkpoint {step} of {folder}")
    leaves, structure = jax.tree.flatten(like)
    rebuilt = [_rebuilt(found.arrays.get(str(index)), leaf) for index, leaf in enumerate(leaves)]
    return step, jax.tree.unflatten(structure, rebuilt)


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
        ValueError: data, batch_size or epochs that `train` refuses, every below 1, a folder that holds another run: one
            with another key, other initial parameters, data, batch_size, epochs or every, or with another form of
            learner.
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
    check_data(data, batch_size, epochs)
    check_count("every", every)
    data = jax.tree.map(jnp.asarray, data)
    progress, keys = begin(key, learner, params, epochs)
    segment = jax.jit(lambda keys, progress, data: advance(keys, learner, progress, data, batch_size))

    # No file keeps weak types. With them, the first segment would need a compilation of its own.
    progress = jax.tree.map(lambda leaf: leaf if _is_key(leaf) else jnp.asarray(np.asarray(leaf)), progress)
    shapes = jax.eval_shape(segment, keys[:every], progress, data)[1]
    metrics = jax.tree.map(lambda leaf: np.zeros((epochs, *leaf.shape[1:]), leaf.dtype), shapes)
    start = _Saved(_digest((key, params, data), (batch_size, epochs, every)), progress, metrics)
    found = restore(folder, start)
    if found is None and start.progress.alive:
        save(folder, 0, start)
    done, saved = found or (0, start)
    if not np.array_equal(saved.arguments, start.arguments):
        raise ArgumentError(f"folder: got {folder}, which holds a run with other arguments, wanted a folder of its own")

    progress, metrics = saved.progress, jax.tree.map(np.array, saved.metrics)
    while done < epochs:
        upto = min(done + every, epochs)
        after, reported = segment(keys[done:upto], progress, data)
        for whole, part in zip(jax.tree.leaves(metrics), jax.tree.leaves(reported), strict=True):
            whole[done:upto] = part
        if not (after.alive and healthy(after.state.params, reported.learner)):
            return _ended(progress, metrics, upto, DIVERGED)
        save(folder, upto, _Saved(start.arguments, after, metrics))
        progress, done = after, upto
    return _ended(progress, metrics, epochs, STEP_LIMIT)


def _ended(progress: Progress, metrics: Metrics, epochs: int, result: int) -> Checkpointed:
    metrics = jax.tree.map(lambda leaf: jnp.asarray(leaf[:epochs]), metrics)
    return Checkpointed(Trained(progress.state.params, progress.state, metrics), result)


def _digest(arrays: Any, numbers: tuple[int, ...]) -> np.ndarray:
    """A fingerprint of the arguments of a run."""
    digest = hashlib.sha256(repr((numbers, _described(arrays))).encode())
    for leaf in jax.tree.leaves(arrays):
        digest.update(_stored(leaf).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _orbax() -> Any:
    """The optional package, imported where it is first used: `import ebmjax` does not need it."""
    try:
        import orbax.checkpoint
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('checkpoints need the extra: python -m pip install "ebmjax[checkpoint]"') from error
    return orbax.checkpoint


def _manager(folder: Path | str) -> "CheckpointManager":
    if Path(folder).exists() and not Path(folder).is_dir():
        raise ArgumentError(f"folder: got {folder}, which is a file, wanted a folder")
    ocp = _orbax()
    options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
    return ocp.CheckpointManager(Path(folder).absolute(), options=options)


def _remove_unfinished(folder: Path | str) -> None:
    """Remove checkpoints that a killed process left half written.

    Orbax can do so by itself, but in a thread that may outlive the manager which started it, and which then removes
    what the next manager is writing.
    """
    for unfinished in Path(folder).glob("*.orbax-checkpoint-tmp"):
        shutil.rmtree(unfinished)


def _is_key(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype


def _stored(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _rebuilt(stored: np.ndarray | None, like: Any) -> Any:
    """A leaf in the form of its example; None means an array without elements."""
    example = jnp.empty((), like.dtype) if _is_key(like) else np.zeros((), _dtype(like))
    if stored is None:
        stored = np.zeros(np.shape(like) + _stored(example).shape, _stored(example).dtype)
    if _is_key(like):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(example))
    return jnp.asarray(stored) if isinstance(like, jax.Array | jax.ShapeDtypeStruct) else stored


def _described(state: Any) -> list[list[str]]:
    """The path, the dtype and the shape of every leaf, as text."""
    leaves = jax.tree_util.tree_flatten_with_path(state)[0]
    return [[jax.tree_util.keystr(path), f"{_dtype(leaf)}{list(np.shape(leaf))}"] for path, leaf in leaves]


def _check_like(like: Any, saved: list[list[str]], where: str) -> None:
    asked = _described(like)
    for (path, kind), (saved_path, saved_kind) in zip(asked, saved, strict=False):
        if (path, kind) != (saved_path, saved_kind):
            raise ArgumentError(
                f"like: got {kind} at {path or '.'}, wanted {saved_kind} at {saved_path or '.'}, {where}"
            )
    if len(asked) != len(saved):
        raise ArgumentError(f"like: got {len(asked)} arrays, wanted {len(saved)}, {where}")
