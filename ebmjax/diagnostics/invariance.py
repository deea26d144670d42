"""A test of kernels: does a step leave the law of exact draws as it is?

    X_i ~ p,    Y_i = kernel(X_i),    Y_i ~ p too if the kernel leaves p invariant

Any statistic f then has the same mean before and after: the differences f(Y_i) - f(X_i) of independent chains have the
mean 0, which Student's test decides. No run has to be long and nothing has to mix, so that a small error in a kernel is
found which estimates from a chain would hide in their noise. Annealed importance sampling, population annealing and
bidirectional bounds are only right for kernels that pass.

Geweke (2004), "Getting it right"; Grosse & Duvenaud (2014), "Testing MCMC code"; Gandy & Scott (2020), "Unit testing
for MCMC and other Monte Carlo methods".
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from ebmjax.checks import ArgumentError, as_float, as_floats, check_callable, check_count, check_key, leading_axis
from ebmjax.compiled import compiled
from ebmjax.diagnostics.chains import mean
from ebmjax.loops import check_kernel, repeat
from ebmjax.records import record
from ebmjax.states import begun
from ebmjax.types import AnyKernel, Kernel

LEAST_DRAWS = 50
"""With fewer draws the law of Student's t is not that of these differences."""


@runtime_checkable
class Statistics(Protocol):
    """What is compared before and after the steps."""

    def __call__(self, position: Any, /) -> Any:
        """Numbers that describe one position, an array of shape () or (statistics,)."""
        ...


@record
class Invariance(NamedTuple):
    """Whether a kernel leaves a law invariant."""

    p_value: Float[Array, ""]
    """The probability of so large a difference, in any of the statistics, by a correct kernel: reject below 1e-3, say.

    It is the least p-value times the number of statistics (Bonferroni), at most 1.
    """
    p_values: Float[Array, " statistics"]
    """Of each statistic by itself; 0 where the kernel went where the statistic is not finite, NaN where it began so."""
    z_scores: Float[Array, " statistics"]
    """The mean difference after - before, over its standard error: it says in which direction the kernel errs."""
    changed: Float[Array, " statistics"]
    """The share of the draws whose statistic is another one after the steps. What never changes is not tested."""


def invariance_test(
    key: Key[Array, ""], kernel: AnyKernel, exact_draws: PyTree[Any], statistics: Statistics, steps: int = 1
) -> Invariance:
    """Test whether a kernel leaves the law of exact draws invariant.

    Take statistics that the law is known to have a spread of: the energy, its square, single units or coordinates and
    products of them. To test the kernels of annealed importance sampling, call it with `make_kernel(beta)` and draws at
    this beta, not only at beta = 1: a temperature that enters twice is invisible there.

    Args:
        key: typed random key.
        kernel: `init(position, rng_key=None) -> state`, `step(rng_key, state) -> (state, info)`, also one of BlackJAX.
        exact_draws: independent draws of the law, a pytree with the leading axis draws, at least 50; by enumeration,
            elimination, or the closed form of a law that is simple. Integers keep their dtype. With 10,000 draws, a
            mean that the kernel changes by 0.05 standard deviations is found.
        statistics: `statistics(position) -> ()` or `(statistics,)`.
        steps: of the kernel, static, at least 1. More steps make an error larger, until the chains forget their start.

    Returns:
        `Invariance`. A correct kernel has a p-value below a with a probability of at most a. This holds for many draws:
        of a statistic that changes in few of them, some ten changes are needed.

    Raises:
        ValueError: a key that is not typed, what is no kernel, fewer than 50 draws, statistics that are no function or
            have two axes, steps below 1.

    Gandy & Scott (2020), section 2; Geweke (2004), eq. 5.

    >>> from ebmjax.sample.gibbs import systematic
    >>> law = jax.nn.sigmoid(2 * 0.7 * jnp.array([1.0, 0.5]))  # of two spins in fields, at beta = 0.7
    >>> draws = 2.0 * jax.random.bernoulli(jax.random.key(0), law[None], (4000, 2)) - 1
    >>> kernel = lambda beta: systematic(lambda s: -s[0] - 0.5 * s[1], beta)
    >>> test = lambda beta: invariance_test(jax.random.key(1), kernel(beta), draws, lambda s: s)
    >>> bool(test(0.7).p_value > 0.01), bool(test(0.5).p_value < 1e-3)
    (True, True)
    """
    check_key("key", key)
    check_kernel(kernel)
    exact_draws = _as_draws(exact_draws)
    count = leading_axis("exact_draws", exact_draws)
    if count < LEAST_DRAWS:
        raise ArgumentError(f"exact_draws: got {count} draws, wanted at least {LEAST_DRAWS}")
    check_callable("statistics", statistics)
    check_count("steps", steps)
    return _invariance(key, kernel.init, kernel.step, exact_draws, statistics, steps)


def _as_draws(draws):
    """Floats are converted; integers, such as packed spins, are what somebody's kernel may ask for."""
    floats = as_floats("exact_draws", draws)
    whole = lambda leaf: isinstance(leaf, jax.Array | np.ndarray) and leaf.dtype.kind in "iub"
    return jax.tree.map(lambda leaf, given: jnp.asarray(given) if whole(given) else leaf, floats, draws)


@compiled
def _invariance(key, init, step, draws, statistics, steps):
    kernel = Kernel(init, step)

    def of(position):
        values = as_float("statistics", statistics(position))
        if values.ndim > 1:
            raise ArgumentError(f"statistics: got shape {values.shape}, wanted () or (statistics,)")
        return values.reshape(-1)

    def moved(key, position):
        first, rest = jax.random.split(key)
        last = repeat(rest, kernel, begun(first, kernel, position), steps).state.position
        return of(position), of(last)

    count = leading_axis("exact_draws", draws)
    before, after = (rows.T for rows in jax.vmap(moved)(jax.random.split(key, count), draws))
    sound = jnp.all(jnp.isfinite(before), axis=1)
    stayed = jnp.all(jnp.isfinite(after), axis=1)
    differences = jnp.where((sound & stayed)[:, None], after - before, 0)
    unit = jnp.max(jnp.abs(differences), axis=1)
    differences = differences / jnp.where(unit > 0, unit, 1)[:, None]
    average = mean(differences)
    variance = mean(jnp.square(differences - average[:, None])) / (count - 1)
    # where all differences are equal and not zero, nothing is left to chance
    t = jnp.where(average == 0, 0, average / jnp.sqrt(variance))
    p = _two_sided(t, count - 1)
    p = jnp.where(stayed, p, 0)
    p = jnp.where(sound, p, jnp.nan)
    overall = jnp.minimum(len(p) * jnp.min(p), 1)
    overall = jnp.where(jnp.all(sound), overall, jnp.nan)
    t = jnp.where(sound & stayed, t, jnp.nan)
    return Invariance(overall, p, t, mean((after != before).astype(before.dtype)))


def _two_sided(t, degrees):
    """The p-value of Student's law, to 1e-2 of itself, by the normal score of Wallace (1959), eq. 3.3."""
    shrink = (8 * degrees + 1) / (8 * degrees + 3)
    square = degrees * jnp.log1p(jnp.square(t) / degrees)
    return jax.scipy.special.erfc(shrink * jnp.sqrt(square / 2))
