"""The regularized latent-variable energy in general: how badly the best code explains y, and what the code costs.

    E(x, y, z) = C(y, Dec(Pred(x), z)) + λ R(z)

A predictor makes features of what is given, a decoder makes of them and of the latent z what y should be, a cost C
compares, and a regularizer R limits what z may say. Most energies of this library are one choice of the four:

    model                      Pred           Dec                 C                  R
    ellipse                    none           w · [cos z, sin z]  ‖y - ỹ‖²           none: z is an angle
    horn                       radii f(x)     f · [cos z, sin z]  ‖y - ỹ‖²           none
    horn, generalized          network f(x)   network g(f, z)     ‖y - ỹ‖²           ‖z‖² or ‖z‖₁
    sparse coding              none           Wz                  ½‖y - ỹ‖²          ‖z‖₁
    variational autoencoder    none           network g(z)        -log p(y|ỹ)        ½‖z‖²

The models' own modules have their closed forms, and initial parameters; this one is for a model that has no module yet.

Canziani & LeCun (2020), NYU Deep Learning, weeks 8 and 15; LeCun (2022), "A path towards autonomous machine
intelligence".
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import as_scalar, check_not_negative, check_shape
from ebmjax.types import Scalar


class Params(NamedTuple):
    """What is learned: parameters of the predictor and of the decoder, None for one that has none."""

    predictor: PyTree
    decoder: PyTree


LatentEnergy = Callable[[Params, Any, Any, Any], Scalar]
"""`energy(params, x, y, z) -> scalar`."""

Observation = Float[Array | np.ndarray, "..."]
"""An observed y, or a decoded one, of any one shape."""


def latent_energy(
    cost: Callable[[Any, Any], Scalar],
    decoder: Callable[[Any, Any, Any], Any],
    predictor: Callable[[Any, Any], Any],
    regularizer: Callable[[Any], Scalar],
    weight: Scalar,
) -> LatentEnergy:
    """E(x, y, z) = C(y, Dec(Pred(x), z)) + λ R(z).

    Args:
        cost: C, `cost(y, decoded) -> scalar`: `squared_error`, `half_squared_error`, a negative log-likelihood.
        decoder: Dec, `decoder(params.decoder, features, z) -> decoded`, in the form that the cost compares with y.
        predictor: Pred, `predictor(params.predictor, x) -> features`; `unchanged` where there is none.
        regularizer: R, `regularizer(z) -> scalar`: `composition.squared_norm`, `composition.l1_norm`, `unregularized`.
        weight: λ, static or traced, in units of the cost.

    Returns:
        `energy(params, x, y, z)` of one example, with params a `Params`. x is None where nothing is given: then the
        features of `unchanged` are None too, and the decoder passes over them.

    Raises:
        ValueError: a static negative weight; at the first call, a cost or a regularizer that is not a scalar.

    >>> shift = lambda start, features, z: start + features + z
    >>> energy = latent_energy(squared_error, shift, unchanged, jnp.abs, 0.5)
    >>> float(energy(Params(None, 1.0), jnp.array(3.0), jnp.array(5.0), jnp.array(2.0)))
    2.0
    """
    check_not_negative("weight", weight)

    def energy(params: Params, x: Any, y: Any, z: Any) -> Scalar:
        decoded = decoder(params.decoder, predictor(params.predictor, x), z)
        misfit, size = as_scalar("cost", cost(y, decoded)), as_scalar("regularizer", regularizer(z))
        return misfit + jnp.asarray(weight, size.dtype) * size

    return energy


def unchanged(params: PyTree, x: Any) -> Any:
    """Pred(x) = x, for a model without a predictor: the decoder is given x itself, None where there is none.

    >>> unchanged(None, 3.0)
    3.0
    """
    return x


def unregularized(z: Any) -> Scalar:
    """R(z) = 0, for a latent that cannot explain everything: an angle, or one of few states.

    >>> unregularized(3.0)
    0.0
    """
    return 0.0


def squared_error(y: Observation, decoded: Observation) -> Float[Array, ""]:
    """C(y, ỹ) = ‖y - ỹ‖². Raises ValueError for a decoded y of another shape.

    >>> float(squared_error(jnp.array([3.0, 4.0]), jnp.zeros(2)))
    25.0
    """
    check_shape("decoded", decoded, np.shape(y))
    return jnp.sum(jnp.square(y - decoded))


def half_squared_error(y: Observation, decoded: Observation) -> Float[Array, ""]:
    """C(y, ỹ) = ½‖y - ỹ‖²: up to a constant -log p(y|ỹ) of unit variance. Errors as `squared_error`.

    >>> float(half_squared_error(jnp.array([3.0, 4.0]), jnp.zeros(2)))
    12.5
    """
    return squared_error(y, decoded) / 2
