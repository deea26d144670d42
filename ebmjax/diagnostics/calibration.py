"""A test of samplers of posteriors: simulation-based calibration.

    θ ~ p(θ),    x ~ p(x | θ),    θ_1, ..., θ_L ~ sampler(x)

If the sampler is right, θ is one more draw of the posterior p(θ | x), so that the rank of f(θ) among the f(θ_l) is
uniform on 0, ..., L, for every statistic f. Unlike `invariance_test` it needs no draws of the law itself, and it tests
the whole run: burn-in, thinning, and a kernel that may depend on the data.

Talts, Betancourt, Simpson, Vehtari & Gelman (2018), "Validating Bayesian inference algorithms with simulation-based
calibration"; Modrák et al. (2023), "Simulation-based calibration checking for Bayesian computation: the choice of test
quantities shapes sensitivity".
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaincc
from jaxtyping import Array, Float, Int, Key

from ebmjax.checks import ArgumentError, as_float, check_callable, check_count, check_key, is_static
from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import ess_of_chains, mean
from ebmjax.loops import repeat, thinned, trajectory
from ebmjax.records import record
from ebmjax.states import begun
from ebmjax.types import AnyKernel, Kernel

LEAST_SIMULATIONS = 50
"""With fewer simulations the law of the test's components is not normal."""
COMPONENTS = 4
"""Of the ranks: their mean, their spread, their skewness, and their tails."""


@runtime_checkable
class Prior(Protocol):
    """How parameters are drawn."""

    def __call__(self, key: Key[Array, ""], /) -> Any:
        """A draw of the parameters, a pytree of arrays: a position of the kernel."""
        ...


@runtime_checkable
class Simulate(Protocol):
    """How data are drawn."""

    def __call__(self, key: Key[Array, ""], position: Any, /) -> Any:
        """Data given the parameters, a pytree of arrays."""
        ...


@runtime_checkable
class KernelOfData(Protocol):
    """The sampler that is tested."""

    def __call__(self, data: Any, /) -> AnyKernel:
        """A kernel of the posterior given the data, also one of BlackJAX."""
        ...


@runtime_checkable
class StatisticsOfData(Protocol):
    """What is ranked."""

    def __call__(self, position: Any, data: Any, /) -> Any:
        """Numbers that describe the parameters, given the data, an array of shape () or (statistics,)."""
        ...


@record
class Calibration(NamedTuple):
    """Whether the ranks of true parameters among draws of their posterior are uniform."""

    p_value: Float[Array, ""]
    """The probability of ranks so far from uniform, of any statistic, by a right sampler: reject below 1e-3, say.

    It is the least p-value times the number of statistics (Bonferroni), at most 1.
    """
    p_values: Float[Array, " statistics"]
    """Of each statistic by itself; 0 where a draw of the sampler is not finite, NaN where a true one is not."""
    shifts: Float[Array, " statistics"]
    """A nearly standard normal score of the mean rank: positive where the draws are too low."""
    spreads: Float[Array, " statistics"]
    """The same of the spread of the ranks: positive where the draws are too narrow, negative where too wide."""
    ranks: Int[Array, "simulations statistics"]
    """How many draws are below the true value, 0 to L; of equal ones a random share. Their histogram should be flat."""
    effective_samples: Float[Array, " statistics"]
    """The mean effective sample size of the L draws. Far below L, ranks are not uniform though the law may be right."""


def calibration_test(
    key: Key[Array, ""],
    make_kernel: KernelOfData,
    prior: Prior,
    simulate: Simulate,
    statistics: StatisticsOfData,
    simulations: int = 500,
    draws: int = 63,
    steps: int = 1,
    burn_in: int = 100,
) -> Calibration:
    """Test by simulation-based calibration whether a sampler draws from the posterior.

    Take statistics that depend on the data too, such as the energy of data and parameters together: a sampler that
    forgets the data and draws from the prior has uniform ranks of all parameters.

    Each simulation draws parameters and data, starts a chain at another draw of the prior, and runs it. All run at
    once, by `jax.vmap`. Choose `steps` so that the draws of a chain are nearly independent: `effective_samples` says
    whether they are.

    Args:
        key: typed random key.
        make_kernel: `make_kernel(data) -> kernel`, with `init(position, rng_key=None) -> state` and
            `step(rng_key, state) -> (state, info)`, also one of BlackJAX.
        prior: `prior(key) -> position`.
        simulate: `simulate(key, position) -> data`. For a joint law exp(-beta E(data, position)) / Z both draw at the
            beta of the kernel.
        statistics: `statistics(position, data) -> ()` or `(statistics,)`.
        simulations: how many pairs of parameters and data, static, at least 50.
        draws: L, how many draws of each posterior, static, at least 4.
        steps: of the kernel between two draws, static, at least 1.
        burn_in: steps of the kernel before the first draw, static, at least 1.

    Returns:
        `Calibration`. A right sampler that mixes has a p-value below a with a probability of at most about a.

    Raises:
        ValueError: a key that is not typed, what is no function, statistics that have two axes, a count that is too
            small.

    Talts et al. (2018), algorithm 1 and 2; Neyman (1937) for the test.

    >>> from ebmjax.sample.langevin import mala
    >>> energy = lambda x, z: (z**2 + (x - z) ** 2) / 2  # of data x and an unknown z, at beta = 0.7
    >>> prior = lambda key: jax.random.normal(key) / 0.7**0.5
    >>> simulate = lambda key, z: z + jax.random.normal(key) / 0.7**0.5
    >>> make_kernel = lambda beta: lambda x: mala(lambda z: energy(x, z), beta, 0.9)
    >>> statistics = lambda z, x: jnp.stack([z, energy(x, z)])
    >>> test = lambda beta: calibration_test(
    ...     jax.random.key(0), make_kernel(jnp.array(beta)), prior, simulate, statistics, simulations=300, steps=3
    ... )
    >>> bool(test(0.7).p_value > 0.01), bool(test(1.4).p_value < 1e-3)
    (True, True)
    """
    check_key("key", key)
    functions = {"make_kernel": make_kernel, "prior": prior, "simulate": simulate, "statistics": statistics}
    for name, function in functions.items():
        check_callable(name, function)
    _check_at_least("simulations", simulations, LEAST_SIMULATIONS)
    _check_at_least("draws", draws, COMPONENTS)
    check_count("steps", steps)
    check_count("burn_in", burn_in)
    return _calibration(key, make_kernel, prior, simulate, statistics, simulations, draws, steps, burn_in)


@compiled
def _calibration(key, make_kernel, prior, simulate, statistics, simulations, draws, steps, burn_in):
    def of(position, data):
        values = as_float("statistics", statistics(position, data))
        if values.ndim > 1:
            raise ArgumentError(f"statistics: got shape {values.shape}, wanted () or (statistics,)")
        return values.reshape(-1)

    def one(key):
        of_truth, of_data, of_start, of_state, of_burn_in, of_run, of_ties = jax.random.split(key, 7)
        truth = prior(of_truth)
        data = simulate(of_data, truth)
        kernel = make_kernel(data)
        start = prior(of_start)
        state = repeat(of_burn_in, kernel, begun(of_state, kernel, start), burn_in).state
        going_on = Kernel(lambda position, rng_key=None: state, thinned(kernel, steps).step)
        values = trajectory(of_run, going_on, start, draws, observe=lambda state: of(state.position, data)).positions
        true = of(truth, data)
        below = jnp.sum(values < true[None], axis=0)
        equal = jnp.sum(values == true[None], axis=0)
        # the place among equal values is drawn: a rank of discrete values is uniform too
        ranks = below + jax.random.randint(of_ties, below.shape, 0, equal + 1, below.dtype)
        effective = jax.vmap(lambda values: ess_of_chains(values[None]), in_axes=1)(values)
        return ranks, jnp.isfinite(true), jnp.all(jnp.isfinite(values), axis=0), effective

    ranks, sound, stayed, effective = jax.vmap(one)(jax.random.split(key, simulations))
    found = _of_ranks(ranks, draws)
    sound, stayed = jnp.all(sound, axis=0), jnp.all(stayed, axis=0)
    p_values = jnp.where(sound, jnp.where(stayed, found.p_values, 0), jnp.nan)
    return found._replace(
        p_value=_overall(p_values),
        p_values=p_values,
        effective_samples=mean(effective.T),
    )


def rank_test(ranks: Any, draws: int) -> Calibration:
    """The test of `calibration_test` alone: are ranks uniform on 0, ..., draws?

    For samplers that do not run inside JAX: the rank is the number of draws of the posterior whose statistic is below
    that of the true parameters, with a random share of the equal ones.

        Σ_j (N^(-1/2) Σ_i π_j(rank_i))²,    j = 1 to 4

    with the orthonormal polynomials π_j of the uniform law on 0, ..., L. Under uniform ranks it is chi-square with 4
    degrees of freedom. It finds the smooth deviations of wrong samplers in fewer simulations than a histogram.

    Args:
        ranks: (simulations, statistics), at least 50 simulations, whole numbers in 0, ..., draws.
        draws: L, of how many draws each rank is, static, at least 4.

    Returns:
        `Calibration`, whose `effective_samples` are NaN.

    Raises:
        ValueError: ranks of another shape, fewer than 50, static ones that are not whole or outside 0 to draws; draws
            below 4.

    Neyman (1937), "Smooth test for goodness of fit"; Rayner & Best (1989), chapter 5.

    >>> ranks = jnp.arange(100)[:, None] % 10
    >>> bool(rank_test(ranks, 9).p_value > 0.99), bool(rank_test(ranks // 2, 9).p_value < 1e-6)
    (True, True)
    """
    _check_at_least("draws", draws, COMPONENTS)
    given = as_float("ranks", ranks, (None, None))
    if given.shape[0] < LEAST_SIMULATIONS or given.shape[1] < 1:
        raise ArgumentError(
            f"ranks: got shape {given.shape}, wanted (simulations, statistics), {LEAST_SIMULATIONS} simulations or more"
        )
    if is_static(given):
        values = np.asarray(given)
        foreign = values[~((values >= 0) & (values <= draws) & (values == np.round(values)))]
        if foreign.size:
            raise ArgumentError(f"ranks: got {foreign[0]:g}, wanted whole numbers from 0 to {draws}, the draws")
    return _rank_test(given.astype(jnp.int32), draws)


@compiled
def _rank_test(ranks, draws):
    return _of_ranks(ranks, draws)


def _of_ranks(ranks, draws):
    table = jnp.asarray(_polynomials(draws), jnp.result_type(float))
    simulations = ranks.shape[0]
    scores = jnp.sum(table[ranks], axis=0) / simulations**0.5
    p_values = gammaincc(jnp.asarray(COMPONENTS / 2, scores.dtype), jnp.sum(jnp.square(scores), axis=1) / 2)
    unknown = jnp.full(ranks.shape[1], jnp.nan, scores.dtype)
    return Calibration(_overall(p_values), p_values, scores[:, 0], scores[:, 1], ranks, unknown)


def _polynomials(draws):
    """(draws + 1, components): the orthonormal polynomials of the uniform law on 0, ..., draws, of degree 1 to 4."""
    places = np.linspace(-1, 1, draws + 1)
    powers = places[:, None] ** np.arange(COMPONENTS + 1)
    orthogonal, triangle = np.linalg.qr(powers)
    return (orthogonal * np.sign(np.diag(triangle)))[:, 1:] * np.sqrt(draws + 1)


def _overall(p_values):
    least = jnp.minimum(len(p_values) * jnp.min(p_values), 1)
    return jnp.where(jnp.any(jnp.isnan(p_values)), jnp.nan, least)


def _check_at_least(name, count, least):
    check_count(name, count)
    if count < least:
        raise ArgumentError(f"{name}: got {count}, wanted at least {least}")
