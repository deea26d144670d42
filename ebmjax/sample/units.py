"""Binary units: their energy gaps, and one draw of each, at any inverse temperature in [0, inf].

    gaps                what every unit gains in energy by the other value
    draw, heat_bath     units that are high with probability σ(beta · gap)
    settled             gaps without their rounding, for ties at beta = inf
    check_independent   whether units that are drawn together interact

The samplers of `gibbs` and of `special` are made of these.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key, PyTree

from ebmjax import random_bits
from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_floats,
    as_scalar,
    check_key,
    is_coldest,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.temperature import as_betas
from ebmjax.types import Alphabet, Beta, Energy, Scalar


def gaps(energy: Energy, position: PyTree[Any], alphabet: Alphabet) -> PyTree[Array]:
    """The energy gap E(unit = low) - E(unit = high) of every unit while the others are fixed, as one gradient.

        gap = -(high - low) ∂E/∂unit

    Args:
        energy: linear in each unit while the others are fixed; for other energies the result is wrong.
        position: units, an array or any pytree of arrays.
        alphabet: the two values of a unit.

    Returns:
        gaps of the shape of the position, in units of energy.

    >>> from ebmjax.types import SPINS
    >>> gaps(lambda s: -3 * s[0] * s[1], jnp.array([1.0, -1.0]), SPINS).tolist()
    [-6.0, 6.0]
    """
    position = as_floats("position", position)
    return jax.tree.map(lambda slope: (alphabet.low - alphabet.high) * slope, _slopes(energy, position))


@compiled
def _slopes(energy, position):
    return jax.grad(lambda position: as_scalar("energy", energy(position)))(position)


def draw(key: Key[Array, ""], gap: Any, beta: Beta, alphabet: Alphabet, scale: Any = None) -> Float[Array, "*shape"]:
    """Independent units that are high with probability σ(beta · gap), down to probabilities of 2⁻³³.

    Args:
        key: typed random key.
        gap: energy gaps E(low) - E(high), any shape.
        beta: inverse temperature in [0, inf], in units of 1/gap.
        alphabet: the two values of a unit.
        scale: the size of the numbers that a gap is a difference or sum of, for `settled`; None where gaps are exact.

    Returns:
        units of the shape and dtype of `gap`.

    Raises:
        ValueError: what is no typed key, gaps that are not numbers, a bad beta.

    >>> from ebmjax.types import SPINS
    >>> draw(jax.random.key(0), jnp.array([5.0, -5.0]), jnp.inf, SPINS).tolist()
    [1.0, -1.0]
    """
    check_key("key", key)
    gap, beta = as_float("gap", gap), as_beta(beta)
    uniform = random_bits.around_zero(jax.random.bits(key, gap.shape, jnp.uint32))
    return heat_bath(uniform, gap if scale is None else settled(gap, scale, beta), beta, alphabet)


def heat_bath(uniform: Any, gap: Any, beta: Beta, alphabet: Alphabet) -> Float[Array, "..."]:
    """Units that are high where uniform < σ(beta · gap): `draw` with random numbers that are given.

    The shapes of `uniform`, `gap` and beta broadcast against each other.

    Args:
        uniform: numbers inside (0, 1), or those of `ebmjax.random_bits.around_zero`, of which a negative one, t, stands
            for 1 + t.
        gap: energy gaps E(low) - E(high).
        beta: inverse temperature in [0, inf].
        alphabet: the two values of a unit.

    Compared as u (1 + exp(-beta gap)) < 1, or, for t = u - 1, as t (1 + exp(beta gap)) < -1. This does not overflow and
    loses no small probability above the least |t|.

    >>> from ebmjax.types import SPINS
    >>> heat_bath(jnp.array([0.2, 0.8, -0.2]), jnp.zeros(3), 1.0, SPINS).tolist()
    [1.0, -1.0, -1.0]
    """
    uniform, gap = as_float("uniform", uniform), as_float("gap", gap)
    uniform = uniform.astype(np.promote_types(uniform.dtype, gap.dtype))  # never to fewer digits, which could be 1
    beta, about = as_betas(beta).astype(uniform.dtype), jnp.finfo(uniform.dtype)
    # with neither 0 nor inf as beta no product of numbers is NaN, and an infinite gap stays so at beta = 0
    gaps = gap.astype(uniform.dtype) * jnp.where(beta == 0, about.tiny, jnp.minimum(beta, about.max))
    below = uniform < 0
    high = (jnp.abs(uniform) * (1 + jnp.exp(jnp.where(below, gaps, -gaps))) < 1) ^ below
    return jnp.where(high, alphabet.high, alphabet.low).astype(gap.dtype)


def settled(gap: Float[Array, "*#shape"], scale: Float[Array, "*#shape"], beta: Beta) -> Float[Array, "..."]:
    """Energy gaps for beta = inf, where a tie must not be decided by rounding: gaps within it are 0.

    Args:
        gap: energy gaps.
        scale: the size of the numbers that a gap is a difference or sum of; up to four roundings of them count as 0.
        beta: inverse temperature; at any finite one the gaps are returned as they are.

    >>> settled(jnp.array([1e-8, 1e-3]), jnp.array(1.0), jnp.inf).tolist() == [0.0, jnp.float32(1e-3)]
    True
    """
    level = jnp.abs(gap) < (4 * jnp.finfo(gap.dtype).eps) * scale
    return jnp.where(jnp.isinf(jnp.asarray(beta)) & level, 0, gap)


def may_be_coldest(beta: Scalar | Array) -> bool:
    """Whether beta may be inf: it is, or it is traced. Only then ties matter.

    >>> may_be_coldest(1.0), may_be_coldest(jnp.inf)
    (False, True)
    """
    return is_coldest(beta) or not is_static(beta)


def positive_uniform(
    key: Key[Array, ""], shape: tuple[int, ...], dtype: DTypeLike = jnp.float32
) -> Float[Array, "..."]:
    """Uniform numbers inside (0, 1): logarithms and odds of them are finite. They are `random_bits.midpoints`.

    Raises ValueError for what is no typed key.

    >>> bool(positive_uniform(jax.random.key(0), (9,)).min() > 0)
    True
    """
    check_key("key", key)
    return random_bits.midpoints(jax.random.bits(key, shape, jnp.uint32), dtype)


def check_independent(
    got: str, energy: Energy, like: PyTree[Array], masks: PyTree[np.ndarray], alphabet: Alphabet
) -> None:
    """Raise, with the message `got`, if units that are drawn together change each other's energy gaps.

    The gaps are compared between eight random values of the units under the masks, the rest being fixed. Interactions
    are missed only where they cancel in all eight; traced parameters cannot be checked.

    >>> from ebmjax.types import SPINS
    >>> check_independent("colors: two meet", lambda s: -s[0] * s[1], jnp.ones(2), np.ones(2, bool), SPINS)
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: colors: two meet, wanted only units that do not interact in the energy
    """
    random = np.random.default_rng(0)
    eps = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(like))
    with jax.ensure_compile_time_eval():
        rest = jax.tree.map(lambda leaf: random.choice(np.asarray(alphabet), leaf.shape), like)
        values = []
        for _ in range(8):
            refill = lambda old, mask: np.where(mask, random.choice(np.asarray(alphabet), old.shape), old)
            filled = jax.tree.map(lambda old, mask, leaf: jnp.asarray(refill(old, mask), leaf.dtype), rest, masks, like)
            values.append(gaps(energy, filled, alphabet))
            if not all(is_static(leaf) for leaf in jax.tree.leaves(values[-1])):
                return
    largest = max(float(np.abs(leaf).max(initial=0)) for leaf in jax.tree.leaves(values))
    for leaves, mask in zip(zip(*map(jax.tree.leaves, values), strict=True), jax.tree.leaves(masks), strict=True):
        stacked = np.stack([np.asarray(leaf)[np.broadcast_to(mask, leaf.shape)] for leaf in leaves])
        # rounding is relative: to the gap itself, and to the largest of them, whose terms it may share
        rounding = 1e-5 * np.abs(stacked).max(axis=0, initial=0) + 32 * eps * largest
        if (np.ptp(stacked, axis=0) > rounding).any():
            raise ArgumentError(f"{got}, wanted only units that do not interact in the energy")
