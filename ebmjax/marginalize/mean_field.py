"""Mean-field inference: the law of many binary units, approximated by independent ones.

    F(q) = <E>_q + KL(q‖w) / beta  >=  F_beta

where w is the uniform measure on the cube of states: free energies are averages over it, as everywhere in this library.
Those of a sum over states, <E>_q - H(q) / beta >= -log Z / beta, lie lower by the constant log|cube| / beta, where
log|cube| is log 2 a unit. With E linear in each unit while the others are held, <E>_q is E at the means, and the mean
that lowers F(q) most, the others held, is

    m = low + (high - low) σ(beta · gap),    gap = E(low, rest) - E(high, rest) = -(high - low) ∂E/∂m

Jordan, Ghahramani, Jaakkola, Saul (1999), "An introduction to variational methods for graphical models".
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_beta, check_not_negative, is_static
from ebmjax.loops import iterate_until
from ebmjax.temperature import reduced
from ebmjax.types import BITS, CONVERGED, DIVERGED, STEP_LIMIT, Alphabet, Beta, Energy, Solution

Layers = tuple[Float[Array, "..."], ...]


class _Sweep(NamedTuple):
    means: Layers
    change: Array


def mean_field(
    energy: Energy,
    start: Layers,
    beta: Beta,
    blocks: Sequence[Sequence[int]],
    alphabet: Alphabet = BITS,
    max_sweeps: int = 100,
    tolerance: float = 1e-5,
) -> Solution:
    """The means of independent units whose law is close to exp(-beta E)/Z, by sweeps over blocks of layers.

    A sweep sets the means of one block after another to the best, given all others, so that F(q) never rises. Which
    of several valleys it ends in depends on the start.

    Args:
        energy: `energy(layers) -> scalar` of a tuple of arrays, linear in each unit of a block while the others are
            held.
        start: means to begin with, between the alphabet's two values.
        beta: inverse temperature in [0, inf], static or traced. At inf the means are those of a descent to a local
            minimum of the energy, a unit without preference is in the middle.
        blocks: static; each names the layers that are set together, whose units must not meet in the energy. A layer
            in no block is held at its start, and counts as known.
        alphabet: the two values of a unit.
        max_sweeps: limit, at least 1.
        tolerance: converged when no mean changes by more than this share of high - low in a sweep.

    Returns:
        `Solution(means, F(q), sweeps, result)`. `value` counts as a constant; `energy` carries the derivative with
        respect to whatever the energy closes over, ∂E/∂params at the means, without differentiating the loop. With
        respect to beta it is right above 0. DIVERGED where F(q) is not finite, or above that of the start: then units
        of one block meet.

    Raises:
        ValueError: a bad beta; blocks without a layer, with one that does not exist or stands in two; a static start
            outside of the alphabet's range; max_sweeps below 1; a negative tolerance.

    Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", eq. 9.

    >>> solution = mean_field(lambda s: -s[0] @ s[1], (jnp.ones(2), jnp.full(2, 0.5)), 1.0, ((1,),))
    >>> [round(float(mean), 3) for mean in solution.value[1]], int(solution.result)
    ([0.731, 0.731], 0)
    """
    check_beta(beta)
    check_not_negative("tolerance", tolerance)
    start = tuple(jnp.asarray(layer) for layer in start)
    _check_blocks(blocks, len(start))
    _check_range(start, alphabet)
    pure, constants = jax.closure_convert(energy, start)
    constants, frozen_beta = jax.lax.stop_gradient((constants, beta))
    frozen = lambda means: pure(means, *constants)
    free = [layer for members in blocks for layer in members]

    def sweep(state):
        means = state.means
        for members in blocks:
            slopes = jax.grad(lambda some, rest=means, members=members: frozen(_merged(rest, members, some)))(
                [means[layer] for layer in members]
            )
            means = _merged(means, members, [_mean(slope, frozen_beta, alphabet) for slope in slopes])
        changes = [jnp.abs(means[layer] - state.means[layer]).max(initial=0) for layer in free]
        return _Sweep(means, jnp.stack(changes).max())

    done = lambda state: state.change <= tolerance * (alphabet.high - alphabet.low)
    first = jax.lax.stop_gradient(start)
    state = _Sweep(first, jnp.full((), jnp.inf, jnp.result_type(*(start[layer] for layer in free))))
    state, steps, settled = iterate_until(sweep, state, done, max_sweeps)

    means = jax.lax.stop_gradient(state.means)
    units = lambda layers: [layers[layer] for layer in free]
    value = energy(means) + _cost(units(means), beta, alphabet)
    before = frozen(first) + _cost(units(first), frozen_beta, alphabet)
    frozen_value = jax.lax.stop_gradient(value)
    rounding = 64 * jnp.finfo(value.dtype).eps * (1 + jnp.abs(before))
    sound = jnp.isfinite(frozen_value) & ~(frozen_value > before + rounding)
    result = jnp.where(sound, jnp.where(settled, CONVERGED, STEP_LIMIT), DIVERGED)
    return Solution(means, value, steps, jnp.asarray(result, jnp.int32))


def divergence(means: Float[Array, "..."], alphabet: Alphabet = BITS) -> Float[Array, ""]:
    """KL(q‖w) of independent units from fair ones: log 2 less the entropy, summed over the units, in nats.

        Σ log 2 + p log p + (1 - p) log(1 - p),    p = (m - low) / (high - low)

    computed without a loss of digits near p = ½, where a hot law is.

    >>> [round(float(divergence(jnp.array([mean]))), 4) for mean in (0.5, 1.0)]
    [0.0, 0.6931]
    """
    p = (means - alphabet.low) / (alphabet.high - alphabet.low)
    u = 2 * p - 1
    hot = jnp.abs(u) < 0.5
    near = jnp.where(hot, u, 0)
    # Not everywhere: XLA turns 1 + (2p - 1) into 2p, which need not be zero where u has been rounded to -1.
    even = ((1 + near) * jnp.log1p(near) + (1 - near) * jnp.log1p(-near)) / 2
    return jnp.where(hot, even, math.log(2) + xlogy(p, p) + xlogy(1 - p, 1 - p)).sum()


def _cost(layers, beta, alphabet):
    """KL(q‖w) / beta, with 0/0 = 0: at beta = 0 the fair law costs nothing, and at inf none does."""
    total = jnp.stack([divergence(layer, alphabet) for layer in layers]).sum()
    beta = jnp.asarray(beta).astype(total.dtype)
    nothing = total == 0
    return jnp.where(nothing, 0, total / jnp.where(nothing, 1, beta))


def _mean(slope, beta, alphabet):
    gap = (alphabet.low - alphabet.high) * slope
    return alphabet.low + (alphabet.high - alphabet.low) * jax.nn.sigmoid(reduced(gap, beta))


def _merged(layers, members, values):
    layers = list(layers)
    for layer, value in zip(members, values, strict=True):
        layers[layer] = value
    return tuple(layers)


def _check_blocks(blocks, count):
    named = [layer for members in blocks for layer in members]
    if not named or len(set(named)) != len(named) or min(named) < 0 or max(named) >= count:
        raise ArgumentError(
            f"blocks: got {tuple(blocks)}, wanted at least one layer, each below {count} and in one block at most"
        )


def _check_range(start, alphabet):
    for layer in start:
        if is_static(layer):
            values = np.asarray(layer)
            outside = values[~((values >= alphabet.low) & (values <= alphabet.high))]
            if outside.size:
                raise ArgumentError(
                    f"start: got a mean of {outside.flat[0]}, wanted {alphabet.low:g} to {alphabet.high:g}"
                )
