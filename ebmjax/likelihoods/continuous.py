"""log Z of any differentiable energy of continuous unknowns in many dimensions: annealed from a normal law by HMC.

    u(t, ε) = (1 - t)/2 ‖ε‖² + t beta E(m + s ε),    x = m + s ε,    Z = Π_i s_i ∫ exp(-beta E(m + s ε)) dε

A position is ε, the unknown in units of the normal law N(m, s²) where the path begins: it is standard normal at t = 0.
The closer this law is to exp(-beta E)/Z, the fewer laws are needed on the way; it should not be narrower. In two
dimensions a grid is exact: `ebmjax.log_partition(energy, ebmjax.box(...), beta)`.

Neal (2001), "Annealed importance sampling"; Wu, Burda, Salakhutdinov, Grosse (2017), "On the quantitative analysis of
decoder-based generative models", section 4, for the kernel.
"""

import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import (
    ArgumentError,
    as_beta,
    as_float,
    as_scalar,
    check_callable,
    check_count,
    check_finite_beta,
    check_record,
    is_static,
)
from ebmjax.gaussian import Gaussian
from ebmjax.likelihoods.paths import Path
from ebmjax.sample.hamiltonian import hamiltonian
from ebmjax.temperature import reduced
from ebmjax.types import Beta, Energy, Numbers


def path(energy: Energy, beta: Beta, base: Gaussian, step_sizes: Annotated[Numbers, "2"], steps: int) -> Path:
    """From the normal law `base` to exp(-beta E)/Z by Hamiltonian Monte Carlo; a position is ε = (x - m)/s.

    Args:
        energy: `energy(x) -> scalar`, differentiable, of one array of the shape of the base's mean.
        beta: inverse temperature in [0, inf), static or traced. Z has to be finite there.
        base: mean m and log-variance log s² of every coordinate.
        step_sizes: of the leapfrog steps at t = 0 and at t = 1, positive, in units of s; between them geometric. About
            0.65 of the moves should be accepted.
        steps: leapfrog steps of one move, static, at least 1.

    Raises:
        ValueError: an energy that is no function, a bad or infinite beta, a mean and log-variances of different shapes,
            step sizes that are not two positive numbers, steps below 1.

    >>> way = path(lambda x: jnp.sum(x**2) / 2, 0.5, Gaussian(jnp.ones(2), jnp.zeros(2)), [0.3, 0.3], 5)
    >>> round(float(way.log_partition), 4), float(way.reduced_energy(1.0, jnp.ones(2)))  # log 2π
    (1.8379, 2.0)
    """
    check_callable("energy", energy)
    check_finite_beta(beta)
    check_count("steps", steps)
    beta, base = as_beta(beta), _base(base)
    step_sizes = as_step_sizes(step_sizes)

    def reduced_energy(t, position):
        height = reduced(as_scalar("energy", energy(unknown(base, position))), t * jnp.asarray(beta))
        return (1 - t) / 2 * jnp.sum(jnp.square(position)) + height

    def make_kernel(t):
        first, last = jnp.log(step_sizes)
        size = jnp.exp((1 - t) * first + t * last)
        return hamiltonian(lambda position: reduced_energy(t, position), 1.0, size, steps)

    starts = lambda key, chains: jax.random.normal(key, (chains, *base.mean.shape), base.mean.dtype)
    return Path(reduced_energy, make_kernel, starts, jnp.sum(base.log_variance + math.log(2 * math.pi)) / 2)


def as_step_sizes(step_sizes: Annotated[Numbers, "2"]) -> Float[Array, "2"]:
    """Step sizes as a floating array. Raises ValueError for what are not two numbers, positive where they are static.

    >>> as_step_sizes([2, 1]).tolist()
    [2.0, 1.0]
    """
    step_sizes = as_float("step_sizes", step_sizes, (2,))
    if is_static(step_sizes) and not (np.isfinite(step_sizes).all() and (np.asarray(step_sizes) > 0).all()):
        raise ArgumentError(f"step_sizes: got {np.asarray(step_sizes).tolist()}, wanted two positive numbers")
    return step_sizes


def unknown(base: Gaussian, position: Annotated[Numbers, "*shape"]) -> Float[Array, "*shape"]:
    """x = m + s ε of a position ε, such as `paths.chained_ends` returns.

    Raises ValueError for a base that is no `Gaussian` of one shape.

    >>> unknown(Gaussian(jnp.ones(2), jnp.zeros(2)), jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """
    base = _base(base)
    return base.mean + jnp.exp(base.log_variance / 2) * as_float("position", position)


def position(base: Gaussian, unknown: Annotated[Numbers, "*shape"]) -> Float[Array, "*shape"]:
    """ε = (x - m)/s of an unknown x, such as a draw of the model, from which `paths.sandwiched` comes back.

    Raises ValueError for a base that is no `Gaussian` of one shape.

    >>> position(Gaussian(jnp.ones(2), jnp.zeros(2)), jnp.ones(2)).tolist()
    [0.0, 0.0]
    """
    base = _base(base)
    return (as_float("unknown", unknown) - base.mean) * jnp.exp(-base.log_variance / 2)


def _base(base: Any) -> Gaussian:
    check_record("base", base, Gaussian)
    mean = as_float("base.mean", base.mean)
    return Gaussian(mean, as_float("base.log_variance", base.log_variance, mean.shape).astype(mean.dtype))
