"""Learning of Boltzmann machines with visible, hidden and label units: their two phases, and their exact free energy.

    ∇ mean -log p(seen) / beta = <∇E>_clamped - <∇E>_free

A sample holds the observed spins, the visible units and then the label units, in one array: "seen" below. `whole_state`
puts the hidden units in their places beside it. Learning by samples contrasts two phases,

    optimizer = symmetric_updates(optax.adam(1e-2))
    contrastive(boltzmann.energy, clamped(units, beta, 5), free_running(units, beta, 100, 1), optimizer)

Exact learning of a machine that can be enumerated descends

    negative_log_likelihood(observed_free_energy(units, beta), spin_cube(visible + label), beta)

Ackley, Hinton, Sejnowski (1985), "A learning algorithm for Boltzmann machines".
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Key

from ebmjax.checks import as_beta, as_float, as_floats, check_count, check_record
from ebmjax.energies import hopfield
from ebmjax.energies.boltzmann import Units, check_partition, energy, join
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.phases import Phase, persistent
from ebmjax.marginalize.free_energy import free_energy
from ebmjax.marginalize.spaces import spin_cube
from ebmjax.sample.special.single_site import sweep
from ebmjax.types import Beta, Kernel, ModelEnergy


def whole_state(units: Units, seen: Any, hidden: Any) -> Float[Array, " units"]:
    """The machine's state, from the observed spins and the hidden units.

    Args:
        units: which spins are visible, hidden and label units.
        seen: the visible units, then the label units, one array.
        hidden: the hidden units, one array.

    Raises:
        ValueError: a number of seen or hidden units other than that of `units`.

    >>> units = Units(np.array([0, 3]), np.array([1]), np.array([2]))
    >>> whole_state(units, jnp.array([1.0, 2.0, 3.0]), jnp.array([9.0])).tolist()
    [1.0, 9.0, 3.0, 2.0]
    """
    check_record("units", units, Units)
    visible = len(units.visible)
    seen = as_float("seen", seen, (visible + len(units.label),))
    hidden = as_float("hidden", hidden, (len(units.hidden),)).astype(seen.dtype)
    return join(units, seen[:visible], hidden, seen[visible:])


def observed_free_energy(units: Units, beta: Beta) -> ModelEnergy:
    """`free(params, seen)`: the exact free energy of the observed spins, by enumeration of up to 24 hidden units.

        F_beta(seen) = -1/beta log 2^-hidden Σ_hidden exp(-beta E(seen, hidden))

    For `negative_log_likelihood`, `posterior` and, with the label clamped, `conditional_negative_log_likelihood`.

    Args:
        units: which spins are visible, hidden and label units.
        beta: inverse temperature in [0, inf].

    Raises:
        ValueError: a bad beta; when called, units that are not those of the machine, more than 24 hidden ones.

    >>> units = Units(np.array([0]), np.array([1]), np.array([], int))
    >>> pair = hopfield.Params(jnp.array([[0.0, 2.0], [2.0, 0.0]]), jnp.zeros(2))
    >>> [float(observed_free_energy(units, beta)(pair, jnp.array([1.0]))) for beta in (0.0, jnp.inf)]
    [0.0, -2.0]
    """
    check_record("units", units, Units)
    beta = as_beta(beta)

    def free(params: hopfield.Params, seen: Any) -> Any:
        check_partition(params, units)
        seen = as_float("seen", seen, (len(units.visible) + len(units.label),))
        if len(units.hidden) == 0:
            return energy(params, whole_state(units, seen, jnp.zeros(0, seen.dtype)))
        return free_energy(
            lambda hidden: energy(params, whole_state(units, seen, hidden)), spin_cube(len(units.hidden)), beta
        )

    return free


def clamped(units: Units, beta: Beta, sweeps: int) -> Phase:
    """The positive phase: the observed spins are clamped to the sample, the hidden units drawn from a random start.

    Without hidden units there is nothing to draw, and the positions are the samples.

    Args:
        units: which spins are visible, hidden and label units.
        beta: inverse temperature in [0, inf].
        sweeps: over the hidden units, at least 1.

    Raises:
        ValueError: a bad beta, sweeps below 1; when it samples, units that are not those of the machine.

    >>> units = Units(np.array([0]), np.array([1]), np.array([], int))
    >>> pair = hopfield.Params(jnp.array([[0.0, 2.0], [2.0, 0.0]]), jnp.zeros(2))
    >>> clamped(units, jnp.inf, 1).sample(jax.random.key(0), pair, None, jnp.array([[1.0], [-1.0]]))[0].tolist()
    [[1.0, 1.0], [-1.0, -1.0]]
    """
    phase = _from_seen(units, beta, sweeps, units.hidden)
    if len(units.hidden):
        return phase

    def sample(key: Key[Array, ""], params: Any, memory: None, batch: Any) -> tuple[Any, None]:
        return jax.vmap(lambda seen: whole_state(units, seen, jnp.zeros(0)))(as_floats("batch", batch)), memory

    return phase._replace(sample=sample)


def free_running(units: Units, beta: Beta, chains: int, sweeps: int) -> Phase:
    """The negative phase: persistent chains of the whole machine, from a random start.

    Args:
        units: which spins are visible, hidden and label units.
        beta: inverse temperature in [0, inf].
        chains: how many, at least 1.
        sweeps: over all units, an update, at least 1.

    Raises:
        ValueError: a bad beta, chains or sweeps below 1; when it samples, units that are not those of the machine.

    >>> phase = free_running(Units(np.arange(2), np.array([2]), np.array([], int)), 1.0, chains=5, sweeps=1)
    >>> phase.init(jax.random.key(0), hopfield.Params(jnp.zeros((3, 3)), jnp.zeros(3))).position.shape
    (5, 3)
    """
    check_record("units", units, Units)
    beta = as_beta(beta)
    check_count("sweeps", sweeps)
    count = sum(len(part) for part in units)
    return persistent(_kernel(units, beta, np.arange(count)), lambda key: _spins(key, count), chains, sweeps)


def contrastive_divergence(units: Units, beta: Beta, sweeps: int) -> Phase:
    """The negative phase of contrastive divergence, CD-k for k = `sweeps`: short runs from the data, and so biased.

    A sweep draws the hidden units first, given the sample, and then the visible units given these hidden units.
    Arguments and errors as in `clamped`; here a sweep is over all units.

    >>> units = Units(np.array([0]), np.array([1]), np.array([], int))
    >>> pair = hopfield.Params(jnp.array([[0.0, 2.0], [2.0, 0.0]]), jnp.zeros(2))
    >>> phase = contrastive_divergence(units, jnp.inf, 1)
    >>> phase.sample(jax.random.key(0), pair, None, jnp.array([[1.0], [-1.0]]))[0].tolist()
    [[1.0, 1.0], [-1.0, -1.0]]
    """
    return _from_seen(units, beta, sweeps, np.concatenate([units.hidden, units.visible, units.label]))


def symmetric_updates(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """An optimizer of `hopfield.Params` that keeps the weights symmetric with zero diagonal, bit for bit.

    The gradient has this form already, up to rounding. But an optimizer that divides by the size of the gradient, such
    as Adam, would turn a rounding error on the diagonal into whole steps.

    Args:
        optimizer: any optax gradient transformation that treats all entries alike.

    >>> optimizer = symmetric_updates(optax.sgd(1.0))
    >>> params = hopfield.Params(jnp.zeros((2, 2)), jnp.zeros(2))
    >>> slope = hopfield.Params(jnp.array([[1e-9, 1.0], [3.0, 0.0]]), jnp.ones(2))
    >>> optimizer.update(slope, optimizer.init(params))[0].weights.tolist()
    [[-0.0, -2.0], [-2.0, -0.0]]
    """

    def project(slope: Any, params: Any = None) -> hopfield.Params:
        return hopfield.symmetrized(slope)

    return optax.chain(optax.stateless(project), optimizer)


def _from_seen(units: Units, beta: Beta, sweeps: int, sites: np.ndarray) -> Phase:
    """Runs from every sample that draw the units at `sites` alone."""
    check_record("units", units, Units)
    beta = as_beta(beta)
    check_count("sweeps", sweeps)

    def start(key: Key[Array, ""], seen: Any) -> Float[Array, " units"]:
        return whole_state(units, seen, _spins(key, len(units.hidden)))

    return phases.contrastive_divergence(_kernel(units, beta, sites), start, sweeps)


def _kernel(units, beta, sites):
    def make(params: hopfield.Params) -> Kernel:
        check_partition(params, units)
        return sweep(params, beta, sites)

    return make


def _spins(key, count):
    return jax.random.rademacher(key, (count,), jnp.result_type(float))
