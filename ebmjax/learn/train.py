"""Train any learner, in one scan.

`train` is a pure function of a key: `vmap` it over seeds, temperatures and learning rates. In a plain Python loop it
compiles once for all learners and data of one form. `begin` and `advance` are its two parts, for a training that is
measured or saved between epochs:

    progress, keys = begin(key, learner, params, epochs)
    progress, metrics = advance(keys[:5], learner, progress, data, batch_size)    # five epochs
    progress, metrics = advance(keys[5:], learner, progress, data, batch_size)    # the others
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from ebmjax.checks import ArgumentError, check_count, check_key, check_record, leading_axis
from ebmjax.compiled import compiled
from ebmjax.learn.leaves import arrays_of, as_arrays, as_params, widened, with_arrays
from ebmjax.records import record
from ebmjax.types import Learner


@record
class Metrics(NamedTuple):
    """What is reported of every update: leading axes (epochs, batches)."""

    learner: Any
    """The metrics of the learner."""
    finite: Bool[Array, "epochs batches"]
    """Whether the update was carried out: its parameters, and those of every update before it, were finite."""


@record
class Progress(NamedTuple):
    """What one epoch hands to the next."""

    state: Any
    """The learner's state after the last finite update."""
    alive: Bool[Array, ""]
    """Whether the parameters have been finite so far."""


@record
class Trained(NamedTuple):
    """What `train` returns."""

    params: Any
    """The last finite parameters."""
    state: Any
    """The learner's state with these parameters."""
    metrics: Metrics


def train(key: Key[Array, ""], learner: Learner, params: Any, data: Any, batch_size: int, epochs: int) -> Trained:
    """Train for some epochs of shuffled mini-batches, all in one scan.

    Every epoch shuffles the samples anew and drops the remainder that does not fill a batch. An update whose parameters
    are not finite is not carried out, nor is any after it: the state stays the last finite one, and `metrics.finite` is
    False from there on. Under `vmap` this holds for each member alone.

    Args:
        key: typed random key.
        learner: `init(key, params) -> state`, `update(key, state, batch) -> (state, metrics)`.
        params: initial parameters, any pytree, such as a record, a dict, or a network of Flax or Equinox.
        data: JAX or NumPy arrays with the leading axis N, such as y or (x, y). A batch holds integers (labels) as
            integers, of 32 bits or more, and truth values as such; half precision becomes float32.
        batch_size: samples an update, from 1 to N.
        epochs: passes over the data, at least 1.

    Returns:
        `Trained(params, state, metrics)`; metrics have the leading axes (epochs, N // batch_size).

    Raises:
        ValueError: a raw key, a learner that is none, parameters or data that are not arrays (their path is named), no
            data, leading axes that differ, batch_size below 1 or above N, epochs below 1, an update that returns a
            state of another form.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))
    >>> trained = train(jax.random.key(0), learner, jnp.array(0.0), jnp.full(8, 3.0), batch_size=4, epochs=20)
    >>> round(float(trained.params), 2), trained.metrics.finite.shape
    (3.0, (20, 2))
    """
    check_key("key", key)
    check_record("learner", learner, Learner)
    data = as_arrays("data", data)
    check_data(data, batch_size, epochs)
    progress, keys = begin(key, learner, params, epochs)
    progress, metrics = advance(keys, learner, progress, data, batch_size)
    return Trained(progress.state.params, progress.state, metrics)


def begin(key: Key[Array, ""], learner: Learner, params: Any, epochs: int) -> tuple[Progress, Key[Array, " epochs"]]:
    """The start of `train`: its progress before the first epoch, and the key of every epoch.

    Args:
        key, learner, params, epochs: as in `train`.

    Raises:
        ValueError: a raw key, a learner that is none or whose state has no field `params`, parameters that are not
            arrays, epochs below 1.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))
    >>> progress, keys = begin(jax.random.key(0), learner, jnp.array(0.0), epochs=20)
    >>> bool(progress.alive), keys.shape
    (True, (20,))
    """
    check_key("key", key)
    check_record("learner", learner, Learner)
    check_count("epochs", epochs)
    params = as_params(params)
    init_key, epochs_key = jax.random.split(key)
    state = learner.init(init_key, params)
    if not hasattr(state, "params"):
        raise ArgumentError(f"learner: got a state of {type(state).__name__}, wanted one with a field `params`")
    return Progress(state, _all_finite(params)), jax.random.split(epochs_key, epochs)


def advance(
    keys: Key[Array, " epochs"], learner: Learner, progress: Progress, data: Any, batch_size: int
) -> tuple[Progress, Metrics]:
    """Train for one epoch with each of the keys, in one scan. `train` in several pieces gives the same numbers.

    Args:
        keys: those of `begin`, or the next few of them.
        learner, data, batch_size: as in `train`.
        progress: of `begin`, or of the piece before.

    Returns:
        `(progress, metrics)`; metrics have the leading axes (epochs, N // batch_size).

    Raises:
        ValueError: keys that are not those of epochs, a learner, a progress, data or a batch_size as `train` refuses
            them.

    >>> import optax
    >>> from ebmjax.learn.gradient import gradient
    >>> learner = gradient(lambda w, y: jnp.mean((w - y) ** 2), optax.sgd(0.1))
    >>> data = jnp.full(8, 3.0)
    >>> progress, keys = begin(jax.random.key(0), learner, jnp.array(0.0), epochs=20)
    >>> progress, first = advance(keys[:5], learner, progress, data, batch_size=4)
    >>> progress, rest = advance(keys[5:], learner, progress, data, batch_size=4)
    >>> round(float(progress.state.params), 2), rest.finite.shape
    (3.0, (15, 2))
    """
    if not (isinstance(keys, jax.Array) and jnp.issubdtype(keys.dtype, jax.dtypes.prng_key) and keys.ndim == 1):
        raise ArgumentError(f"keys: got {type(keys).__name__} of shape {jnp.shape(keys)}, wanted keys of `begin`")
    check_record("learner", learner, Learner)
    check_record("progress", progress, Progress)
    data = as_arrays("data", data)
    check_data(data, batch_size, 1)
    arrays, metrics = _advance(keys, learner, progress, data, int(batch_size))
    return with_arrays(progress, arrays), metrics


@compiled
def _advance(keys, learner, progress, data, batch_size):
    samples = leading_axis("data", data)
    batches = samples // batch_size

    def update(leaves, key_and_rows):
        state, alive = with_arrays(progress, leaves)
        update_key, rows = key_and_rows
        batch = jax.tree.map(lambda leaf: widened(leaf[rows]), data)
        new, metrics = learner.update(update_key, state, batch)
        _check_same_form(new, state)
        alive = alive & _all_finite(new.params)
        kept = [jnp.where(alive, *pair) for pair in zip(arrays_of(new), arrays_of(state), strict=True)]
        return [*kept, alive], Metrics(metrics, alive)

    def epoch(leaves, key):
        order_key, updates_key = jax.random.split(key)
        order = _shuffled(order_key, samples)[: batches * batch_size]
        keys = jax.random.split(updates_key, batches)
        return jax.lax.scan(update, leaves, (keys, order.reshape(batches, batch_size)))

    # without the weak types of Python numbers, which an update does not return
    return jax.lax.scan(epoch, [jnp.asarray(leaf, jnp.result_type(leaf)) for leaf in arrays_of(progress)], keys)


def check_data(data: Any, batch_size: int, epochs: int) -> None:
    """Raise ValueError, naming the argument, for data and sizes that `train` cannot work with.

    >>> check_data(jnp.ones(4), batch_size=5, epochs=1)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: batch_size: got 5, wanted 1 to 4, the number of samples
    """
    samples = leading_axis("data", data)
    check_count("batch_size", batch_size)
    if batch_size > samples:
        raise ArgumentError(f"batch_size: got {batch_size}, wanted 1 to {samples}, the number of samples")
    check_count("epochs", epochs)


def _check_same_form(new: Any, old: Any) -> None:
    described = lambda tree: [
        (f"state{jax.tree_util.keystr(path)}", f"{leaf.dtype}{list(leaf.shape)}")
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if hasattr(leaf, "dtype")
    ]
    if jax.tree.structure(new) != jax.tree.structure(old):
        raise ArgumentError(
            f"learner: got a state of structure {jax.tree.structure(new)} from an update, wanted one"
            f" of {jax.tree.structure(old)}, as of `init`"
        )
    for (path, got), (_, wanted) in zip(described(new), described(old), strict=True):
        if got != wanted:
            raise ArgumentError(f"learner: got {got} for {path} from an update, wanted {wanted}, as of `init`")


def _shuffled(key: Key[Array, ""], samples: int) -> Int[Array, " samples"]:
    """A permutation of range(samples).

    Up to 4,096 samples, random words with the index in their low bits are sorted. This is one native sort of one
    operand, five times as fast on CPU as sorting pairs. Two words rarely have the same 20 or more random bits; they
    keep their order then.
    """
    if samples > 4096:
        return jax.random.permutation(key, samples)
    index_bits = jnp.uint32(2 ** (samples - 1).bit_length() - 1)
    words = (jax.random.bits(key, (samples,)) & ~index_bits) | jnp.arange(samples, dtype=jnp.uint32)
    return (jnp.sort(words) & index_bits).astype(jnp.int32)


def _all_finite(params: Any) -> Bool[Array, ""]:
    """Whether all floating numbers are finite; keys, functions and integers are."""
    floating = [leaf for leaf in arrays_of(params) if _is_floating(leaf)]
    return jnp.stack([jnp.bool_(True), *(jnp.isfinite(leaf).all() for leaf in floating)]).all()


def _is_floating(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)
