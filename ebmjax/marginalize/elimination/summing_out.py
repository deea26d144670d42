"""The free energy of one unit: softmin over its states, for large tables, with a count of the ties where it is cold.

    F' = -1/beta log (1/q) Σ_a exp(-beta E_a)

At beta = inf it is the minimum. There the states of the units that were summed out before count as well: what ties for
the minimum is shared in proportion to how many states of all units have this energy. The number of these states
goes along, as the logarithm of their share of all states.
"""

import functools

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from ebmjax.temperature import softmin


@jax.custom_jvp
def summed_out(
    energies: Float[Array, "states *table"], log_counts: Float[Array, "states *table"], beta: Float[Array, ""]
) -> tuple[Float[Array, "*table"], Float[Array, "*table"]]:
    """The free energy over the first axis, and the logarithm of the share of states that have it at beta = inf.

    Args:
        energies: free energies of what was summed out before, for each state of the unit; +inf forbids one.
        log_counts: logarithms of the shares that belong to them; zero at a finite beta.
        beta: inverse temperature in [0, inf], traced or not.

    Returns:
        Two arrays without the first axis. The first has derivatives of every order with respect to the energies and
        beta; the second is a constant to differentiation, and zero at a finite beta.

    >>> cold = summed_out(jnp.array([1.0, 1.0, 3.0, 4.0]), jnp.zeros(4), jnp.array(jnp.inf))
    >>> [round(float(number), 4) for number in (cold[0], jnp.exp(cold[1]))]
    [1.0, 0.5]
    >>> float(summed_out(jnp.array([1.0, 3.0]), jnp.zeros(2), jnp.array(0.0))[0])
    2.0
    """
    least, above, x = _above(energies, beta)
    y = log_counts - x
    top = jnp.max(y, axis=0, keepdims=True)
    less = jnp.expm1(y - top)
    lost = -jnp.mean(less, axis=0)
    log_kept = jnp.log1p(-lost)
    # F - least = -log(1 - lost)/beta = Σ (above φ(x))/q · ψ(lost), where φ(x) = (1 - exp(-x))/x and ψ are 1 at zero: no
    # division by beta, so that the mean comes out at beta = 0, and all digits next to it
    psi = jnp.where(lost == 0, 1, -log_kept / jnp.where(lost == 0, 1, lost))
    far = x > 1
    near = -less / jnp.where(far | (x == 0), 1, x) * jnp.where(far, 0, above)
    # nothing here divides by zero, even where it is not used: second reverse-mode gradients in a scan look into it
    hot = jnp.where(beta == 0, jnp.inf, -less / jnp.where(beta == 0, 1, beta))
    terms = jnp.where(far, hot, jnp.where(x == 0, above, near))
    log_count = jnp.where(beta == jnp.inf, log_kept + top[0], 0)
    return least[0] + jnp.mean(terms, axis=0) * psi, log_count


@functools.partial(summed_out.defjvp, symbolic_zeros=True)
def _summed_out_jvp(primals, tangents):
    energies, _, beta = primals
    d_energies, _, d_beta = tangents
    value, log_count = summed_out(*primals)
    tangent = jnp.zeros_like(value)
    if not isinstance(d_energies, SymbolicZero):
        tangent = tangent + _inner(shares(*primals), d_energies)
    if not isinstance(d_beta, SymbolicZero):
        slope = jax.jvp(lambda beta: softmin(energies, beta, axis=0), (beta,), (jnp.ones_like(beta),))[1]
        tangent = tangent + jnp.where(beta == jnp.inf, 0, slope) * d_beta
    return (value, log_count), (tangent, jnp.zeros_like(log_count))


@jax.custom_jvp
def shares(
    energies: Float[Array, "states *table"], log_counts: Float[Array, "states *table"], beta: Float[Array, ""]
) -> Float[Array, "states *table"]:
    """The probability of each state of the unit: the derivative of the free energy. Arguments as in `summed_out`.

    >>> shares(jnp.array([1.0, 1.0]), jnp.log(jnp.array([1.0, 3.0])), jnp.array(jnp.inf)).round(4).tolist()
    [0.25, 0.75]
    """
    logits = log_shares(energies, log_counts, beta)
    weights = jnp.exp(logits - jnp.max(logits, axis=0, keepdims=True))
    return weights / jnp.sum(weights, axis=0, keepdims=True)


@shares.defjvp
def _shares_jvp(primals, tangents):
    energies, _, beta = primals
    d_energies, _, d_beta = tangents
    weights = shares(*primals)
    _, above, _ = _above(energies, beta)
    # at beta = inf they are constant, and what is infinite is not multiplied
    change = -jnp.where(beta == jnp.inf, 0, beta) * d_energies - jnp.where(weights == 0, 0, above) * d_beta
    return weights, jnp.where(beta == jnp.inf, 0, weights * (change - _inner(weights, change)[None]))


def log_shares(
    energies: Float[Array, "states *table"], log_counts: Float[Array, "states *table"], beta: Float[Array, ""]
) -> Float[Array, "states *table"]:
    """Logarithms of the probabilities of the states, up to a constant. Arguments as in `summed_out`.

    >>> log_shares(jnp.array([1.0, 3.0]), jnp.zeros(2), jnp.array(0.5)).tolist()
    [0.0, -1.0]
    """
    return log_counts - _above(energies, beta)[2]


def _above(energies, beta):
    """The least energy, how far each is above it, and beta times this: inf for a forbidden one at every beta."""
    least = jnp.min(energies, axis=0, keepdims=True)
    above = jnp.where(energies == least, 0, energies - least)
    finite = jnp.minimum(beta, jnp.finfo(energies.dtype).max)
    return least, above, jnp.where(jnp.isinf(above), jnp.inf, finite * above)


def _inner(weights, values):
    """Σ weights · values over the first axis, where 0 · inf = 0."""
    return jnp.sum(jnp.where(weights == 0, 0, weights * values), axis=0)
