"""Hopfield network: spins whose quadratic energy has stored patterns as minima, and three rules that store them.

    E(s) = -½ sᵀWs - bᵀs,    s ∈ {-1, +1}^N, W symmetric with zero diagonal

The rules have one signature, `rule(patterns, used=None) -> Params`. `used` is 1 for a pattern that is stored and 0 for
one that is left out, so that `jax.vmap` over `used` stores different numbers of patterns in one compiled call.
Hopfield (1982), "Neural networks and physical systems with emergent collective computational abilities".
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_example, as_float, as_params, check_units, is_static
from ebmjax.numerics import matmul
from ebmjax.records import record
from ebmjax.types import SPINS, Numbers, Scalar

Patterns = Annotated[Numbers, "patterns units"]


@record
class Params(NamedTuple):
    """Couplings and biases, in units of energy."""

    weights: Float[Array, "units units"]
    """W, symmetric with zero diagonal."""
    bias: Float[Array, " units"]
    """b."""


def check_params(params: Params) -> None:
    """Raise ValueError for weights that are not square, or a bias of another length.

    Static weights must also be symmetric, up to 1e-5 of the largest one, and zero on the diagonal.

    >>> check_params(Params(jnp.eye(2), jnp.zeros(2)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: weights: got a diagonal with 1.0 in it, wanted zeros: no unit is coupled to itself
    """
    given = params
    params = as_params(params, Params)
    shape = params.weights.shape
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ArgumentError(f"weights: got shape {shape}, wanted a square matrix")
    as_float("bias", params.bias, shape[:1])
    if not is_static(given.weights):
        return
    weights = np.asarray(given.weights)
    # a product of matrices is symmetric only up to rounding
    gap = np.abs(weights - weights.T).max(initial=0)
    if not gap <= 1e-5 * np.abs(weights).max(initial=0):
        raise ArgumentError(
            f"weights: got a matrix that differs from its transpose by {gap:.3g}, wanted a symmetric one"
        )
    diagonal = np.diagonal(weights)
    if diagonal.any():
        worst = diagonal[np.argmax(np.abs(diagonal))]
        raise ArgumentError(f"weights: got a diagonal with {worst} in it, wanted zeros: no unit is coupled to itself")


def energy(params: Params, spins: Annotated[Numbers, "units"]) -> Scalar:
    """E(s) = -½ sᵀWs - bᵀs of one state, a scalar. Raises ValueError for other parameters, or spins of another number.

    >>> float(energy(Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0])), jnp.array([1.0, -1.0])))
    0.5
    """
    params = as_params(params, Params)
    spins = as_example("spins", spins, params.weights, params.bias.shape)
    return -matmul(spins, 0.5 * matmul(params.weights, spins) + params.bias)


def field(params: Params, spins: Annotated[Numbers, "units"]) -> Float[Array, " units"]:
    """Ws + b, the local field: half the energy gap E(s_i = -1) - E(s_i = +1) of each spin.

    Raises ValueError for other parameters, or spins of another number; `jax.vmap` takes a batch.

    >>> field(Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0])), jnp.array([1.0, -1.0])).tolist()
    [-0.5, 1.0]
    """
    params = as_params(params, Params)
    return matmul(params.weights, as_example("spins", spins, params.weights, params.bias.shape)) + params.bias


def symmetrized(params: Params) -> Params:
    """Parameters with ½(W + Wᵀ), its diagonal set to zero, in place of W; symmetric to the last bit.

    >>> symmetrized(Params(jnp.array([[9.0, 1.0], [3.0, 9.0]]), jnp.zeros(2))).weights.tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    params = as_params(params, Params)
    weights = 0.5 * (params.weights + params.weights.T)
    return params._replace(weights=jnp.where(jnp.eye(len(weights), dtype=bool), 0, weights))


def hebbian(
    patterns: Annotated[Numbers, "patterns units"], used: Annotated[Numbers, "patterns"] | None = None
) -> Params:
    """Hebb's rule, W = 1/N Σ_p y^p y^pᵀ with zero diagonal, b = 0.

    Up to 0.138 N random patterns are recalled with few errors (Amit, Gutfreund & Sompolinsky, 1985).

    Args:
        patterns: rows of -1 and +1, shape (patterns, units), of any dtype.
        used: 1 for a pattern that is stored, 0 for one that is left out. None: all are stored.

    Raises:
        ValueError: patterns that are no matrix with at least one column, a static pattern with a value other than -1
            and +1, `used` of another length.

    Hopfield (1982), eq. 2.

    >>> hebbian(jnp.array([[1.0, 1.0, -1.0, 1.0]])).weights[0].tolist()
    [0.0, 0.25, -0.25, 0.25]
    """
    patterns = _stored(patterns, used)
    return _without_self_coupling(matmul(patterns.T, patterns) / patterns.shape[1])


def pseudo_inverse(
    patterns: Annotated[Numbers, "patterns units"], used: Annotated[Numbers, "patterns"] | None = None
) -> Params:
    """The projection rule, W = 1/N Yᵀ(YYᵀ/N)⁻¹Y without its diagonal, b = 0: it also stores correlated patterns.

    With its diagonal, W projects on the span of the patterns: Wy = y. Without it the field of a pattern is
    (1 - W_ii) y_i, of the right sign for fewer than N independent patterns. For N of them, W = 0 and every state is a
    fixed point.

    A pattern that depends linearly on those before it, up to 100 roundings of its squared length, adds nothing, as with
    the pseudo-inverse. Arguments and errors as in `hebbian`.

    Personnaz, Guyon & Dreyfus (1985); Kanter & Sompolinsky (1987), eq. 3.

    >>> patterns = jnp.array([[1.0, 1.0, 1.0, 1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    >>> [float(field(pseudo_inverse(patterns), pattern)[4].round(2)) for pattern in patterns]
    [-0.5, 0.5]
    """
    directions = _orthonormal(_stored(patterns, used))
    return _without_self_coupling(matmul(directions.T, directions))


@jax.jit
def _orthonormal(patterns):
    """Orthonormal rows with the span of the patterns, and rows of zeros for those that depend on others."""
    units = patterns.shape[1]
    least = 100 * jnp.finfo(patterns.dtype).eps * units

    def add(directions, index_and_pattern):
        index, pattern = index_and_pattern
        # the part that is orthogonal to the earlier patterns; the second pass removes the rounding of the first
        new = pattern
        for _ in range(2):
            new = new - matmul(matmul(directions, new), directions)
        square = jnp.sum(new**2)
        kept = square > least
        direction = jnp.where(kept, new / jnp.sqrt(jnp.where(kept, square, 1)), 0)
        return directions.at[index].set(direction), None

    # the method of Gram and Schmidt: batched eigenvalue routines can hang on CPU
    return jax.lax.scan(add, jnp.zeros_like(patterns), (jnp.arange(len(patterns)), patterns))[0]


def storkey(
    patterns: Annotated[Numbers, "patterns units"], used: Annotated[Numbers, "patterns"] | None = None
) -> Params:
    """Storkey's rule: Hebb's rule with a correction by the fields of the patterns stored so far, one by one; b = 0.

        ΔW_ij = 1/N (y_i y_j - y_i h_ji - h_ij y_j),    h_ij = Σ_{k≠i,j} W_ik y_k

    Like Hebb's rule it is local and incremental, with a larger capacity; the result depends on the order of the
    patterns. The cost is O(N²) for each pattern. Arguments and errors as in `hebbian`.

    Storkey (1997), "Increasing the capacity of a Hopfield network without sacrificing functionality".

    >>> storkey(jnp.array([[1.0, 1.0, -1.0, 1.0]])).weights[0].tolist()
    [0.0, 0.25, -0.25, 0.25]
    """
    return _without_self_coupling(_learned(_stored(patterns, used)))


@jax.jit
def _learned(patterns):
    """The weights of Storkey's rule, one pattern after the other."""
    units = patterns.shape[1]

    def learn(weights, pattern):
        field = matmul(weights, pattern)
        # h_ij = field_i - W_ij y_j, and y_j² = 1, except for a pattern that is left out, which is all zeros
        correction = jnp.outer(pattern, field)
        step = jnp.outer(pattern, pattern) - (correction + correction.T) + 2 * pattern[0] ** 2 * weights
        return _without_self_coupling(weights + step / units).weights, None

    return jax.lax.scan(learn, jnp.zeros((units, units), patterns.dtype), patterns)[0]


def _stored(patterns, used):
    """The patterns, with rows of zeros for those that are left out."""
    given, patterns = patterns, as_float("patterns", patterns)
    if patterns.ndim != 2 or patterns.shape[1] == 0:
        raise ArgumentError(f"patterns: got shape {patterns.shape}, wanted (patterns, units) with at least one unit")
    check_units("patterns", given, SPINS)
    if used is None:
        return patterns
    return patterns * as_example("used", used, patterns, patterns.shape[:1])[:, None]


def _without_self_coupling(weights):
    diagonal = jnp.eye(len(weights), dtype=bool)
    # on some processors a product of matrices rounds one side of the diagonal otherwise than the other one
    weights = (weights + weights.T) / 2
    return Params(jnp.where(diagonal, 0, weights), jnp.zeros(len(weights), weights.dtype))
