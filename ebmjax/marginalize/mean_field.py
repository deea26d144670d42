"""Mean-field inference: the law exp(-beta E)/Z of many binary units is approximated by a law of independent units.

    F(q) = <E>_q + KL(q‖w) / beta  >=  F_beta

Here w is the uniform measure on the states, since free energies are averages over states everywhere in this library.
With sums over states the bound is <E>_q - H(q) / beta >= -log Z / beta; both of its sides are smaller by the constant
log(number of states) / beta, which is log 2 / beta for each unit. E has to be linear in each unit while the others are
fixed. Then <E>_q is E at the means, and the mean of one unit that minimizes F(q), with the other means fixed, is

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

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    as_scalar,
    check_callable,
    check_count,
    check_not_negative,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.loops import iterate_until
from ebmjax.marginalize.layers import Layers, with_layers
from ebmjax.records import record
from ebmjax.temperature import reduced
from ebmjax.types import BITS, Alphabet, Beta, Energy, Numbers, Scalar, Solution, result_of


@record
class _Sweep(NamedTuple):
    means: Layers
    change: Array


def mean_field(
    energy: Energy,
    start: Sequence[Numbers],
    beta: Beta,
    blocks: Sequence[Sequence[int]],
    alphabet: Alphabet = BITS,
    max_sweeps: int = 100,
    tolerance: Scalar = 1e-5,
) -> Solution:
    """The means of independent units whose law is close to exp(-beta E)/Z, by sweeps over blocks of layers.

    A sweep sets the means of one block after another to those that minimize F(q), with all other means fixed, so that
    F(q) never rises. Which of several local minima it reaches depends on the start.

    Args:
        energy: `energy(layers) -> scalar` of a tuple of arrays, linear in each unit of a block while the others are
            fixed.
        start: the first means, between the two values of the alphabet.
        beta: inverse temperature in [0, inf], static or traced. At inf the sweeps descend to a local minimum of the
            energy; the mean of a unit whose gap is zero is then in the middle.
        blocks: static; each names the layers that are updated together. No two units of a block may be coupled by the
            energy. A layer in no block is clamped at its start.
        alphabet: the two values of a unit.
        max_sweeps: limit of the sweeps, at least 1.
        tolerance: converged when no mean changes by more than tolerance · (high - low) in a sweep; not negative.

    Returns:
        `Solution(means, F(q), sweeps, result)`; `steps` counts sweeps. `value` counts as a constant, and `energy` has
        the derivative ∂E/∂params at the means with respect to whatever the energy closes over; the loop is not
        differentiated. The derivative with respect to beta is right for beta above 0. DIVERGED where F(q) is not
        finite, or above that of the start, which means that the energy couples units of one block.

    Raises:
        ValueError: a beta that is negative, NaN or not a scalar; blocks without a layer, with a layer that does not
            exist or is in two of them; a static start outside the range of the alphabet; max_sweeps below 1; a negative
            tolerance.

    Salakhutdinov and Hinton (2009), "Deep Boltzmann machines", eq. 9.

    >>> solution = mean_field(lambda s: -s[0] @ s[1], (jnp.ones(2), jnp.full(2, 0.5)), 1.0, ((1,),))
    >>> [round(float(mean), 3) for mean in solution.value[1]], int(solution.result)
    ([0.731, 0.731], 0)
    """
    beta = as_beta(beta)
    check_callable("energy", energy)
    check_count("max_sweeps", max_sweeps)
    check_not_negative("tolerance", tolerance)
    if not isinstance(start, tuple | list):
        raise ArgumentError(f"start: got a {type(start).__name__}, wanted a tuple of arrays, one for each layer")
    start = as_floats("start", tuple(start))
    blocks = tuple(tuple(int(layer) for layer in members) for members in blocks)
    _check_blocks(blocks, len(start))
    _check_range(start, alphabet)
    return _mean_field(energy, start, jnp.asarray(beta), blocks, alphabet, max_sweeps, as_float("tolerance", tolerance))


@compiled
def _mean_field(energy, start, beta, blocks, alphabet, max_sweeps, tolerance):
    pure, constants = jax.closure_convert(energy, start)
    constants, frozen_beta = jax.lax.stop_gradient((constants, beta))
    frozen = lambda means: pure(means, *constants)
    free = [layer for members in blocks for layer in members]

    def sweep(state):
        means = state.means
        for members in blocks:
            slopes = jax.grad(lambda some, rest=means, members=members: frozen(with_layers(rest, members, some)))(
                [means[layer] for layer in members]
            )
            means = with_layers(means, members, [_mean(slope, frozen_beta, alphabet) for slope in slopes])
        changes = [jnp.abs(means[layer] - state.means[layer]).max(initial=0) for layer in free]
        return _Sweep(means, jnp.stack(changes).max())

    done = lambda state: state.change <= tolerance.astype(state.change.dtype) * (alphabet.high - alphabet.low)
    first = jax.lax.stop_gradient(start)
    state = _Sweep(first, jnp.full((), jnp.inf, jnp.result_type(*(start[layer] for layer in free))))
    state, steps, settled = iterate_until(sweep, state, done, max_sweeps)

    means = jax.lax.stop_gradient(state.means)
    units = lambda layers: [layers[layer] for layer in free]
    value = as_scalar("energy", energy(means)) + _cost(units(means), beta, alphabet)
    before = as_scalar("energy", frozen(first)) + _cost(units(first), frozen_beta, alphabet)
    frozen_value = jax.lax.stop_gradient(value)
    # relative to the largest term, in any unit of energy
    largest = jnp.maximum(jnp.abs(before), jnp.abs(frozen(first)))
    rounding = 64 * jnp.finfo(value.dtype).eps * jnp.maximum(largest, jnp.abs(frozen_value))
    sound = jnp.isfinite(frozen_value) & ~(frozen_value > before + rounding)
    return Solution(means, value, steps, result_of(sound, settled))


def divergence(means: Numbers, alphabet: Alphabet = BITS) -> Float[Array, ""]:
    """KL(q‖w) of independent units from uniform ones, in nats: for each unit log 2 minus its entropy.

        Σ log 2 + p log p + (1 - p) log(1 - p),    p = (m - low) / (high - low)

    It is computed without a loss of digits near p = ½, where the units of a small beta are.

    Args:
        means: m, any shape, between the two values of the alphabet.
        alphabet: the two values of a unit.

    >>> [round(float(divergence(jnp.array([mean]))), 4) for mean in (0.5, 1.0)]
    [0.0, 0.6931]
    """
    means = as_float("means", means)
    p = (means - alphabet.low) / (alphabet.high - alphabet.low)
    u = 2 * p - 1
    hot = jnp.abs(u) < 0.5
    near = jnp.where(hot, u, 0)
    # Only near ½, because XLA turns 1 + (2p - 1) into 2p, which need not be zero where u was rounded to -1.
    even = ((1 + near) * jnp.log1p(near) + (1 - near) * jnp.log1p(-near)) / 2
    return jnp.where(hot, even, math.log(2) + xlogy(p, p) + xlogy(1 - p, 1 - p)).sum()


def _cost(layers, beta, alphabet):
    """KL(q‖w) / beta, with 0/0 = 0: zero for the uniform law at beta = 0, and for every law at inf."""
    total = jnp.stack([divergence(layer, alphabet) for layer in layers]).sum()
    beta = jnp.asarray(beta).astype(total.dtype)
    nothing = total == 0
    return jnp.where(nothing, 0, total / jnp.where(nothing, 1, beta))


def _mean(slope, beta, alphabet):
    gap = (alphabet.low - alphabet.high) * slope
    return alphabet.low + (alphabet.high - alphabet.low) * jax.nn.sigmoid(reduced(gap, beta))


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
