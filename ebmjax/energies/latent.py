"""A recipe for latent-variable energies of your own, and a table of how the models of this library are related.

    E(x, y, z) = C(y, Dec(Pred(x), z)) + λ R(z)

A predictor computes features of the given x, a decoder computes a predicted y from the features and the latent z, a
cost C compares it with the observed y, and a regularizer R limits z. Five models of this library are choices of the
four parts:

    model                      Pred           Dec                 C                  R
    ellipse                    none           w · [cos z, sin z]  ‖y - ỹ‖²           none: z is an angle
    horn                       radii f(x)     f · [cos z, sin z]  ‖y - ỹ‖²           none
    generalized horn           network f(x)   network g(f, z)     ‖y - ỹ‖²           none; ‖z‖² or ‖z‖₁ by `penalties`
    sparse coding              none           Wz                  ½‖y - ỹ‖²          ‖z‖₁
    variational autoencoder    none           network g(z)        -log p(y|ỹ)        ½‖z‖²

No module of the library is built from this one: each model has a module of its own, with its closed forms and initial
parameters. Tests check that the energies agree. Use `latent_energy` for a model that has no module yet.

Canziani & LeCun (2020), NYU Deep Learning, weeks 8 and 15; LeCun (2022), "A path towards autonomous machine
intelligence".
"""

from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ebmjax.checks import as_float, as_number, as_scalar, check_callable, check_not_negative, check_record
from ebmjax.energies.penalties import Penalty
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar


@record
class Params(NamedTuple):
    """The parameters of the predictor and of the decoder, None for a part that has none."""

    predictor: PyTree
    decoder: PyTree


Observation = Annotated[Numbers, "*observed"]
"""An observed or a predicted y, of any shape."""


@runtime_checkable
class Predictor(Protocol):
    """Pred, the part of the energy that sees x."""

    def __call__(self, params: PyTree, x: PyTree, /) -> PyTree:
        """The features of x, any pytree, from the parameters of the predictor."""
        ...


@runtime_checkable
class Decoder(Protocol):
    """Dec, the part of the energy that sees z."""

    def __call__(self, params: PyTree, features: PyTree, z: PyTree, /) -> PyTree:
        """The predicted y, in the form that the cost compares, from the parameters of the decoder."""
        ...


@runtime_checkable
class Cost(Protocol):
    """C, such as a squared error or a negative log-likelihood."""

    def __call__(self, y: PyTree, decoded: PyTree, /) -> Scalar:
        """The cost of the observed y where the decoder predicted `decoded`, a scalar."""
        ...


@runtime_checkable
class LatentEnergy(Protocol):
    """An energy of an observed y and a latent z, given x."""

    def __call__(self, params: Params, x: PyTree, y: PyTree, z: PyTree, /) -> Scalar:
        """E(x, y, z) of one example, a scalar in the units of the cost. x is None where nothing is given."""
        ...


def latent_energy(
    cost: Cost,
    decoder: Decoder,
    predictor: Predictor,
    regularizer: Penalty,
    weight: Scalar,
) -> LatentEnergy:
    """E(x, y, z) = C(y, Dec(Pred(x), z)) + λ R(z).

    Args:
        cost: C, `cost(y, decoded) -> scalar`: `squared_error`, `half_squared_error`, a negative log-likelihood.
        decoder: Dec, `decoder(params.decoder, features, z) -> decoded`, in the form that the cost compares with y.
        predictor: Pred, `predictor(params.predictor, x) -> features`; `unchanged` where there is none.
        regularizer: R, `regularizer(z) -> scalar`: `penalties.squared_norm`, `penalties.l1_norm`, `unregularized`.
        weight: λ, static or traced, in units of the cost.

    Returns:
        `energy(params, x, y, z)` of one example, with params a `Params`. x is None where nothing is given: then the
        features of `unchanged` are None too, and the decoder ignores them.

    Raises:
        ValueError: a static negative weight; when the returned energy is called, a cost or a regularizer that does not
            return a scalar.

    >>> shift = lambda start, features, z: start + features + z
    >>> energy = latent_energy(squared_error, shift, unchanged, jnp.abs, 0.5)
    >>> float(energy(Params(None, 1.0), jnp.array(3.0), jnp.array(5.0), jnp.array(2.0)))
    2.0
    """
    check_not_negative("weight", weight)
    parts = {"cost": cost, "decoder": decoder, "predictor": predictor, "regularizer": regularizer}
    for name, part in parts.items():
        check_callable(name, part)
    weight = as_number("weight", weight)

    def energy(params: Params, x: PyTree, y: PyTree, z: PyTree) -> Scalar:
        check_record("params", params, Params)
        decoded = decoder(params.decoder, predictor(params.predictor, x), z)
        misfit, size = as_scalar("cost", cost(y, decoded)), as_scalar("regularizer", regularizer(z))
        return misfit + weight.astype(size.dtype) * size

    return energy


def unchanged(params: PyTree, x: PyTree) -> PyTree:
    """Pred(x) = x, for a model without a predictor: the decoder gets x itself, None where nothing is given.

    >>> unchanged(None, 3.0)
    3.0
    """
    return x


def unregularized(z: PyTree) -> Scalar:
    """R(z) = 0, for a latent that cannot explain every y, such as an angle or one of a few states.

    >>> unregularized(3.0)
    0.0
    """
    return 0.0


def squared_error(y: Observation, decoded: Observation) -> Float[Array, ""]:
    """C(y, ỹ) = ‖y - ỹ‖², a scalar in squared units of y. Raises ValueError for a predicted y of another shape.

    >>> float(squared_error(jnp.array([3.0, 4.0]), jnp.zeros(2)))
    25.0
    """
    y = as_float("y", y)
    return jnp.sum(jnp.square(y - as_float("decoded", decoded, y.shape)))


def half_squared_error(y: Observation, decoded: Observation) -> Float[Array, ""]:
    """C(y, ỹ) = ½‖y - ỹ‖²: up to a constant, -log p(y|ỹ) for unit variance. Arguments and errors as in `squared_error`.

    >>> float(half_squared_error(jnp.array([3.0, 4.0]), jnp.zeros(2)))
    12.5
    """
    return squared_error(y, decoded) / 2
