"""Train an unrolled network one layer after the other. Deep networks learn this way where training all layers at once
fails.

At stage k the network has k layers. First layer k is trained alone, then all k layers together at lower rates. A stage
may add several layers: then there are fewer stages and fewer compilations.

Chen, Liu, Wang, Yin (2018), "Theoretical linear convergence of unfolded ISTA and its practical weights and thresholds",
appendix.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from ebmjax.checks import ArgumentError, check_callable, check_count, check_key, leading_axis
from ebmjax.compiled import compiled
from ebmjax.learn.gradient import gradient
from ebmjax.learn.leaves import as_arrays, as_params
from ebmjax.learn.train import check_data, train
from ebmjax.losses.functional import Loss

JOINT_RATES = (0.2, 0.02)
"""Rates at which all layers are trained together, relative to that of the new layer alone, as published."""


@runtime_checkable
class MakeOptimizer(Protocol):
    """The optimizer of a phase, such as `lambda scale: optax.adam(1e-3 * scale)`."""

    def __call__(self, scale: Any, /) -> optax.GradientTransformation:
        """The optimizer whose rates are `scale` times those of a new layer; `scale` is traced."""
        ...


@runtime_checkable
class InitLayer(Protocol):
    """How a layer starts before it is trained, such as `from_layer_before`."""

    def __call__(self, weights: Any, layer: int, /) -> Any:
        """The weights of all layers, with this layer (counted from 0) initialized."""
        ...


@runtime_checkable
class Tell(Protocol):
    """Hears of the end of a phase, such as to move a progress bar."""

    def __call__(self, depth: int, phase: int, loss: Float[Array, ""], /) -> None:
        """Print or draw.

        Args:
            depth: how many layers the network has at this stage.
            phase: which one of the stage, from 0.
            loss: the mean in its last epoch.
        """
        ...


def layerwise(
    key: Key[Array, ""],
    loss: Loss,
    optimizer: MakeOptimizer,
    weights: Any,
    data: Any,
    batch_size: int,
    epochs: int,
    joint: Sequence[float] = JOINT_RATES,
    init_layer: InitLayer | None = None,
    depths: Sequence[int] | None = None,
    tell: Tell | None = None,
) -> tuple[Any, Float[Array, "stages phases"]]:
    """Train K layers in K stages of 1 + len(joint) phases.

    Args:
        key: typed random key.
        loss: `loss(weights, batch)` for weights of any number of layers.
        optimizer: `optimizer(scale)`, with rates that are `scale` times those of a new layer: `lambda scale:
            optax.adam(1e-3 * scale)`.
        weights: a pytree whose every array has the leading axis K.
        data: arrays with a leading axis of samples.
        batch_size: samples an update.
        epochs: passes over the data in each phase.
        joint: scales of the phases in which all layers so far are trained.
        init_layer: `init_layer(weights, k)` initializes layer k (counted from 0) before it is trained, such as
            `from_layer_before`; by default the layer starts from its values in `weights`.
        depths: how many layers the network has at each stage, rising to K; by default 1, 2, …, K.
        tell: `tell(depth, phase, loss)` is called after each phase, such as to move a progress bar.

    Returns:
        `(weights, losses)`: the trained weights, and the mean loss of the last epoch of each phase.

    Raises:
        ValueError: a raw key, a loss, an optimizer, an init_layer or a tell that is no function, weights without a
            common leading axis, depths that do not rise to K; data, batch_size or epochs that `train` refuses.

    >>> loss = lambda weights, y: jnp.mean((weights.sum() - y) ** 2)
    >>> weights, losses = layerwise(jax.random.key(0), loss, optax.sgd, jnp.zeros(2), jnp.ones(4), 2, 3)
    >>> losses.shape, bool(losses[-1, -1] < 0.1)
    ((2, 3), True)
    """
    check_key("key", key)
    for name, function in (("loss", loss), ("optimizer", optimizer)):
        check_callable(name, function)
    for name, function in (("init_layer", init_layer), ("tell", tell)):
        if function is not None:
            check_callable(name, function)
    weights, data = as_params(weights), as_arrays("data", data)
    check_data(data, batch_size, epochs)
    layers = leading_axis("weights", weights)
    depths = tuple(range(1, layers + 1) if depths is None else depths)
    for depth in depths:
        check_count("depths", depth)
    steps = [after - before for before, after in zip((0, *depths), depths, strict=False)]
    if not depths or min(steps) < 1 or depths[-1] != layers:
        raise ArgumentError(f"depths: got {depths}, wanted rising numbers from 1 or more to {layers}")

    losses = []
    for depth, new in zip(depths, steps, strict=True):
        for layer in range(depth - new, depth):
            weights = weights if init_layer is None else init_layer(weights, layer)
        so_far = jax.tree.map(lambda leaf: leaf[:depth], weights)
        key, *phase_keys = jax.random.split(key, 2 + len(joint))
        alone, together = jnp.arange(depth) >= depth - new, jnp.ones(depth, bool)
        reached = []
        for phase_key, scale, gates in zip(phase_keys, (1.0, *joint), (alone, *(together,) * len(joint)), strict=True):
            so_far, last = _phase(
                phase_key, loss, optimizer, so_far, data, int(batch_size), int(epochs), jnp.asarray(scale), gates
            )
            if tell is not None:
                tell(depth, len(reached), last)
            reached.append(last)
        weights = jax.tree.map(lambda leaf, part: leaf.at[:depth].set(part), weights, so_far)
        losses.append(jnp.stack(reached))
    return weights, jnp.stack(losses)


@compiled
def _phase(key, loss, optimizer, weights, data, batch_size, epochs, scale, gates):
    # gates and scales are traced, so that all phases of a depth share one compilation
    gated = lambda leaf: leaf * gates.astype(leaf.dtype).reshape(-1, *(1,) * (leaf.ndim - 1))
    mask = optax.stateless(lambda updates, params: jax.tree.map(gated, updates))
    trained = train(key, gradient(loss, optax.chain(optimizer(scale), mask)), weights, data, batch_size, epochs)
    return trained.params, trained.metrics.learner.loss[-1].mean()


def from_layer_before(weights: Any, layer: int) -> Any:
    """For `init_layer`: every layer starts as a copy of the trained one before it; the first stays as it is.

    Args:
        weights: a pytree whose every array has the leading axis of layers.
        layer: which one, counted from 0.

    Raises ValueError for an argument of another kind.

    >>> from_layer_before(jnp.array([1.0, 2.0, 3.0]), 1).tolist()
    [1.0, 1.0, 3.0]
    """
    leading_axis("weights", weights)
    weights = as_params(weights)
    if not isinstance(layer, int):
        raise ArgumentError(f"layer: got {layer!r}, wanted a whole number")
    return weights if layer == 0 else jax.tree.map(lambda leaf: leaf.at[layer].set(leaf[layer - 1]), weights)
