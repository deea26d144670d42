"""Hopfield network: spins that remember patterns as minima of a quadratic energy, and three rules that store them.

    E(s) = -½ sᵀWs - bᵀs,    s ∈ {-1, +1}^N, W symmetric with zero diagonal

The rules have one signature, `rule(patterns, used=None) -> Params`. `used` is 1 where a pattern is stored and 0 where
it is left out, so that `jax.vmap` over it stores different numbers of patterns in one compiled call.
Hopfield (1982), "Neural networks and physical systems with emergent collective computational abilities".
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_shape, check_units, is_static
from ebmjax.types import SPINS, Scalar


class Params(NamedTuple):
    """Couplings and biases, in units of energy."""

    weights: Float[Array, "units units"]
    bias: Float[Array, " units"]


def check(params: Params) -> None:
    """Raise ValueError for static parameters that are no Hopfield network.

    Weights that are not square, symmetric and zero on the diagonal, or a bias of another length, are refused by name.

    >>> check(Params(jnp.eye(2), jnp.zeros(2)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: weights: got a diagonal with 1.0 in it, wanted zeros: no unit is coupled to itself
    """
    shape = jnp.shape(params.weights)
    if len(shape) != 2 or shape[0] != shape[1]:
        raise ArgumentError(f"weights: got shape {shape}, wanted a square matrix")
    check_shape("bias", params.bias, shape[:1])
    if not is_static(params.weights):
        return
    weights = np.asarray(params.weights)
    # a product of matrices is symmetric up to rounding only
    gap = np.abs(weights - weights.T).max(initial=0)
    if not gap <= 1e-5 * np.abs(weights).max(initial=0):
        raise ArgumentError(
            f"weights: got a matrix that differs from its transpose by {gap:.3g}, wanted a symmetric one"
        )
    diagonal = np.diagonal(weights)
    if diagonal.any():
        worst = diagonal[np.argmax(np.abs(diagonal))]
        raise ArgumentError(f"weights: got a diagonal with {worst} in it, wanted zeros: no unit is coupled to itself")


def energy(params: Params, spins: Float[Array, " units"]) -> Scalar:
    """E(s) = -½ sᵀWs - bᵀs of one state.

    >>> float(energy(Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0])), jnp.array([1.0, -1.0])))
    0.5
    """
    return -_product(spins, 0.5 * _product(params.weights, spins) + params.bias)


def field(params: Params, spins: Float[Array, " units"]) -> Float[Array, " units"]:
    """Ws + b: half of what each spin's energy falls by when it turns from -1 to +1.

    >>> field(Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([0.5, 0.0])), jnp.array([1.0, -1.0])).tolist()
    [-0.5, 1.0]
    """
    return _product(params.weights, spins) + params.bias


def symmetrized(params: Params) -> Params:
    """Parameters with ½(W + Wᵀ), its diagonal set to zero, in place of W; symmetric to the last bit.

    >>> symmetrized(Params(jnp.array([[9.0, 1.0], [3.0, 9.0]]), jnp.zeros(2))).weights.tolist()
    [[0.0, 2.0], [2.0, 0.0]]
    """
    weights = 0.5 * (params.weights + params.weights.T)
    return params._replace(weights=jnp.where(jnp.eye(len(weights), dtype=bool), 0, weights))


def hebbian(patterns: Float[Array, "patterns units"], used: Float[Array, " patterns"] | None = None) -> Params:
    """Hebb's rule, W = 1/N Σ_p y^p y^pᵀ with zero diagonal, b = 0.

    Random patterns are recalled, with few errors, up to 0.138 N of them (Amit, Gutfreund & Sompolinsky, 1985).

    Args:
        patterns: rows of -1 and +1.
        used: 1 for a pattern that is stored, 0 for one that is left out; all are stored if it is None.

    Raises:
        ValueError: no unit, a static pattern that holds anything but -1 and +1, `used` of another length.

    Hopfield (1982), eq. 2.

    >>> hebbian(jnp.array([[1.0, 1.0, -1.0, 1.0]])).weights[0].tolist()
    [0.0, 0.25, -0.25, 0.25]
    """
    patterns = _stored(patterns, used)
    return _without_self_coupling(_product(patterns.T, patterns) / patterns.shape[1])


def pseudo_inverse(patterns: Float[Array, "patterns units"], used: Float[Array, " patterns"] | None = None) -> Params:
    """The projection rule, W = 1/N Yᵀ(YYᵀ/N)⁻¹Y without its diagonal, b = 0: correlated patterns do no harm.

    With the diagonal, W projects on the span of the patterns: Wy = y. Without it the field of a pattern is
    (1 - W_ii) y_i, still of the right sign for up to N independent patterns, at which W = 0 and nothing moves any more.

    Args:
        patterns, used: as in `hebbian`. A pattern that depends on those before it, up to 100 roundings of its squared
            length, adds nothing, as with the pseudo-inverse.

    Raises:
        ValueError: as `hebbian`.

    Personnaz, Guyon & Dreyfus (1985); Kanter & Sompolinsky (1987), eq. 3.

    >>> patterns = jnp.array([[1.0, 1.0, 1.0, 1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])
    >>> [float(field(pseudo_inverse(patterns), pattern)[4].round(2)) for pattern in patterns]
    [-0.5, 0.5]
    """
    patterns = _stored(patterns, used)
    units = patterns.shape[1]
    least = 100 * jnp.finfo(patterns.dtype).eps * units

    def add(directions, index_and_pattern):
        index, pattern = index_and_pattern
        # what is new in the pattern; once more, since the first time leaves a rounding of all that was taken off
        new = pattern
        for _ in range(2):
            new = new - _product(_product(directions, new), directions)
        square = jnp.sum(new**2)
        kept = square > least
        direction = jnp.where(kept, new / jnp.sqrt(jnp.where(kept, square, 1)), 0)
        return directions.at[index].set(direction), None

    # Gram and Schmidt's way, and not an eigenvalue routine: batched ones of those can hang on CPU
    directions, _ = jax.lax.scan(add, jnp.zeros_like(patterns), (jnp.arange(len(patterns)), patterns))
    return _without_self_coupling(_product(directions.T, directions))


def storkey(patterns: Float[Array, "patterns units"], used: Float[Array, " patterns"] | None = None) -> Params:
    """Storkey's rule: patterns are added one by one, each less what the network knows of it already; b = 0.

        ΔW_ij = 1/N (y_i y_j - y_i h_ji - h_ij y_j),    h_ij = Σ_{k≠i,j} W_ik y_k

    Local and incremental as Hebb's rule is, with more room; the order of the patterns matters. N² steps a pattern.

    Args:
        patterns, used: as in `hebbian`.

    Raises:
        ValueError: as `hebbian`.

    Storkey (1997), "Increasing the capacity of a Hopfield network without sacrificing functionality".

    >>> storkey(jnp.array([[1.0, 1.0, -1.0, 1.0]])).weights[0].tolist()
    [0.0, 0.25, -0.25, 0.25]
    """
    patterns = _stored(patterns, used)
    units = patterns.shape[1]

    def learn(weights, pattern):
        known = _product(weights, pattern)
        # h_ij = known_i - W_ij y_j, and y_j² = 1, except for a pattern of zeros, which is one left out.
        correction = jnp.outer(pattern, known)
        step = jnp.outer(pattern, pattern) - (correction + correction.T) + 2 * pattern[0] ** 2 * weights
        return _without_self_coupling(weights + step / units).weights, None

    weights, _ = jax.lax.scan(learn, jnp.zeros((units, units), patterns.dtype), patterns)
    return _without_self_coupling(weights)


def _stored(patterns, used):
    """The patterns, with zeros for those that are left out."""
    if jnp.ndim(patterns) != 2 or jnp.shape(patterns)[1] == 0:
        raise ArgumentError(
            f"patterns: got shape {jnp.shape(patterns)}, wanted (patterns, units) with at least one unit"
        )
    check_units("patterns", patterns, SPINS)
    if used is None:
        return patterns
    check_shape("used", used, patterns.shape[:1])
    return patterns * used[:, None]


def _product(left, right):
    """A product in full precision: fields that cancel must come out as zero on every device."""
    return jnp.matmul(left, right, precision=jax.lax.Precision.HIGHEST)


def _without_self_coupling(weights):
    diagonal = jnp.eye(len(weights), dtype=bool)
    return Params(jnp.where(diagonal, 0, weights), jnp.zeros(len(weights), weights.dtype))
