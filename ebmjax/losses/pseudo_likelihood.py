"""Pseudo-likelihood: how well each unit is predicted from all the others, without a partition function.

    -Σ_i log P(s_i | rest) = Σ_i softplus(-beta (E(s with unit i flipped) - E(s)))

For units of two values. It is the likelihood where units are independent. Where the data follow a law that the model
can express, its minimum is at the same parameters as that of the likelihood. Its gradient is exact and needs no
samples.

`pseudo_likelihood` flips every unit and holds for any energy or free energy: N + 1 energies a sample. Where the energy
is linear in each unit, as those of Boltzmann machines are, `multilinear_pseudo_likelihood` gets the same value from one
gradient, which costs N times less.

Besag (1975), "Statistical analysis of non-lattice data".
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ebmjax.checks import as_float, as_number, as_scalar, check_callable, check_finite_beta, check_units
from ebmjax.losses.functional import Loss, mean_over_samples
from ebmjax.sample import gibbs
from ebmjax.temperature import reduced
from ebmjax.types import SPINS, Alphabet, Beta, ModelEnergy


def pseudo_likelihood(energy: ModelEnergy, beta: Beta, alphabet: Alphabet = SPINS) -> Loss:
    """Mean negative pseudo-log-likelihood, in nats a sample.

    Args:
        energy: `energy(params, units) -> scalar` of one array of binary units of any shape, in units of energy. It may
            be a free energy of visible units, such as that of a restricted Boltzmann machine at the same beta.
        beta: inverse temperature in [0, inf); at 0 every unit is a fair coin and the loss is N log 2.
        alphabet: the two values of a unit.

    Returns:
        `loss(params, batch)` for a batch of shape (samples, *units).

    Raises:
        ValueError: a bad beta, or a static inf, at which a unit that could lower the energy has probability zero;
            static units outside the alphabet when the loss is called.

    Besag (1975), eq. 3.

    >>> loss = pseudo_likelihood(lambda w, s: -w * s[0] * s[1], 0.5)
    >>> float(jnp.exp(-loss(0.0, jnp.array([[1.0, 1.0]]))))  # two fair coins
    0.25
    """
    check_callable("energy", energy)

    def changes(params: Any, units: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        here, flat = as_scalar("energy", energy(params, units)), units.ravel()

        def of_flipping(site):
            flipped = flat.at[site].set(alphabet.low + alphabet.high - flat[site])
            return as_scalar("energy", energy(params, flipped.reshape(units.shape))) - here

        return jax.vmap(of_flipping)(jnp.arange(flat.size)).reshape(units.shape)

    return _loss(changes, beta, alphabet)


def multilinear_pseudo_likelihood(energy: ModelEnergy, beta: Beta, alphabet: Alphabet = SPINS) -> Loss:
    """`pseudo_likelihood` of an energy that is linear in each unit when the others are fixed, from one gradient.

    Arguments and errors as in `pseudo_likelihood`. The couplings of a Boltzmann machine must have a zero diagonal and
    keep it (`ebmjax.learn.contrast.boltzmann_phases.symmetric_updates`): the energy is not linear in s_i².

    >>> energy = lambda w, s: -w * s[0] * s[1]
    >>> data = jnp.array([[1.0, 1.0], [1.0, -1.0]])
    >>> [round(float(loss(energy, 0.5)(2.0, data)), 4) for loss in (pseudo_likelihood, multilinear_pseudo_likelihood)]
    [2.2539, 2.2539]
    """
    check_callable("energy", energy)

    def changes(params: Any, units: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        gaps = gibbs.gaps(lambda units: energy(params, units), units, alphabet)
        return jnp.where(units == alphabet.high, gaps, -gaps)

    return _loss(changes, beta, alphabet)


def _loss(changes: Callable[[Any, Any], Array], beta: Beta, alphabet: Alphabet) -> Loss:
    """The loss, from `changes(params, units)`: by how much flipping each unit raises the energy."""
    check_finite_beta(beta)
    beta = as_number("beta", beta)
    per_sample = lambda params, units: jax.nn.softplus(-reduced(changes(params, units), beta)).sum()
    mean = mean_over_samples(per_sample)

    def loss(params: Any, batch: Any) -> Float[Array, ""]:
        check_units("batch", batch, alphabet)
        return mean(params, as_float("batch", batch))

    return loss
