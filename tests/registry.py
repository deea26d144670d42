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
from ebmjax.energies import (
    boltzmann,
    composition,
    deep_boltzmann,
    ellipse,
    hopfield,
    horn,
    ising,
    modern_hopfield,
    regularizers,
    sparse_coding,
)
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.inference.marginalize.free_energy import marginal
from ebmjax.inference.marginalize.mean_field import mean_field
from ebmjax.inference.minimize import (
    analytic,
    convolutional,
    coordinate,
    evolution,
    gradient,
    hyperlista,
    learned,
    predictive,
    proximal,
)
from ebmjax.inference.minimize.admm import admm
from ebmjax.inference.minimize.implicit import implicit
from ebmjax.inference.sample import annealing, gibbs, metropolis, multispin, tempering
from ebmjax.inference.sample import restricted_boltzmann as rbm_sampler
from ebmjax.inference.sample.checkerboard import checkerboard
from ebmjax.inference.sample.dense import dense
from ebmjax.learning import convolutional_dictionary, dictionary, phases
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
    """A learner, initial parameters for a key, data, and which of its metrics it lowers."""

    learner: Any
    init: Callable[[jax.Array], Any]
    data: Any
    lowered: str = "loss"


Y, X, Z = jnp.array([1.2, -0.7]), jnp.array(0.3), jnp.array(0.8)
SPARSE_CODE = jnp.array([0.8, 0.3, 0.5, 0.2])
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


def _convolutional(reconstruction):
    def make(key):
        params = coding.init(key, 2, (3, 3, 3))
        y = jax.random.normal(jax.random.key(1), (5, 6, 3))
        energy = lambda params, z: coding.energy(params, regularizers.l1(0.3), y, z, reconstruction)
        return params, energy, coding.analysis(params, y, reconstruction)

    return make


def _noisy(key):
    params, energy, z = _generalized(2)(key)
    noise = 0.1 * jax.random.normal(key, (5, 2))
    return params, lambda params, z: composition.noisy(partial(energy, params), noise)(z), z


def _sparse(regularizer):
    """A sparse code's energy; a positive code, so that it is finite for non-negative coding too."""

    def make(key):
        params = sparse_coding.init(key, 3, 4)
        return params, lambda params, z: sparse_coding.energy(params, regularizer, jnp.arange(3.0), z), SPARSE_CODE

    return make


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
    "sparse coding": EnergyExample("sparse_coding", _sparse(regularizers.l1(0.3))),
    "sparse coding, elastic net": EnergyExample("sparse_coding", _sparse(regularizers.elastic_net(0.3, 0.2))),
    "sparse coding, non-negative": EnergyExample("sparse_coding", _sparse(regularizers.non_negative(0.3))),
    "sparse coding, groups": EnergyExample("sparse_coding", _sparse(regularizers.group(0.3, 2))),
    "elastic net alone": EnergyExample(
        "regularizers",
        lambda key: ((X, Z), lambda weights, z: regularizers.elastic_net(*weights).value(z), SPARSE_CODE),
    ),
    "convolutional, periodic": EnergyExample("convolutional_sparse_coding", _convolutional(coding.periodic)),
    "convolutional, valid": EnergyExample("convolutional_sparse_coding", _convolutional(coding.valid)),
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


def _dictionary_learner(learner):
    data = jax.random.normal(jax.random.key(0), (24, 6))
    return LearnerExample(learner, lambda key: sparse_coding.init(key, 6, 9), data, "energy")


_encode = lambda params, batch: coordinate.encode(params, regularizers.l1(0.1), batch)

LEARNERS = {
    "dictionary, online": _dictionary_learner(dictionary.online(_encode)),
    "dictionary, descent": _dictionary_learner(dictionary.descent(_encode, optax.sgd(0.1))),
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
_dictionary = sparse_coding.init(jax.random.key(0), 3, 4)
_misfit = partial(sparse_coding.misfit, _dictionary, jnp.arange(3.0))
_implicit_code = implicit(
    partial(sparse_coding.misfit, _dictionary),
    lambda y: regularizers.l1(0.1),
    lambda y: admm(_dictionary, regularizers.l1(0.1), y).value,
)
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


_kernels = coding.init(jax.random.key(0), 2, (3, 3, 3))


def _convolutional_update(key):
    """One update of kernels and encoder."""
    learner = convolutional_dictionary.predictive(convolutional.admm, regularizers.l1(0.1), 1.0, optax.sgd(0.1))
    return learner.update(key, learner.init(key, convolutional_dictionary.init_coder(_kernels)), jnp.ones((2, 6, 7, 3)))


def _train_some(key):
    example = LEARNERS["gradient, horn"]
    return train(example.learner, key, example.init(key), example.data, 8, 2).params


_lista = learned.init_lista(_dictionary, 0.3)
_numbers = analytic.Alista(jnp.array(1.0), jnp.array(0.1))
_prepared = hyperlista.prepare(_dictionary)
_encoder = predictive.init(jax.random.key(0), _dictionary)

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
    "convolutional admm": (lambda y: convolutional.admm(_kernels, regularizers.l1(0.1), y), (jnp.ones((6, 7, 3)),)),
    "convolutional dictionary": (_convolutional_update, (jax.random.key(0),)),
    "evolution": (lambda spins: evolution.asynchronous(_machine, spins, jnp.arange(5)), (SPINS[0],)),
    "ista": (lambda z, L: proximal.ista(_misfit, regularizers.l1(0.3), z, L), (SPARSE_CODE, jnp.array(3.0))),
    "fista": (lambda z, L: proximal.fista(_misfit, regularizers.l1(0.3), z, L), (SPARSE_CODE, jnp.array(3.0))),
    "fista_restarted": (
        lambda z, L: proximal.fista_restarted(_misfit, regularizers.group(0.3, 2), z, L),
        (SPARSE_CODE, jnp.array(3.0)),
    ),
    "backtracking": (lambda z: proximal.backtracking(_misfit, regularizers.non_negative(0.3), z), (SPARSE_CODE,)),
    "admm": (lambda y, weight: admm(_dictionary, regularizers.elastic_net(weight, 0.1), y), (jnp.ones(3), X)),
    "implicit": (jax.grad(lambda y: _implicit_code(y).sum()), (jnp.ones(3),)),
    "lista": (jax.grad(lambda w, y: learned.lista(w, y, 3).last.sum()), (_lista, jnp.ones(3))),
    "alista": (
        lambda y: analytic.alista(_dictionary, _dictionary.dictionary, _numbers, y, 3, jnp.arange(3)).last,
        (jnp.ones(3),),
    ),
    "hyperlista": (
        lambda y: hyperlista.hyperlista(_prepared, hyperlista.HyperLista(*jnp.full(3, 0.1)), y, 3).last,
        (jnp.ones(3),),
    ),
    "predictive": (
        lambda y: (
            predictive.infer(
                lambda smooth, z, L: proximal.fista(smooth, regularizers.l1(0.3), z, L), _dictionary, _encoder, 0.5, y
            ).value
        ),
        (jnp.ones(3),),
    ),
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
    "coordinate_descent": (
        lambda y: coordinate.coordinate_descent(_dictionary, regularizers.l1(0.3), y),
        (jnp.ones(3),),
    ),
    "encode": (lambda data: coordinate.encode(_dictionary, regularizers.l1(0.3), data, chunk=4), (jnp.ones((6, 3)),)),
    "path": (lambda y: coordinate.path(_dictionary, regularizers.l1, jnp.array([1.0, 0.3]), y), (jnp.ones(3),)),
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
