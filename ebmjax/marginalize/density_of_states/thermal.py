"""What a density of states says at one inverse temperature: log Z, mean energy, heat capacity, the law of the energy.

    Z(beta) = Σ_E g(E) exp(-beta E)

Each function takes any finite inverse temperature, also a negative one, static or traced; for a whole axis of them, use
`jax.vmap`. Errors come from the walkers, by linearization.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, as_float, as_scalar, check_callable, check_record, is_static
from ebmjax.compiled import compiled
from ebmjax.marginalize.density_of_states.multicanonical import Density
from ebmjax.marginalize.density_of_states.walkers import standard_error
from ebmjax.marginalize.reweighting.mixture import Thermodynamics
from ebmjax.marginalize.thermodynamics import Measured
from ebmjax.numerics import matmul, widened
from ebmjax.types import CONVERGED, NO_OVERLAP, Estimate, Numbers


@runtime_checkable
class FunctionOfMeans(Protocol):
    """A number that follows from means."""

    def __call__(self, means: Any, /) -> Any:
        """A scalar, differentiable in the vector of means."""
        ...


def at(density: Density, beta: Numbers) -> Thermodynamics:
    """log Z, mean energy and heat capacity at an inverse temperature, with standard errors.

    The heat capacity is beta² (<E²> - <E>²). Where levels are bins of continuous energies, its mean error is about
    beta² width²/12, and that of log Z a half of it.

    Args:
        density: of `multicanonical` or `density_of_states`.
        beta: finite, of any sign, in units of 1/energy.

    Returns:
        `Thermodynamics`. `effective_samples` is how many independent draws from exp(-beta E)/Z would give the mean
        energy as well. `result` is that of the density, or `NO_OVERLAP` where fewer than half of the walkers were at
        the energies that count at this temperature, such as beyond the levels that were found.

    Raises:
        ValueError: something that is no `Density`, a beta that is not one finite number.

    Berg and Neuhaus (1992); Wang and Landau (2001), eq. 5.

    >>> from ebmjax.energies import ising
    >>> from ebmjax.marginalize.density_of_states import models
    >>> from ebmjax.marginalize.density_of_states.multicanonical import density_of_states
    >>> ring = models.ising(ising.Params(jnp.array(1.0), jnp.array(0.0)), (6,))
    >>> density = density_of_states(jax.random.key(0), ring, [-6.0, -2.0, 2.0, 6.0], 16, 400, 1000)
    >>> found, exact = at(density, -0.7), jnp.log((2 * jnp.cosh(0.7)) ** 6 + (2 * jnp.sinh(0.7)) ** 6)
    >>> bool(abs(found.log_partition - exact) < 5 * found.log_partition_error)
    True
    """
    density, beta = _prepared(density, beta)
    return _at(density, beta)


def log_partition(density: Density, beta: Numbers) -> Estimate:
    """log Z(beta), where Z is the sum over all states. Arguments, errors and `result` are those of `at`.

    It is exact at beta = 0. The library's free energy is F = (log_partition(0) - log_partition(beta)) / beta.

    >>> from ebmjax.marginalize.density_of_states import models
    >>> from ebmjax.marginalize.density_of_states.multicanonical import density_of_states
    >>> model = models.general(lambda s: s.sum(), (0, 1), 3)
    >>> density = density_of_states(jax.random.key(0), model, jnp.arange(4.0), 16, 400, 1000)
    >>> round(float(jnp.exp(log_partition(density, 0.0).log_partition)), 3)
    8.0
    """
    density, beta = _prepared(density, beta)
    found = _at(density, beta)
    unbounded = jnp.full_like(found.log_partition, jnp.inf)
    return Estimate(
        found.log_partition,
        found.log_partition_error,
        found.effective_samples,
        -unbounded,
        unbounded,
        found.result,
    )


def energy_law(density: Density, beta: Numbers) -> Float[Array, " levels"]:
    """P(E) ∝ g(E) exp(-beta E), the probability of each level. Arguments and errors are those of `at`.

    At a first-order transition it has two peaks of equal weight, whose distance is the latent heat.

    >>> from ebmjax.marginalize.density_of_states import models
    >>> from ebmjax.marginalize.density_of_states.multicanonical import density_of_states
    >>> model = models.general(lambda s: s.sum(), (0, 1), 3)
    >>> density = density_of_states(jax.random.key(0), model, jnp.arange(4.0), 16, 400, 1000)
    >>> bool(jnp.all(abs(energy_law(density, 0.0) - jnp.array([1, 3, 3, 1]) / 8) < 0.02))
    True
    """
    density, beta = _prepared(density, beta)
    return _law(density, beta)


def mean_of(density: Density, beta: Numbers, function: FunctionOfMeans | None = None) -> Measured:
    """The mean at an inverse temperature of what was observed, or a function of these means, with standard errors.

        <O> = Σ_E P(E) O(E),    O(E) the mean of the states at this energy

    Args:
        density: of a run with `observe`.
        beta: as in `at`.
        function: of the vector of means, a scalar, such as the Binder ratio `lambda m: 1 - m[1] / (3 * m[0] ** 2)`
            where `observe` returns m² and m⁴; None is for the means themselves.

    Returns:
        `Measured(value, standard_error)`, by linearization in the walkers. Levels at which nothing was observed do not
        count.

    Raises:
        ValueError: as `at`; a density of a run without `observe`.

    Berg and Neuhaus (1992).

    >>> from ebmjax.marginalize.density_of_states import models
    >>> from ebmjax.marginalize.density_of_states.multicanonical import density_of_states
    >>> model, first = models.general(lambda s: s.sum(), (0, 1), 3), lambda s: s[:1]
    >>> density = density_of_states(jax.random.key(0), model, jnp.arange(4.0), 16, 400, 1000, first)
    >>> found = mean_of(density, 1.5)  # 1/(1 + exp(1.5)) = 0.18
    >>> bool(abs(found.value[0] - jax.nn.sigmoid(-1.5)) < 5 * found.standard_error[0] < 0.05)
    True
    """
    density, beta = _prepared(density, beta)
    if density.observed is None:
        raise ArgumentError("density: got one of a run without `observe`, wanted one with it")
    if function is not None:
        check_callable("function", function)
    return _mean_of(density, beta, function)


@compiled
def _mean_of(density, beta, function):
    sums, times = jnp.sum(density.observed, axis=0), jnp.sum(density.times, axis=0)
    seen = times > 0
    at_level = sums / jnp.where(seen, times, 1)[:, None]
    logs = jnp.where(seen, density.log_density - beta * density.levels, -jnp.inf)
    law = jax.nn.softmax(logs)
    means = matmul(law, at_level)
    # a walker changes P(E) by its share in the visits of E, and O(E) by what it observed there
    by_law = matmul(density.shares, law[:, None] * (at_level - means[None]))
    away = density.observed - density.times[:, :, None] * at_level[None]
    by_states = jnp.einsum("l,wlk->wk", law / jnp.where(seen, times, 1), away, precision="highest")
    influences = by_law + by_states
    if function is None:
        return Measured(means, standard_error(influences))
    value, slope = jax.value_and_grad(lambda means: as_scalar("function", function(means)))(means)
    return Measured(value, standard_error(matmul(influences, slope)))


def _prepared(density, beta):
    check_record("density", density, Density)
    beta = as_float("beta", beta, ())
    if is_static(beta) and not np.isfinite(np.asarray(beta)):
        raise ArgumentError(f"beta: got {float(beta)}, wanted a finite inverse temperature")
    density = jax.tree.map(widened, density)
    return density, widened(beta).astype(density.log_density.dtype)


@jax.jit
def _law(density, beta):
    return jax.nn.softmax(density.log_density - beta * density.levels)


@jax.jit
def _at(density, beta):
    law, hot = _law(density, beta), jax.nn.softmax(density.log_density)
    energies = density.levels - jnp.mean(density.levels)
    log_partition = jax.nn.logsumexp(density.log_density - beta * density.levels)
    mean = jnp.sum(law * energies)
    away = energies - mean
    variance = jnp.sum(law * away**2)
    influences = jnp.stack([law - hot, law * away, beta**2 * law * (away**2 - variance), law])
    of_walkers = matmul(density.shares, influences.T)
    errors = standard_error(of_walkers)
    # as many walkers as would have the same shares in the visits of this temperature, if they all had equal ones
    walkers = 1 / jnp.sum(jnp.square(of_walkers[:, 3]))
    overlap = walkers >= len(density.shares) / 2
    result = jnp.where(density.result != CONVERGED, density.result, jnp.where(overlap, CONVERGED, NO_OVERLAP))
    effective = variance / jnp.square(errors[1])
    return Thermodynamics(
        log_partition,
        errors[0],
        mean + jnp.mean(density.levels),
        errors[1],
        beta**2 * variance,
        errors[2],
        effective,
        result.astype(jnp.int32),
    )
