"""Gibbs sampling of restricted Boltzmann machines: all hidden units at once, then all visible ones.

    h ~ P(h | v),    v ~ P(v | h)

A position is the pair (visible, hidden). A sweep begins with the hidden units, as contrastive divergence needs it: its
result depends on the old v alone. The fields are closed forms, not gradients as in `gibbs.block`, so that a sweep over
a batch is two matrix products.

    binary, gaussian                          machines with binary and with Gaussian visible units
    labelled, label_clamped                   machines whose last visible units are a label, drawn or clamped
    draw_hidden, draw_visible, draw_labelled  the parts of a sweep, which `gibbs.alternate` composes
    clamped                                   a part of a sweep that leaves some visible units as they are

All infos are None, as those of `gibbs.alternate`.

Hinton (2002), "Training products of experts by minimizing contrastive divergence".
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    check_beta,
    check_callable,
    check_key,
    check_record,
    check_units,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.sample import gibbs
from ebmjax.sample.gibbs import Draw
from ebmjax.sample.units import may_be_coldest
from ebmjax.temperature import reduced
from ebmjax.types import BITS, Beta, Kernel

Position = tuple[Float[Array, " visible"], Float[Array, " hidden"]]
"""(visible, hidden)."""


def binary(params: rbm.Params, beta: Beta) -> Kernel:
    """A sweep of the machine with binary units; `gibbs.block(energy, beta, ((1,), (0,)), BITS)` has the same law.

    Args:
        params: of `restricted_boltzmann`.
        beta: inverse temperature in [0, inf]; may be traced.

    Returns:
        A kernel of positions (visible, hidden).

    Raises:
        ValueError: a bad beta; at `init`, static units that are not 0 or 1, layers of another size.

    Hinton (2002).

    >>> params = rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> kernel = binary(params, jnp.inf)
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.ones(3), jnp.zeros(2))))
    >>> [layer.tolist() for layer in state.position]
    [[1.0, 1.0, 1.0], [1.0, 1.0]]
    """
    return _kernel(params, [draw_hidden(params, beta), draw_visible(params, beta)])


def gaussian(params: gaussian_rbm.Params, beta: Beta) -> Kernel:
    """A sweep of the machine with Gaussian visible and binary hidden units.

    Args:
        params: of `restricted_boltzmann_gaussian`.
        beta: inverse temperature in (0, inf], since at 0 the visible units have no law; may be traced.

    Returns:
        A kernel of positions (visible, hidden).

    Raises:
        ValueError: a bad beta, or a static 0; at `init`, static hidden units that are not 0 or 1, layers of another
            size.

    Hinton and Salakhutdinov (2006), "Reducing the dimensionality of data with neural networks".

    >>> params = gaussian_rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2), jnp.zeros(3))
    >>> kernel = gaussian(params, jnp.inf)
    >>> kernel.step(jax.random.key(0), kernel.init((jnp.ones(3), jnp.zeros(2))))[0].position[0].tolist()
    [2.0, 2.0, 2.0]
    """
    check_beta(beta)
    if is_static(beta) and float(beta) == 0:
        raise ArgumentError("beta: got 0.0, wanted an inverse temperature above 0: at 0 Gaussian units have no law")
    beta = as_beta(beta)
    check_record("params", params, gaussian_rbm.Params)

    def hidden(key: Key[Array, ""], position: Position) -> Position:
        return _gaussian_hidden(key, params, beta, position)

    def visible(key: Key[Array, ""], position: Position) -> Position:
        return _gaussian_visible(key, params, beta, position)

    return _kernel(params, [hidden, visible], reals=True)


@compiled
def _gaussian_hidden(key, params, beta, position):
    visible = position[0]
    return visible, gibbs.draw(key, gaussian_rbm.hidden_field(params, visible), beta, BITS)


@compiled
def _gaussian_visible(key, params, beta, position):
    mean, deviation = gaussian_rbm.visible_law(params, position[1], beta)
    return mean + deviation * jax.random.normal(key, mean.shape, mean.dtype), position[1]


def labelled(params: rbm.Params, beta: Beta, classes: int) -> Kernel:
    """A sweep of the machine whose last visible units are a label, of which exactly one is on.

    Args:
        params: of `restricted_boltzmann`, with pixels + classes visible units.
        beta: inverse temperature in [0, inf]; may be traced.
        classes: number of label units, static, at least 2.

    Returns:
        A kernel of positions (visible, hidden).

    Raises:
        ValueError: a bad beta or number of classes; at `init`, static units that are not 0 or 1, a static label without
            exactly one unit on, layers of another size.

    Larochelle and Bengio (2008), "Classification using discriminative restricted Boltzmann machines".

    >>> params = rbm.Params(jnp.ones((4, 2)), jnp.zeros(4).at[-1].set(1.0), jnp.zeros(2))
    >>> kernel = labelled(params, jnp.inf, 2)
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.array([0.0, 0.0, 1.0, 0.0]), jnp.zeros(2))))
    >>> state.position[0].tolist()
    [1.0, 1.0, 0.0, 1.0]
    """
    labels_rbm.check_classes(params, classes)
    return _kernel(params, [draw_hidden(params, beta), draw_labelled(params, beta, classes)], classes=classes)


def label_clamped(params: rbm.Params, beta: Beta, classes: int) -> Kernel:
    """A sweep of P(v, h | c): the label is clamped at its value. Arguments and errors as in `labelled`.

    >>> params = rbm.Params(jnp.ones((4, 2)), jnp.zeros(4).at[-1].set(1.0), jnp.zeros(2))
    >>> kernel = label_clamped(params, jnp.inf, 2)
    >>> state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.array([0.0, 0.0, 1.0, 0.0]), jnp.zeros(2))))
    >>> state.position[0].tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    labels_rbm.check_classes(params, classes)
    is_label = np.arange(params.visible_bias.shape[0]) >= params.visible_bias.shape[0] - classes
    draws = [draw_hidden(params, beta), clamped(draw_visible(params, beta), is_label)]
    return _kernel(params, draws, classes=classes)


def draw_hidden(params: rbm.Params, beta: Beta) -> Draw:
    """The draw h ~ P(h | v) of the binary machine. Raises ValueError for a bad beta.

    >>> params = rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> draw_hidden(params, jnp.inf)(jax.random.key(0), (jnp.ones(3), jnp.zeros(2)))[1].tolist()
    [1.0, 1.0]
    """
    beta = as_beta(beta)
    check_record("params", params, rbm.Params)
    params = as_floats("params", params)
    ties = may_be_coldest(beta)

    def draw(key: Key[Array, ""], position: Any) -> Position:
        visible, _ = _layers(position)
        scale = _sizes(params.weights, params.hidden_bias, 0) if ties else None
        return visible, gibbs.draw(key, rbm.hidden_field(params, visible), beta, BITS, scale)

    return draw


def _layers(position):
    visible, hidden = position
    return as_float("visible", visible), as_float("hidden", hidden)


def _sizes(weights, bias, axis):
    """Σ|w| + |b|, the size of the terms of every field, for ties at beta = inf."""
    # a barrier: weights that somebody's program holds as constants would be summed for seconds by XLA
    weights, bias = jax.lax.optimization_barrier((weights, bias))
    return jnp.abs(weights).sum(axis=axis) + jnp.abs(bias)


def draw_visible(params: rbm.Params, beta: Beta) -> Draw:
    """The draw v ~ P(v | h) of the binary machine. Raises ValueError for a bad beta.

    >>> params = rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> draw_visible(params, jnp.inf)(jax.random.key(0), (jnp.zeros(3), jnp.ones(2)))[0].tolist()
    [1.0, 1.0, 1.0]
    """
    beta = as_beta(beta)
    check_record("params", params, rbm.Params)
    params = as_floats("params", params)
    ties = may_be_coldest(beta)

    def draw(key: Key[Array, ""], position: Any) -> Position:
        _, hidden = _layers(position)
        scale = _sizes(params.weights, params.visible_bias, 1) if ties else None
        return gibbs.draw(key, rbm.visible_field(params, hidden), beta, BITS, scale), hidden

    return draw


def draw_labelled(params: rbm.Params, beta: Beta, classes: int) -> Draw:
    """The draw (v, c) ~ P(v | h) P(c | h): binary pixels, and a label with one unit on.

    Raises ValueError for a bad beta or number of classes.

    >>> params = rbm.Params(jnp.ones((4, 2)), jnp.zeros(4).at[-1].set(1.0), jnp.zeros(2))
    >>> draw_labelled(params, jnp.inf, 2)(jax.random.key(0), (jnp.zeros(4), jnp.ones(2)))[0].tolist()
    [1.0, 1.0, 0.0, 1.0]
    """
    beta = as_beta(beta)
    check_record("params", params, rbm.Params)
    params = as_floats("params", params)
    labels_rbm.check_classes(params, classes)

    def draw(key: Key[Array, ""], position: Any) -> Position:
        check_key("key", key)
        _, hidden = _layers(position)
        pixels_key, label_key = jax.random.split(key)
        field, sizes = rbm.visible_field(params, hidden), _sizes(params.weights, params.visible_bias, 1)
        pixels = gibbs.draw(pixels_key, field[:-classes], beta, BITS, sizes[:-classes])
        # differences from the largest field, so that at beta = inf the tied classes are equally likely
        logits = reduced(gibbs.settled(field[-classes:] - field[-classes:].max(), sizes[-classes:], beta), beta)
        label = jax.nn.one_hot(jax.random.categorical(label_key, logits), classes, dtype=field.dtype)
        return jnp.concatenate([pixels, label]), hidden

    return draw


def clamped(draw: Draw, mask: Any) -> Draw:
    """A draw that leaves the visible units under the mask as they are: the law is conditional on them.

    This is right for units that are independent given the hidden ones. All visible units of these machines are, except
    that the units of a label depend on each other: clamp all of them or none.

    Args:
        draw: of the visible units, such as `draw_visible(params, beta)`.
        mask: truth values, (visible,), True for the units that are clamped.

    Raises:
        ValueError: a draw that is no function; when it draws, a mask of another shape than the visible units.

    >>> params = rbm.Params(jnp.ones((3, 2)), jnp.zeros(3), jnp.zeros(2))
    >>> first_clamped = clamped(draw_visible(params, jnp.inf), np.array([True, False, False]))
    >>> first_clamped(jax.random.key(0), (jnp.zeros(3), jnp.ones(2)))[0].tolist()
    [0.0, 1.0, 1.0]
    """

    check_callable("draw", draw)
    mask = np.asarray(mask, bool) if is_static(mask) else mask

    def draw_the_others(key: Key[Array, ""], position: Any) -> Position:
        old, _ = _layers(position)
        if mask.shape != old.shape:
            raise ArgumentError(f"mask: got shape {mask.shape}, wanted that of the visible units, {old.shape}")
        visible, hidden = draw(key, position)
        return jnp.where(mask, old, visible), hidden

    return draw_the_others


def _kernel(
    params: rbm.Params | gaussian_rbm.Params, draws: Sequence[Draw], reals: bool = False, classes: int = 0
) -> Kernel:
    """`gibbs.alternate` with a checked first position, whose visible units are binary unless `reals`."""
    kernel = gibbs.alternate(draws)

    def init(position: Any, rng_key: Key[Array, ""] | None = None) -> gibbs.State:
        if not isinstance(position, tuple | list) or len(position) != 2:
            raise ArgumentError(f"position: got a {type(position).__name__}, wanted the pair (visible, hidden)")
        visible = as_float("visible", position[0], jnp.shape(params.visible_bias))
        hidden = as_float("hidden", position[1], jnp.shape(params.hidden_bias))
        check_units("hidden", hidden, BITS)
        if not reals:
            check_units("visible", visible, BITS)
        if classes and is_static(visible) and np.sum(np.asarray(visible)[-classes:]) != 1:
            raise ArgumentError(
                f"visible: got a label of {np.asarray(visible)[-classes:].tolist()}, wanted one unit on"
            )
        return kernel.init((visible, hidden))

    return Kernel(init, kernel.step)
