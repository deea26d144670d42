"""Every energy, minimizer, sampler, learner and compiled entry point, with an example of each: what contracts walk.

A new one is one line here; `test_contracts.py` fails where a public module of the library has none.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

import ebmjax
from ebmjax import (
    circle,
    diagnostics,
    free_energy,
    interval,
    log_partition,
    posterior,
    problems,
    product,
    refine,
    spin_cube,
)
from ebmjax.energies import boltzmann, composition, deep_boltzmann, ellipse, hopfield, horn, ising, modern_hopfield
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.inference.marginalize.free_energy import marginal
from ebmjax.inference.marginalize.mean_field import mean_field
from ebmjax.inference.minimize import evolution, gradient
from ebmjax.inference.sample import annealing, gibbs, metropolis, multispin, tempering
from ebmjax.inference.sample import restricted_boltzmann as rbm_sampler
from ebmjax.inference.sample.checkerboard import checkerboard
from ebmjax.inference.sample.dense import dense
from ebmjax.learning import phases
from ebmjax.learning.centering import centering
from ebmjax.learning.contrastive import contrastive
from ebmjax.learning.gradient import stochastic_gradient
from ebmjax.learning.train import train
from ebmjax.loops import repeat
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.likelihood import conditional_negative_log_likelihood, negative_log_likelihood
from ebmjax.losses.margin import hinge_loss, log_loss
from ebmjax.losses.pseudo_likelihood import pseudo_likelihood


class EnergyExample(NamedTuple):
    """`make(key) -> (params, energy of params and the unknown, an unknown)`."""

    module: str
    make: Callable[[jax.Array], tuple[Any, Callable[[Any, Any], jax.Array], Any]]


class LearnerExample(NamedTuple):
    """A learner, initial parameters for a key, and data."""

    learner: Any
    init: Callable[[jax.Array], Any]
    data: Any


Y, X, Z = jnp.array([1.2, -0.7]), jnp.array(0.3), jnp.array(0.8)
SPINS = jnp.array([[1.0, -1.0, 1.0, 1.0, -1.0], [1.0, 1.0, -1.0, 1.0, 1.0]])
PLACED = ellipse.PlacedParams(jnp.array([2.0, 1.5]), jnp.array([0.3, -1.0]), jnp.array(0.4))


def _horn(key):
    return horn.init(key), lambda params, z: horn.energy(params, X, Y, z), Z


def _generalized(latent):
    def make(key):
        params = horn.init_generalized(key, latent=latent)
        return params, lambda params, z: horn.generalized_energy(params, X, Y, z), jnp.linspace(-1, 1, latent)

    return make


def _regularized(regularizer):
    def make(key):
        params, energy, z = _generalized(2)(key)
        held = lambda params, z: composition.regularized(partial(energy, params), regularizer, 0.3)(z)
        return params, held, z

    return make


def _deep_boltzmann(key):
    params = deep_boltzmann.init(key, jnp.full(3, 0.3), (4, 2), scale=1.0)
    energy = lambda params, units: deep_boltzmann.energy(params, tuple(jnp.split(units, (3, 7))))
    return params, energy, jnp.arange(9.0) % 2


def _restricted_boltzmann(key):
    params = rbm.init(key, jnp.full(3, 0.3), 2, scale=1.0)
    return params, lambda params, units: rbm.energy(params, units[:3], units[3:]), jnp.arange(5.0) % 2


def _gaussian_rbm(key):
    params = gaussian_rbm.init(key, jnp.arange(3.0), jnp.full(3, 0.5), 2, scale=1.0)
    return params, lambda params, units: gaussian_rbm.energy(params, units[:3], units[3:]), jnp.arange(5.0) % 2


def _labels_rbm(key):
    params = rbm.init(key, jnp.full(5, 0.3), 2, scale=1.0)
    energy = lambda params, hidden: labels_rbm.energy(params, jnp.array([1.0, 0.0]), 1, hidden, classes=3)
    return params, energy, jnp.array([1.0, 0.0])


def _noisy(key):
    params, energy, z = _generalized(2)(key)
    noise = 0.1 * jax.random.normal(key, (5, 2))
    return params, lambda params, z: composition.noisy(partial(energy, params), noise)(z), z


ENERGIES = {
    "ellipse": EnergyExample(
        "ellipse", lambda key: (ellipse.init(key), lambda params, z: ellipse.energy(params, Y, z), Z)
    ),
    "ellipse, placed": EnergyExample(
        "ellipse", lambda key: (PLACED, lambda params, z: ellipse.placed_energy(params, Y, z), Z)
    ),
    "horn": EnergyExample("horn", _horn),
    "horn, generalized": EnergyExample("horn", _generalized(1)),
    "horn, four latents": EnergyExample("horn", _generalized(4)),
    "squared norm": EnergyExample("composition", _regularized(composition.squared_norm)),
    "l1 norm": EnergyExample("composition", _regularized(composition.l1_norm)),
    "noise": EnergyExample("composition", _noisy),
    "hopfield": EnergyExample("hopfield", lambda key: (hopfield.storkey(SPINS), hopfield.energy, SPINS[1])),
    "ising": EnergyExample(
        "ising",
        lambda key: (ising.Params(jax.random.normal(key, (1, 5)), jnp.full(5, 0.2)), ising.energy, SPINS[0]),
    ),
    "boltzmann": EnergyExample("boltzmann", lambda key: (boltzmann.init(key, 5), boltzmann.energy, SPINS[0])),
    "deep boltzmann": EnergyExample("deep_boltzmann", _deep_boltzmann),
    "restricted boltzmann": EnergyExample("restricted_boltzmann", _restricted_boltzmann),
    "restricted boltzmann, gaussian": EnergyExample("restricted_boltzmann_gaussian", _gaussian_rbm),
    "restricted boltzmann, labels": EnergyExample("restricted_boltzmann_labels", _labels_rbm),
    "modern hopfield": EnergyExample("modern_hopfield", lambda key: (SPINS[0], modern_hopfield.energy, SPINS[1])),
}

# Every minimizer as `energy, start -> Solution`, for a scalar start.
MINIMIZERS = {
    "gradient_descent": lambda energy, start: gradient.gradient_descent(energy, start, optax.adam(0.05), 200),
    "newton": gradient.newton,
    "multi_start": lambda energy, start: gradient.multi_start(
        partial(gradient.newton, energy), start + jnp.linspace(0, 1, 3, dtype=start.dtype)
    ),
    "grid_search": lambda energy, start: gradient.grid_search(energy, _ring_through(start)),
    "refined_search": lambda energy, start: gradient.refined_search(energy, _ring_through(start)),
}


def _ring_through(start):
    space = circle(48)
    return space._replace(points=space.points + start)


def _ellipse_free_energy(beta):
    return lambda params, y: free_energy(partial(ellipse.energy, params, y), circle(24), beta)


def _horn_free_energy(beta):
    return lambda params, sample: free_energy(partial(horn.energy, params, *sample), circle(24), beta)


LEARNERS = {
    "gradient, ellipse": LearnerExample(
        ebmjax.gradient(energy_loss(_ellipse_free_energy(2.0)), optax.adam(1e-2)),
        ellipse.init,
        problems.ellipse_data(jax.random.key(0)),
    ),
    "gradient, horn": LearnerExample(
        ebmjax.gradient(energy_loss(_horn_free_energy(jnp.inf)), optax.adam(1e-2)),
        horn.init,
        tuple(problems.horn_data(jax.random.key(0), 24)),
    ),
    "stochastic gradient": LearnerExample(
        stochastic_gradient(
            lambda key, params, y: energy_loss(_ellipse_free_energy(2.0))(
                params, y + 0.01 * jax.random.normal(key, y.shape)
            ),
            optax.sgd(1e-2),
        ),
        ellipse.init,
        problems.ellipse_data(jax.random.key(0)),
    ),
}

_params = ellipse.Params(jnp.array([2.0, 1.5]))
_data = problems.ellipse_data(jax.random.key(0))
_plane = product(interval(-3.0, 3.0, 13), interval(-2.0, 2.0, 9))
_of_pair = lambda params, pair: _ellipse_free_energy(1.0)(params, jnp.stack(pair))


_machine = hopfield.hebbian(SPINS)
_spin_energy = partial(hopfield.energy, _machine)
_rbm = rbm.init(jax.random.key(0), jnp.full(6, 0.3), 4, scale=0.5)
_lattice = ising.Params(jnp.array(1.0), jnp.array(0.0))


def _steps(kernel, position):
    return lambda key: repeat(kernel.step, key, kernel.init(position), 2)[0].position


def _contrastive(key):
    """One update of a restricted Boltzmann machine by persistent chains."""
    kernel = lambda params: rbm_sampler.binary(params, 0.7)
    start = lambda key: (jnp.zeros(6), jnp.zeros(4))
    negative = phases.viewed(phases.persistent(kernel, start, 3, 1), lambda params, position: position[0])
    free = lambda params, visible: rbm.free_energy(params, visible, 0.7)
    learner = contrastive(free, phases.observed(), negative, optax.sgd(0.1), centering(jnp.full(6, 0.3)))
    return learner.update(key, learner.init(key, _rbm), jnp.ones((5, 6)))


def _train_some(key):
    example = LEARNERS["gradient, horn"]
    return train(example.learner, key, example.init(key), example.data, 8, 2).params


# Name, function and arguments of everything that users compile: lowered for every platform.
ENTRY_POINTS = {
    "softmin": (ebmjax.softmin, (jnp.arange(5.0), jnp.array(1.0), jnp.zeros(5))),
    "softargmax": (ebmjax.softargmax, (jnp.arange(5.0), jnp.array(1.0))),
    "softmin, slopes": (jax.grad(jax.grad(ebmjax.softmin, 1), 1), (jnp.arange(5.0), jnp.array(1.0))),
    "free_energy": (lambda y, beta: _ellipse_free_energy(beta)(_params, y), (Y, jnp.array(1.0))),
    "posterior": (lambda beta: posterior(lambda s: s.sum(), spin_cube(4), beta), (jnp.array(0.7),)),
    "log_partition": (lambda beta: log_partition(lambda s: s.sum(), spin_cube(4), beta), (jnp.array(0.7),)),
    "marginal": (lambda y, beta: marginal(partial(ellipse.energy, _params, y), circle(24), beta), (Y, jnp.array(1.0))),
    "refine": (lambda y, beta: refine(partial(ellipse.energy, _params, y), circle(24), beta), (Y, jnp.array(1.0))),
    "gradient_descent": (
        lambda z: gradient.gradient_descent(partial(ellipse.energy, _params, Y), z, optax.adam(0.1)),
        (Z,),
    ),
    "newton": (lambda z: gradient.newton(partial(ellipse.energy, _params, Y), z), (Z,)),
    "newton, vector": (lambda z: gradient.newton(lambda z: jnp.sum((z - 1) ** 4), z), (jnp.zeros(3),)),
    "refined_search": (lambda y: gradient.refined_search(partial(ellipse.energy, _params, y), circle(24)), (Y,)),
    "hinge_loss": (hinge_loss(_ellipse_free_energy(1.0), 0.5), (_params, (_data, 0.5 * _data))),
    "log_loss": (log_loss(_ellipse_free_energy(1.0)), (_params, (_data, 0.5 * _data))),
    "negative_log_likelihood": (
        negative_log_likelihood(_of_pair, _plane, 1.0),
        (_params, (_data[:, 0], _data[:, 1])),
    ),
    "conditional_negative_log_likelihood": (
        conditional_negative_log_likelihood(lambda scale, x, y: (y - scale * x) ** 2, interval(-2.0, 2.0, 9), 1.0),
        (jnp.array(1.0), (jnp.ones(3), jnp.ones(3))),
    ),
    "train": (_train_some, (jax.random.key(0),)),
    "evolution": (lambda spins: evolution.asynchronous(_machine, spins, jnp.arange(5)), (SPINS[0],)),
    "retrieve": (lambda state, beta: modern_hopfield.retrieve(SPINS, state, beta), (SPINS[0], jnp.array(2.0))),
    "systematic": (_steps(gibbs.systematic(_spin_energy, 0.7), SPINS[0]), (jax.random.key(0),)),
    "metropolis": (
        _steps(metropolis.metropolis(_spin_energy, 0.7, metropolis.flip_one), SPINS[0]),
        (jax.random.key(0),),
    ),
    "random walk": (
        _steps(metropolis.metropolis(lambda x: jnp.sum(x**2), 0.7, metropolis.gaussian_step(0.5)), jnp.zeros(3)),
        (jax.random.key(0),),
    ),
    "dense": (_steps(dense(_machine, 0.7), jnp.ones((5, 3))), (jax.random.key(0),)),
    "checkerboard": (
        _steps(checkerboard(_lattice, 0.7, (4, 4)), ising.split(jnp.ones((4, 4)))),
        (jax.random.key(0),),
    ),
    "multispin": (
        _steps(multispin.chains(1.0, 0.4), multispin.pack_chains(jnp.ones((32, 4, 4)))),
        (jax.random.key(0),),
    ),
    "tempering": (
        _steps(
            tempering.tempering(_spin_energy, lambda beta: gibbs.systematic(_spin_energy, beta), jnp.array([0.1, 1.0])),
            SPINS,
        ),
        (jax.random.key(0),),
    ),
    "annealing": (
        lambda key: annealing.annealing(
            lambda beta: gibbs.systematic(_spin_energy, beta),
            annealing.geometric_schedule(2.0, 0.9, 5),
            key,
            SPINS[0],
            1,
        ),
        (jax.random.key(0),),
    ),
    "mean_field": (
        lambda visible: mean_field(
            lambda hidden: rbm.energy(_rbm, visible, hidden[0]), (jnp.full(4, 0.5),), 0.7, ((0,),)
        ),
        (jnp.ones(6),),
    ),
    "contrastive": (_contrastive, (jax.random.key(0),)),
    "pseudo_likelihood": (
        lambda params: pseudo_likelihood(hopfield.energy, 0.7)(params, SPINS),
        (_machine,),
    ),
    "effective_sample_size": (diagnostics.effective_sample_size, (jnp.ones((2, 8)),)),
    "hashed": (lambda key: ebmjax.random_bits.hashed(key, (8,)), (jax.random.key(0),)),
    "bits": (lambda key: ebmjax.random_bits.bits(key, (8,)), (jax.random.key(0),)),
    "normal, unrolled": (lambda key: jax.random.normal(ebmjax.random_bits.unrolled(key), (8,)), (jax.random.key(0),)),
}
