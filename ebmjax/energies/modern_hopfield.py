"""Modern Hopfield network: the free energy of a state over the stored patterns.

    E(x, ξ) = ½ ξᵀξ - ξᵀx,    F_beta(ξ) = softmin over the stored patterns x of E(x, ξ)

The pattern x is the latent variable, and beta enters in the free energy alone. One update, ξ ← ξ - ∇F =
Σ softargmin(E) x, is attention: keys and values are the patterns, the query is the state.
Ramsauer et al. (2020), "Hopfield networks is all you need", eqs. 2 and 3; their energy is F plus a constant.
"""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float
from ebmjax.numerics import matmul
from ebmjax.temperature import softargmin, softmin
from ebmjax.types import Beta, Numbers, Scalar


def energy(pattern: Annotated[Numbers, "units"], state: Annotated[Numbers, "units"]) -> Scalar:
    """E(x, ξ) = ½ ξᵀξ - ξᵀx: half the squared distance of a state from a pattern, less the constant ½ xᵀx.

    Raises ValueError unless pattern and state have one shape.

    >>> float(energy(jnp.array([1.0, -2.0]), jnp.array([1.0, 1.0])))
    2.0
    """
    pattern = as_float("pattern", pattern, (None,))
    state = as_float("state", state, pattern.shape)
    return matmul(state, 0.5 * state - pattern)


def free_energy(
    patterns: Annotated[Numbers, "patterns units"], state: Annotated[Numbers, "units"], beta: Beta
) -> Scalar:
    """F_beta(ξ) = ½ ξᵀξ - 1/beta log 1/P Σ_p exp(beta ξᵀx^p): low near each stored pattern.

    Args:
        patterns: the P stored patterns x, any real vectors, at least one.
        state: ξ, the query.
        beta: inverse temperature in [0, inf], in units of 1/energy.

    Raises:
        ValueError: beta negative, NaN or not a scalar; no pattern; a state of another length.

    Ramsauer et al. (2020), eq. 2, without the constant ½ max ‖x‖².

    >>> patterns = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    >>> [float(free_energy(patterns, jnp.array([1.0, 1.0]), beta)) for beta in (0.0, jnp.inf)]
    [0.0, -1.0]
    """
    return softmin(_energies(patterns, state), beta)


def retrieve(
    patterns: Annotated[Numbers, "patterns units"], state: Annotated[Numbers, "units"], beta: Beta
) -> Float[Array, " units"]:
    """One update ξ ← Σ_p softargmin_p(E) x^p = ξ - ∇F_beta(ξ), which never raises F.

    At beta = inf it is the pattern with the largest overlap ξᵀx, or the mean of several such patterns; at beta = 0 it
    is the mean of all patterns. Arguments and errors as in `free_energy`.

    Ramsauer et al. (2020), eq. 3.

    >>> patterns = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    >>> retrieve(patterns, jnp.array([0.5, 0.1]), jnp.inf).tolist()
    [1.0, 1.0]
    """
    shares = softargmin(_energies(patterns, state), beta)
    return matmul(shares, as_float("patterns", patterns))


def _energies(patterns, state):
    patterns = as_float("patterns", patterns)
    if patterns.ndim != 2:
        raise ArgumentError(f"patterns: got shape {patterns.shape}, wanted (patterns, units)")
    return jnp.asarray(jax.vmap(energy, (0, None))(patterns, state))
