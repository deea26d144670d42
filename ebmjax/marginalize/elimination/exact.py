"""Exact free energies, partition functions and marginals at every beta in [0, inf], by elimination.

    F_beta = -1/beta log q⁻ᴺ Σ_s exp(-beta E(s)),    log Z = N log q - beta F_beta

N units have q states each. The sum over one unit after another is a chain of softmins, so that one program serves for
every temperature; at beta = inf it is dynamic programming. The gradient with respect to the factors is the table of
probabilities of all states of all units and edges.

All functions work under `jit`, `vmap` (over factors and beta) and `grad`, for a plan that is known before tracing.
Forbidden states, of energy +inf, are allowed at beta > 0; at beta = 0 the mean energy F is then inf.

Bertelè, Brioschi (1972), "Nonserial dynamic programming"; Dechter (1999), "Bucket elimination".
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_beta
from ebmjax.compiled import compiled
from ebmjax.marginalize.elimination.factors import Factors, as_factors
from ebmjax.marginalize.elimination.plans import Plan
from ebmjax.marginalize.elimination.tables import eliminated, log_states, on_device
from ebmjax.marginalize.enumeration import exact_estimate
from ebmjax.temperature import reduced
from ebmjax.types import CONVERGED, DIVERGED, Beta, Estimate


def free_energy(plan: Plan, factors: Factors, beta: Beta) -> Float[Array, ""]:
    """F_beta: the mean energy at beta = 0, the least energy at inf, exact at every beta.

    It may be differentiated with respect to the factors and beta, more than once: <E> = d(beta F)/d beta, and the heat
    capacity is -beta² d²(beta F)/d beta². A reverse-mode gradient takes the memory that `plans.size` says, a
    forward-mode one (`jax.jvp`) no more than F itself.

    Args:
        plan: see `plans.plan`.
        factors: the terms of the energy, which fit the plan.
        beta: inverse temperature in [0, inf], a scalar, in units of 1/energy.

    Returns:
        A scalar in the units and the dtype of the factors; NaN where a traced beta is negative.

    Raises:
        ValueError: no plan, or a traced one; factors of other shapes, or with a static NaN; a bad beta.

    Dechter (1999), "Bucket elimination: a unifying framework for reasoning".

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> from ebmjax.types import SPINS
    >>> ring = graphs.from_edges(3, [(0, 1), (1, 2), (2, 0)], weights=[-1.0, -1.0, -1.0])
    >>> terms = factors.binary(SPINS, ring.weights, jnp.zeros(3))
    >>> [round(float(free_energy(plans.plan(ring), terms, beta)), 4) for beta in (0.0, 1.0, jnp.inf)]
    [0.0, -0.7184, -1.0]
    """
    return eliminated(*_prepared(plan, factors, beta)).free_energy


def log_partition(plan: Plan, factors: Factors, beta: Beta) -> Estimate:
    """log Z = log Σ_s exp(-beta E(s)), exact. Arguments and errors as in `free_energy`.

    At beta = inf it is inf or -inf, but for a least energy of zero, where Z is the number of states that have it.

    Returns:
        `Estimate` with a standard error of 0 and bounds that are log Z itself; `result` is DIVERGED where F is not
        finite: an energy is not, beta is negative, no state is allowed, or some are forbidden at beta = 0.

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> pair = graphs.from_edges(2, [(0, 1)])
    >>> nothing = factors.potts([0.0], jnp.zeros((2, 2)))
    >>> round(float(jnp.exp(log_partition(plans.plan(pair), nothing, 2.0).log_partition)), 4)
    4.0
    """
    prepared = _prepared(plan, factors, beta)
    whole = eliminated(*prepared)
    value = log_states(plan) + whole.log_count - reduced(whole.free_energy, prepared[2])
    result = jnp.where(jnp.isfinite(whole.free_energy), CONVERGED, DIVERGED).astype(jnp.int32)
    return exact_estimate(value)._replace(result=result)


def marginals(plan: Plan, factors: Factors, beta: Beta) -> Factors:
    """The probability of every state of every unit, and of every pair of states of the two units of every edge.

    They are the gradient of F with respect to the factors. At beta = inf they are shares of the states of least energy,
    which all have the same probability. Arguments and errors as in `free_energy`.

    Returns:
        `Factors` of probabilities: `unary[i, a]` = P(s_i = a), `pair[e, a, b]` = P(s_a(e) = a, s_b(e) = b).

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> pair = graphs.from_edges(2, [(0, 1)])
    >>> marginals(plans.plan(pair), factors.potts([1.0], jnp.zeros((2, 2))), jnp.inf).pair.tolist()
    [[[0.5, 0.0], [0.0, 0.5]]]
    """
    return _gradient(*_prepared(plan, factors, beta))


def log_ground_states(plan: Plan, factors: Factors) -> Float[Array, ""]:
    """The logarithm of the number of states that have the least energy: the entropy at zero temperature.

    Energies are equal where they are equal as floating numbers, so that couplings should be whole numbers, or halves.
    Arguments and errors as in `free_energy`.

    >>> from ebmjax.marginalize.elimination import factors, graphs, plans
    >>> from ebmjax.types import SPINS
    >>> ring = graphs.from_edges(3, [(0, 1), (1, 2), (2, 0)], weights=[-1.0, -1.0, -1.0])
    >>> terms = factors.binary(SPINS, ring.weights, jnp.zeros(3))
    >>> round(float(jnp.exp(log_ground_states(plans.plan(ring), terms))), 4)  # all but the two that are uniform
    6.0
    """
    whole = eliminated(*_prepared(plan, factors, jnp.inf))
    return log_states(plan) + whole.log_count


def _prepared(plan, factors, beta):
    """Checked arguments; the plan's arrays are arrays of JAX, so that plans of one shape share a program."""
    factors = as_factors(plan, factors)
    beta = jnp.asarray(as_beta(beta)).astype(factors.unary.dtype)
    return on_device(plan), factors, jnp.where(beta >= 0, beta, jnp.nan)


@compiled
def _gradient(plan, factors, beta):
    return jax.grad(lambda factors: eliminated(plan, factors, beta).free_energy)(factors)
