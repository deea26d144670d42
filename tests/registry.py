"""Every energy, minimizer and learner, with an example of each: what contracts walk.

A new one is one line here; `test_contracts.py` fails where a public module of the library has none.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import ebmjax
from ebmjax import circle, free_energy, problems
from ebmjax.energies import (
    boltzmann,
    clamp,
    composition,
    convolutional_encoder,
    deep_boltzmann,
    ellipse,
    generalized_horn,
    hopfield,
    horn,
    ising,
    ising_on_graph,
    latent,
    modern_hopfield,
    neural,
    penalties,
    placed_ellipse,
    potts,
    regularizers,
    sparse_coding,
    xy,
)
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.learn.contrast import phases, replay
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.dictionaries import dictionary
from ebmjax.learn.gradient import stochastic_gradient
from ebmjax.losses.contrast import penalized_contrast
from ebmjax.losses.energy import energy_loss
from ebmjax.losses.evidence_bound import evidence_bound
from ebmjax.losses.noise_contrastive import noise_contrastive
from ebmjax.losses.score_matching import sliced_score_matching
from ebmjax.minimize import descent, search
from ebmjax.minimize.codes import coordinate
from ebmjax.sample import langevin


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
PLACED = placed_ellipse.Params(jnp.array([2.0, 1.5]), jnp.array([0.3, -1.0]), jnp.array(0.4))


def _potts(key):
    params = potts.Params(jax.random.normal(key, (12,)), jnp.array([0.2, 0.0, -0.1]))
    energy = lambda params, state: potts.energy(params, potts.lattice(2, 3), state)
    return params, energy, jnp.array([0.0, 1.0, 2.0, 2.0, 0.0, 1.0])


def _on_graph(energy, unknown):
    edges = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 0), (0, 2)]
    make = lambda key: ising_on_graph.Params(jax.random.normal(key, (6,)), jnp.full(5, 0.2))
    return lambda key: (make(key), lambda params, state: energy(params, edges, state), unknown)


def _horn(key):
    return horn.init(key), lambda params, z: horn.energy(params, X, Y, z), Z


def _generalized(latent):
    def make(key):
        params = generalized_horn.init(key, latent=latent)
        return params, lambda params, z: generalized_horn.energy(params, X, Y, z), jnp.linspace(-1, 1, latent)

    return make


def _regularized(regularizer):
    def make(key):
        params, energy, z = _generalized(2)(key)
        held = lambda params, z: penalties.regularized(partial(energy, params), regularizer, 0.3)(z)
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


def _autoencoder(observation):
    def make(key):
        params = vae.init(key, 4, (5,), 3)
        y = jnp.array([1.0, 0.0, 0.3, 1.0])
        return params, lambda params, z: vae.energy(params, observation, y, z), jnp.array([0.8, -0.3, 0.1])

    return make


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
    return params, lambda params, z: penalties.noisy(partial(energy, params), noise)(z), z


def _clamped(key):
    """Three of five spins clamped."""
    known, values = np.array([True, False, True, True, False]), SPINS[0]
    energy = lambda params, free: clamp.clamp(partial(hopfield.energy, params), known, values)(free)
    return hopfield.storkey(SPINS), energy, jnp.array([1.0, -1.0])


def _near_prediction(key):
    """Maps that stay near those of an encoder, which are its parameters."""
    prediction = jax.random.normal(key, (2, 4, 5))
    energy = lambda prediction, z: convolutional_encoder.near_prediction(regularizers.l1(0.3), prediction, 0.7).value(z)
    return prediction, energy, prediction + 1.0


def _sparse(regularizer):
    """A sparse code's energy; a positive code, so that it is finite for non-negative coding too."""

    def make(key):
        params = sparse_coding.init(key, 3, 4)
        return params, lambda params, z: sparse_coding.energy(params, regularizer, jnp.arange(3.0), z), SPARSE_CODE

    return make


def _composed(compose):
    """Of the squared distances from two points, which are the parameters."""

    def make(key):
        distance = lambda point: lambda y: jnp.sum((y - point) ** 2)
        energy = lambda points, y: compose([distance(points[0]), distance(points[1])])(y)
        return jnp.array([[1.0, 0.5], [-0.3, 2.0]]), energy, Y

    return make


def neural_of_pictures(key):
    params = neural.init_convolutional(key, (5, 6), (3, 4))
    return params, neural.convolutional_energy, jax.random.normal(jax.random.key(1), (5, 6))


def _latent(key):
    decoder = lambda params, features, z: params @ z + features
    energy = latent.latent_energy(
        latent.half_squared_error, decoder, lambda scale, x: scale * x, penalties.squared_norm, 0.3
    )
    params = latent.Params(jnp.array(0.7), jax.random.normal(key, (2, 3)))
    return params, lambda params, z: energy(params, X, Y, z), jnp.array([0.4, -0.2, 0.9])


ENERGIES = {
    "ellipse": EnergyExample(
        "ellipse", lambda key: (ellipse.init(key), lambda params, z: ellipse.energy(params, Y, z), Z)
    ),
    "ellipse, placed": EnergyExample(
        "placed_ellipse", lambda key: (PLACED, lambda params, z: placed_ellipse.energy(params, Y, z), Z)
    ),
    "horn": EnergyExample("horn", _horn),
    "horn, generalized": EnergyExample("generalized_horn", _generalized(1)),
    "horn, four latents": EnergyExample("generalized_horn", _generalized(4)),
    "squared norm": EnergyExample("penalties", _regularized(penalties.squared_norm)),
    "l1 norm": EnergyExample("penalties", _regularized(penalties.l1_norm)),
    "noise": EnergyExample("penalties", _noisy),
    "clamped": EnergyExample("clamp", _clamped),
    "near a prediction": EnergyExample("convolutional_encoder", _near_prediction),
    "product": EnergyExample("composition", _composed(composition.product_of_experts)),
    "and not": EnergyExample("composition", _composed(lambda both: composition.weighted_sum(both, [1.0, -0.3]))),
    "mixture": EnergyExample("composition", _composed(lambda both: composition.mixture(both, 0.7, [0.3, 0.7]))),
    "interpolation": EnergyExample("composition", _composed(lambda both: composition.interpolated(*both, 0.3))),
    "latent, general": EnergyExample("latent", _latent),
    "hopfield": EnergyExample("hopfield", lambda key: (hopfield.storkey(SPINS), hopfield.energy, SPINS[1])),
    "ising": EnergyExample(
        "ising",
        lambda key: (ising.Params(jax.random.normal(key, (1, 5)), jnp.full(5, 0.2)), ising.energy, SPINS[0]),
    ),
    "potts": EnergyExample("potts", _potts),
    "ising on a graph": EnergyExample("ising_on_graph", _on_graph(ising_on_graph.energy, SPINS[0])),
    "xy": EnergyExample("xy", _on_graph(xy.energy, jnp.linspace(-3.0, 4.0, 5))),
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
    "neural": EnergyExample("neural", lambda key: (neural.init(key, (2, 8)), neural.energy, Y)),
    "neural, convolutional": EnergyExample("neural", neural_of_pictures),
    "autoencoder, bernoulli": EnergyExample("variational_autoencoder", _autoencoder(vae.bernoulli())),
    "autoencoder, gaussian": EnergyExample("variational_autoencoder", _autoencoder(vae.gaussian(0.5))),
    "modern hopfield": EnergyExample("modern_hopfield", lambda key: (SPINS[0], modern_hopfield.energy, SPINS[1])),
}

# Every minimizer as `energy, start -> Solution`, for a scalar start.
MINIMIZERS = {
    "gradient_descent": lambda energy, start: descent.gradient_descent(energy, start, optax.adam(0.05), 200),
    "newton": descent.newton,
    "multi_start": lambda energy, start: search.multi_start(energy, start + jnp.linspace(0, 1, 3, dtype=start.dtype)),
    "grid_search": lambda energy, start: search.grid_search(energy, _ring_through(start)),
    "refined_search": lambda energy, start: search.refined_search(energy, _ring_through(start)),
}


def _ring_through(start):
    space = circle(48)
    return space._replace(points=space.points + start)


def ellipse_free_energy(beta):
    return lambda params, y: free_energy(partial(ellipse.energy, params, y), circle(24), beta)


def _horn_free_energy(beta):
    return lambda params, sample: free_energy(partial(horn.energy, params, *sample), circle(24), beta)


def _dictionary_learner(learner):
    data = jax.random.normal(jax.random.key(0), (24, 6))
    return LearnerExample(learner, lambda key: sparse_coding.init(key, 6, 9), data, "energy")


# A well of ½ width (y - centre)², whose samples lie in another place.
_well = lambda params, y: params[1] ** 2 * (y - params[0]) ** 2 / 2
away = lambda key: (jnp.array(0.0), jnp.array(0.5))
AROUND_TWO = 2 + 0.5 * jax.random.normal(jax.random.key(0), (32,))


def replay_learner():
    """A persistent buffer of Langevin chains, the energies' size held down."""
    kernel = lambda params: langevin.mala(partial(_well, params), 0.7, 0.3)
    negative = replay.replay(kernel, lambda key: 2 * jax.random.normal(key), 16, 4, 0.05)
    return contrastive(
        _well, phases.observed(), negative, optax.sgd(0.02), loss=partial(penalized_contrast, weight=0.01)
    )


LEARNERS = {
    "sliced score matching": LearnerExample(
        stochastic_gradient(sliced_score_matching(_well, 0.7), optax.sgd(0.1)), away, AROUND_TWO
    ),
    "noise-contrastive": LearnerExample(
        stochastic_gradient(
            noise_contrastive(_well, 0.7, lambda y: -(y**2) / 8 - 1.6, lambda key, n: 2 * jax.random.normal(key, (n,))),
            optax.sgd(0.1),
        ),
        lambda key: (away(key), jnp.array(1.0)),
        AROUND_TWO,
    ),
    "replay": LearnerExample(replay_learner(), lambda key: (jnp.array(-2.0), jnp.array(0.7)), AROUND_TWO),
    "dictionary, online": _dictionary_learner(dictionary.online(coordinate.solve_batch, regularizers.l1(0.1))),
    "dictionary, descent": _dictionary_learner(
        dictionary.descent(coordinate.solve_batch, regularizers.l1(0.1), optax.sgd(0.1))
    ),
    "gradient, ellipse": LearnerExample(
        ebmjax.gradient(energy_loss(ellipse_free_energy(2.0)), optax.adam(1e-2)),
        ellipse.init,
        problems.ellipse_data(jax.random.key(0)),
    ),
    "gradient, horn": LearnerExample(
        ebmjax.gradient(energy_loss(_horn_free_energy(jnp.inf)), optax.adam(1e-2)),
        horn.init,
        tuple(problems.horn_data(jax.random.key(0), 24)),
    ),
    "variational autoencoder": LearnerExample(
        stochastic_gradient(
            evidence_bound(lambda params, y, z: vae.misfit(params, vae.bernoulli(), y, z), vae.encode),
            optax.adam(1e-2),
        ),
        lambda key: vae.init(key, 6, (8,), 2),
        jnp.tile(jnp.array([[1.0, 0, 1, 1, 0, 1], [0, 0, 1, 0, 1, 1]]), (12, 1)),
    ),
    "stochastic gradient": LearnerExample(
        stochastic_gradient(
            lambda key, params, y: energy_loss(ellipse_free_energy(2.0))(
                params, y + 0.01 * jax.random.normal(key, y.shape)
            ),
            optax.sgd(1e-2),
        ),
        ellipse.init,
        problems.ellipse_data(jax.random.key(0)),
    ),
}
