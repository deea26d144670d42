"""Predictive sparse decomposition: an encoder predicts the code, and the code may not leave the prediction far.

    E(y, z) = ½‖y - Wz‖² + ½α‖z - Enc(y)‖² + R(z),    Enc(y) = g ∘ tanh(Ky + b)

`find_code.by_proximal(fista_restarted, smooth_term)` finds the code of least energy, starting from Enc(y). Once the
dictionary and the encoder have been learned together (`ebmjax.learn.dictionaries.predictive_decomposition`), Enc(y) is
taken as the code, and no search is needed.
Kavukcuoglu, Ranzato, LeCun (2008), "Fast inference in sparse coding algorithms with applications to object
recognition".
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_float, check_key, check_not_negative, check_record
from ebmjax.energies import sparse_coding
from ebmjax.minimize.codes.find_code import SmoothTerm
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Encoder(NamedTuple):
    """Enc(y) = g ∘ tanh(Ky + b)."""

    weights: Float[Array, "atoms observed"]  # K
    bias: Float[Array, " atoms"]  # b
    gain: Float[Array, " atoms"]  # g


@record
class Params(NamedTuple):
    """The parameters of E(y, z)."""

    dictionary: sparse_coding.Params
    """W."""
    encoder: Encoder
    """What predicts the code."""
    weight: Scalar
    """α, not negative, in units of energy over the code squared; 0 leaves the plain energy of sparse coding."""


def init(key: Key[Array, ""], params: sparse_coding.Params, scale: float = 0.1) -> Encoder:
    """An encoder whose filters are the atoms plus noise, without bias and with gains of one.

    Args:
        key: typed random key.
        params: the dictionary W; K is Wᵀ plus noise.
        scale: standard deviation of the noise of a filter, as a fraction of the length of an atom, 1.

    Raises:
        ValueError: a negative scale.

    >>> init(jax.random.key(0), sparse_coding.Params(jnp.eye(2))).weights.shape
    (2, 2)
    """
    check_key("key", key)
    check_not_negative("scale", scale)
    filters = sparse_coding.as_params(params).dictionary.T
    noise = jax.random.normal(key, filters.shape, filters.dtype) * (scale / filters.shape[1] ** 0.5)
    atoms = filters.shape[0]
    return Encoder(filters + noise, jnp.zeros(atoms, filters.dtype), jnp.ones(atoms, filters.dtype))


def encode(encoder: Encoder, y: Annotated[Numbers, "observed"]) -> Float[Array, " atoms"]:
    """Enc(y) = g ∘ tanh(Ky + b), the predicted code. Raises ValueError for a y of another length.

    >>> encode(Encoder(jnp.eye(2), jnp.zeros(2), 2 * jnp.ones(2)), jnp.array([0.0, 9.0])).round(3).tolist()
    [0.0, 2.0]
    """
    check_record("encoder", encoder, Encoder)
    weights, bias, gain = (as_float(name, array) for name, array in zip(Encoder._fields, encoder, strict=True))
    y = as_float("y", y, weights.shape[1:])
    return gain * jnp.tanh(matmul(weights, y) + bias)


def misfit(params: Params, y: Annotated[Numbers, "observed"], z: Annotated[Numbers, "atoms"]) -> Float[Array, ""]:
    """½‖y - Wz‖² + ½α‖z - Enc(y)‖²: the smooth part of the energy of one code.

    Raises ValueError for a static negative weight and a y of another length.

    >>> encoder = Encoder(jnp.eye(2), jnp.zeros(2), jnp.ones(2))
    >>> params = Params(sparse_coding.Params(jnp.eye(2)), encoder, 0.5)
    >>> round(float(misfit(params, jnp.array([0.0, 3.0]), jnp.zeros(2))), 2)
    4.75
    """
    check_record("params", params, Params)
    check_not_negative("weight", params.weight)
    return jnp.asarray(_near(params, y, encode(params.encoder, y))(z))


def smooth_term(params: Params, y: Annotated[Numbers, "observed"]) -> SmoothTerm:
    """½‖y - Wz‖² + ½α‖z - Enc(y)‖² as a function of z: convex, not negative, of curvature L + α. It starts at Enc(y).

    Args:
        params: dictionary, encoder and α.
        y: an observation.

    Raises:
        ValueError: a static negative weight, a y of another length.

    >>> encoder = Encoder(jnp.eye(2), jnp.zeros(2), jnp.ones(2))
    >>> term = smooth_term(Params(sparse_coding.Params(jnp.eye(2)), encoder, 0.5), jnp.array([0.0, 9.0]))
    >>> term.start.round(3).tolist(), round(float(term.lipschitz), 3)
    ([0.0, 1.0], 1.5)
    """
    check_record("params", params, Params)
    check_not_negative("weight", params.weight)
    predicted = encode(params.encoder, y)
    bound = sparse_coding.lipschitz(params.dictionary)
    curvature = bound + as_float("weight", params.weight, ()).astype(predicted.dtype)
    return SmoothTerm(_near(params, y, predicted), curvature, predicted)


def _near(params, y, predicted):
    y, weight = as_float("y", y), as_float("weight", params.weight, ()).astype(predicted.dtype)

    def energy(z):
        z = as_float("z", z, predicted.shape)
        return sparse_coding.misfit(params.dictionary, y, z) + weight * jnp.sum(jnp.square(z - predicted)) / 2

    return energy
