"""Likelihoods log p(y) of decoders, such as that of a variational autoencoder, by annealing the code of every y.

    p(y) = ∫ exp(-E(y, z)) dz,    E(y, z) = -log p(y|z) - log p(z)

The code z is annealed from a normal law to its posterior by Hamiltonian Monte Carlo. This law may be the prior, as
published, or the encoder's q(z|y), from which the path is much shorter. Importance sampling from q(z|y)
(`ebmjax.marginalize.importance_sampling`) is cheaper, and too low where q is a bad fit.

    log_likelihoods   log p(y), too low in the mean
    sandwiched        a bound on each side, for data that were simulated from the model with codes that are known

Wu, Burda, Salakhutdinov, Grosse (2017), "On the quantitative analysis of decoder-based generative models"; Grosse,
Ghahramani & Adams (2015), section 3.
"""

from typing import Annotated, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from ebmjax.checks import (
    ArgumentError,
    as_float,
    as_floats,
    check_callable,
    check_count,
    check_key,
    check_record,
    leading_axis,
)
from ebmjax.compiled import compiled
from ebmjax.gaussian import Gaussian
from ebmjax.likelihoods import continuous, paths
from ebmjax.loops import map_chunks
from ebmjax.types import Estimate, Numbers


@runtime_checkable
class CodeEnergy(Protocol):
    """E(y, z) = -log p(y|z) - log p(z) in nats, such as `ebmjax.energies.variational_autoencoder.energy` of a model."""

    def __call__(self, y: Any, z: Any, /) -> Any:
        """The energy of one example and one code, a scalar."""
        ...


def log_likelihoods(
    key: Key[Array, ""],
    energy: CodeEnergy,
    data: PyTree[Any],
    bases: Gaussian,
    schedule: Annotated[Numbers, "laws"],
    chains: int,
    step_sizes: Annotated[Numbers, "2"],
    steps: int,
    chunk: int = 10,
) -> Estimate:
    """log p(y) of every example from chains that go from `bases` to the posteriors: too low in the mean.

    Args:
        key: typed random key.
        energy: `energy(y, z)` in nats; `functools.partial` sets the parameters.
        data: y, with the leading axis samples.
        bases: for each example the law of the code at t = 0, of means and log-variances (samples, latent): those of an
            encoder, `jax.vmap(encode)(data)`, or zeros for a standard normal prior.
        schedule: t of each law on the way, rising from 0 to 1.
        chains: how many for each example, at least 2.
        step_sizes, steps: of Hamiltonian Monte Carlo, in units of the deviations of `bases`, as in `continuous.path`.
        chunk: how many examples are annealed together, at least 1.

    Returns:
        `Estimate` with the axis samples.

    Raises:
        ValueError: as in `continuous.path` and `paths.forward`; bases of another number than data, a chunk below 1.

    Wu et al. (2017), section 4.

    >>> energy = lambda y, z: jnp.sum((y - z) ** 2 + z**2) / 2 + jnp.log(2 * jnp.pi)  # p(y) = N(0, 2)
    >>> prior, way = Gaussian(jnp.zeros((3, 1)), jnp.zeros((3, 1))), jnp.linspace(0, 1, 20)
    >>> found = log_likelihoods(jax.random.key(0), energy, jnp.zeros((3, 1)), prior, way, 20, [0.5, 0.5], 3)
    >>> bool(jnp.all(jnp.abs(found.log_partition + jnp.log(4 * jnp.pi) / 2) < 0.1))
    True
    """
    arguments = _checked(key, energy, data, bases, schedule, chains, step_sizes, steps, chunk)
    return _forward(*arguments, chains, steps, chunk)


def sandwiched(
    key: Key[Array, ""],
    energy: CodeEnergy,
    data: PyTree[Any],
    codes: Annotated[Numbers, "samples latent"],
    bases: Gaussian,
    schedule: Annotated[Numbers, "laws"],
    chains: int,
    step_sizes: Annotated[Numbers, "2"],
    steps: int,
    chunk: int = 10,
) -> Estimate:
    """log p(y) of simulated examples between bounds, from chains that go to the posteriors and come back from them.

    The code from which an example was simulated is one exact draw of its posterior. All chains that come back begin
    there. So the upper bound holds in the mean over examples; that of one example varies more than its error says.

    Args:
        codes: z from which each y was drawn: z from the prior, then y from p(y|z).
        key, energy, data, bases, schedule, chains, step_sizes, steps, chunk: as in `log_likelihoods`, with its errors.

    Returns:
        `Estimate` with the axis samples.

    Raises:
        ValueError: codes of another shape than the means of `bases`.

    Wu et al. (2017), section 4.1; Grosse, Ghahramani & Adams (2015), section 3.

    >>> energy = lambda y, z: jnp.sum((y - z) ** 2 + z**2) / 2 + jnp.log(2 * jnp.pi)
    >>> prior, way = Gaussian(jnp.zeros((1, 1)), jnp.zeros((1, 1))), jnp.linspace(0, 1, 20)
    >>> y, z = jnp.ones((1, 1)), jnp.full((1, 1), 0.3)
    >>> found = sandwiched(jax.random.key(0), energy, y, z, prior, way, 20, [0.5, 0.5], 3)
    >>> bool(abs(found.log_partition[0] + jnp.log(4 * jnp.pi) / 2 + 0.25) < 0.1)
    True
    """
    arguments = _checked(key, energy, data, bases, schedule, chains, step_sizes, steps, chunk)
    codes = as_float("codes", codes, arguments[3].mean.shape)
    return _sandwiched(*arguments, codes, chains, steps, chunk)


@compiled
def _forward(key, energy, data, bases, schedule, step_sizes, chains, steps, chunk):
    def one(example):
        key, y, base = example
        path = continuous.path(lambda z: energy(y, z), 1.0, base, step_sizes, steps)
        return paths.forward(key, path, schedule, chains)

    return map_chunks(one, (jax.random.split(key, len(bases.mean)), data, bases), chunk)


@compiled
def _sandwiched(key, energy, data, bases, schedule, step_sizes, codes, chains, steps, chunk):
    def one(example):
        key, y, base, code = example
        path = continuous.path(lambda z: energy(y, z), 1.0, base, step_sizes, steps)
        start = continuous.position(base, code)
        return paths.sandwiched(key, path, schedule, jnp.broadcast_to(start, (chains, *start.shape)))

    return map_chunks(one, (jax.random.split(key, len(bases.mean)), data, bases, codes), chunk)


def _checked(key, energy, data, bases, schedule, chains, step_sizes, steps, chunk):
    check_key("key", key)
    check_callable("energy", energy)
    check_record("bases", bases, Gaussian)
    check_count("chains", chains)
    check_count("steps", steps)
    check_count("chunk", chunk)
    data, mean = as_floats("data", data), as_float("bases.mean", bases.mean, (None, None))
    bases = Gaussian(mean, as_float("bases.log_variance", bases.log_variance, mean.shape))
    samples = leading_axis("data", data)
    if len(mean) != samples:
        raise ArgumentError(f"bases: got {len(mean)} laws, wanted {samples}, one an example")
    return key, energy, data, bases, paths.as_schedule(schedule), continuous.as_step_sizes(step_sizes)
