"""Finding the code of an observation: the one signature that learners of dictionaries take.

    find(params, regularizer, y, start) -> Solution

`admm`, `coordinate_descent` and `convolutional_admm` have this signature as they stand; `functools.partial` sets their
options. `by_proximal` gives it to the solvers of `proximal`, which take any smooth term instead of parameters. For a
whole batch at once the signature is the same: `coordinate.solve_batch` has it, and `each` makes it of any other.
"""

from functools import partial
from typing import Annotated, Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ebmjax.checks import as_float, as_floats, check_callable
from ebmjax.compiled import compiled
from ebmjax.energies import convolutional_sparse_coding, sparse_coding
from ebmjax.energies.convolutional_sparse_coding import Picture, Reconstruction, periodic
from ebmjax.energies.regularizers import Regularizer
from ebmjax.minimize.codes.proximal import ProximalSolver
from ebmjax.records import record
from ebmjax.types import Energy, Numbers, Scalar, Solution


@runtime_checkable
class FindCode(Protocol):
    """How the code of one observation is found: the z of least smooth(params, y, z) + R(z)."""

    def __call__(self, params: Any, regularizer: Regularizer, y: Any, start: Any, /) -> Solution:
        """Search for the code.

        Args:
            params: parameters of the model, such as `sparse_coding.Params` or `convolutional_sparse_coding.Params`.
            regularizer: R, in units of energy.
            y: one observation.
            start: where the search begins, of the shape of the code; None lets the solver choose.

        Returns:
            A `Solution`: the code, its energy, and whether the search converged.
        """
        ...


@runtime_checkable
class FindCodes(Protocol):
    """How the codes of a batch of observations are found: `FindCode`, with a leading axis."""

    def __call__(self, params: Any, regularizer: Regularizer, data: Any, start: Any, /) -> Solution:
        """Search for the codes.

        Args:
            params, regularizer: as in `FindCode`.
            data: observations, along a leading axis.
            start: where the searches begin, along a leading axis; None lets the solver choose.

        Returns:
            A `Solution`, each field with the leading axis of the data.
        """
        ...


@record
class SmoothTerm(NamedTuple):
    """The smooth part of the energy of one observation, as a function of the code: what a proximal solver needs."""

    energy: Energy
    """f, convex, differentiable and not negative."""
    lipschitz: Scalar
    """L, a bound of the curvature of f."""
    start: Array
    """Where the search begins if no start is given."""


@runtime_checkable
class MakeSmoothTerm(Protocol):
    """The smooth term of a model: `dense_term`, `convolutional_term`, `predictive.smooth_term`."""

    def __call__(self, params: Any, y: Any, /) -> SmoothTerm:
        """The smooth term of one observation y."""
        ...


def dense_term(params: sparse_coding.Params, y: Annotated[Numbers, "observed"]) -> SmoothTerm:
    """½‖y - Wz‖², with the bound L ≥ λ_max(WᵀW) of its curvature; a search begins at zeros.

    Args:
        params: the dictionary W.
        y: an observation.

    The energy raises ValueError for a y of another length.

    >>> term = dense_term(sparse_coding.Params(jnp.eye(2)), jnp.array([1.0, 2.0]))
    >>> float(term.energy(term.start)), round(float(term.lipschitz), 3)
    (2.5, 1.0)
    """
    params = sparse_coding.as_params(params)
    dictionary = params.dictionary
    y = as_float("y", y, dictionary.shape[:1])
    start = jnp.zeros(dictionary.shape[1:], dictionary.dtype)
    return SmoothTerm(partial(sparse_coding.misfit, params, y), sparse_coding.lipschitz(params), start)


def convolutional_term(
    params: convolutional_sparse_coding.Params, y: Picture, reconstruction: Reconstruction = periodic
) -> SmoothTerm:
    """½‖y - Σ_i K_i * Z_i‖², with a bound of its curvature; a search begins at maps of zeros.

    Args:
        params: the kernels K.
        y: a picture.
        reconstruction: `periodic` or `valid`, how the border of the picture is treated.

    Raises:
        ValueError: a picture that does not fit the kernels.

    >>> params = convolutional_sparse_coding.Params(jnp.ones((1, 1, 1)))
    >>> term = convolutional_term(params, jnp.array([[1.0, 2.0]]))
    >>> float(term.energy(term.start)), float(term.lipschitz)
    (2.5, 1.0)
    """
    params, y = convolutional_sparse_coding.as_params(params), as_float("y", y)
    start = convolutional_sparse_coding.zeros(params, y, reconstruction)
    misfit = lambda z: convolutional_sparse_coding.misfit(params, y, z, reconstruction)
    return SmoothTerm(misfit, convolutional_sparse_coding.lipschitz(params, start.shape[1:]), start)


def by_proximal(solver: ProximalSolver, term: MakeSmoothTerm = dense_term) -> FindCode:
    """A `FindCode` of a proximal solver: it minimizes term(params, y) + R(z).

    Args:
        solver: `ista`, `fista`, `fista_restarted` or `backtracking` of `proximal`, its options set by
            `functools.partial`.
        term: `term(params, y) -> SmoothTerm`, which says what the parameters mean.

    Returns:
        `find(params, regularizer, y, start) -> Solution`; its errors are those of the solver and of the term.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.proximal import fista
    >>> find = by_proximal(partial(fista, max_steps=50))
    >>> find(sparse_coding.Params(jnp.eye(2)), l1(0.5), jnp.array([2.0, 0.25]), None).value.round(2).tolist()
    [1.5, 0.0]
    """

    check_callable("solver", solver)
    check_callable("term", term)

    def find(params: Any, regularizer: Regularizer, y: Any, start: Any) -> Solution:
        smooth = term(params, y)
        return solver(smooth.energy, regularizer, smooth.start if start is None else start, smooth.lipschitz)

    return find


def each(find: FindCode) -> FindCodes:
    """A `FindCodes` that searches for the code of each observation of a batch, by `jax.vmap`.

    Args:
        find: the search for one observation; its errors are those of the result.

    Returns:
        `find(params, regularizer, data, start) -> Solution`.

    >>> from ebmjax.energies.regularizers import l1
    >>> from ebmjax.minimize.codes.admm import admm
    >>> data = jnp.array([[2.0, 0.25], [0.0, 1.0]])
    >>> each(admm)(sparse_coding.Params(jnp.eye(2)), l1(0.5), data, None).value.round(2).tolist()
    [[1.5, 0.0], [0.0, 0.5]]
    """

    check_callable("find", find)

    def find_all(params: Any, regularizer: Regularizer, data: Any, start: Any) -> Solution:
        begin = None if start is None else as_floats("start", start)
        return _find_all(find, params, regularizer, as_floats("data", data), begin)

    return find_all


@compiled
def _find_all(find, params, regularizer, data, start):
    return jax.vmap(lambda y, begin: find(params, regularizer, y, begin))(data, start)
