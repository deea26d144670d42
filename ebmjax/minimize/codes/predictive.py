"""Predictive sparse decomposition: a feed-forward encoder guesses the code, exact inference starts there and is held.

    E(y, z) = ½‖y - Wz‖² + R(z) + ½α‖z - Enc(y)‖²,    Enc(y) = g ∘ tanh(Ky + b)

Once dictionary and encoder have been learned together (`ebmjax.learn.dictionaries.predictive_decomposition`), Enc(y)
alone is the code.
Kavukcuoglu, Ranzato, LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
recognition".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import check_not_negative, check_shape
from ebmjax.energies import sparse_coding
from ebmjax.types import Scalar, Solution


class Encoder(NamedTuple):
    """Enc(y) = g ∘ tanh(Ky + b)."""

    weights: Float[Array, "atoms observed"]  # K
    bias: Float[Array, " atoms"]  # b
    gain: Float[Array, " atoms"]  # g


class Smooth(NamedTuple):
    """The smooth part of an energy, a function of the code, and a bound of its curvature: what ISTA and FISTA take."""

    energy: Callable[[Any], Any]
    lipschitz: Any


def init(key: Key[Array, ""], params: sparse_coding.Params, scale: float = 0.1) -> Encoder:
    """Filters that look like the atoms, with some noise; no bias, gains of one.

    Args:
        key: typed random key.
        params: the dictionary W; K starts at Wᵀ.
        scale: standard deviation of the noise, times the length of an atom.

    Raises:
        ValueError: a negative scale.

    >>> init(jax.random.key(0), sparse_coding.Params(jnp.eye(2))).weights.shape
    (2, 2)
    """
    check_not_negative("scale", scale)
    filters = params.dictionary.T
    noise = jax.random.normal(key, filters.shape, filters.dtype) * (scale / filters.shape[1] ** 0.5)
    atoms = filters.shape[0]
    return Encoder(filters + noise, jnp.zeros(atoms, filters.dtype), jnp.ones(atoms, filters.dtype))


def encode(encoder: Encoder, y: Float[Array, " observed"]) -> Float[Array, " atoms"]:
    """Enc(y) = g ∘ tanh(Ky + b). Raises ValueError for a y of another length.

    >>> encode(Encoder(jnp.eye(2), jnp.zeros(2), 2 * jnp.ones(2)), jnp.array([0.0, 9.0])).round(3).tolist()
    [0.0, 2.0]
    """
    check_shape("y", y, encoder.weights.shape[1:])
    return encoder.gain * jnp.tanh(encoder.weights @ y + encoder.bias)


def held(
    params: sparse_coding.Params,
    encoder: Encoder,
    pull: Scalar,
    y: Float[Array, " observed"],
    lipschitz: Scalar | None = None,
) -> Smooth:
    """½‖y - Wz‖² + ½α‖z - Enc(y)‖² as a function of z, with its curvature L + α: convex and not negative.

    Args:
        params: the dictionary W.
        encoder: what guesses the code.
        pull: α, not negative; 0 leaves the plain energy.
        y: an observation.
        lipschitz: L of the dictionary alone, where it is known: `sparse_coding.lipschitz(params)`.

    Raises:
        ValueError: a negative pull, a y of another length.

    >>> encoder = Encoder(jnp.eye(2), jnp.zeros(2), jnp.ones(2))
    >>> smooth = held(sparse_coding.Params(jnp.eye(2)), encoder, 0.5, jnp.array([0.0, 3.0]), 1.0)
    >>> round(float(smooth.energy(jnp.zeros(2))), 2), float(smooth.lipschitz)
    (4.75, 1.5)
    """
    check_not_negative("pull", pull)
    guess = encode(encoder, y)
    curvature = sparse_coding.lipschitz(params) if lipschitz is None else lipschitz

    def energy(z: Float[Array, " atoms"]) -> Any:
        return sparse_coding.misfit(params, y, z) + pull * jnp.sum(jnp.square(z - guess)) / 2

    return Smooth(energy, curvature + pull)


def infer(
    solve: Callable[[Any, Any, Any], Solution],
    params: sparse_coding.Params,
    encoder: Encoder,
    pull: Scalar,
    y: Float[Array, " observed"],
    lipschitz: Scalar | None = None,
) -> Solution:
    """The code of least energy, found from the encoder's guess and held to it.

    Args:
        solve: `solve(smooth, start, lipschitz) -> Solution`, such as
            `lambda smooth, start, lipschitz: fista(smooth, l1(0.1), start, lipschitz)`.
        params, encoder, pull, y, lipschitz: as in `held`.

    Raises:
        ValueError: as `held`.

    >>> from ebmjax.types import CONVERGED
    >>> still = lambda smooth, start, lipschitz: Solution(start, smooth(start), 0, CONVERGED)
    >>> encoder = Encoder(jnp.eye(2), jnp.zeros(2), jnp.ones(2))
    >>> infer(still, sparse_coding.Params(jnp.eye(2)), encoder, 0.5, jnp.array([0.0, 9.0]), 1.0).value.tolist()
    [0.0, 1.0]
    """
    smooth = held(params, encoder, pull, y, lipschitz)
    return solve(smooth.energy, encode(encoder, y), smooth.lipschitz)
