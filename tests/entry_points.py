"""Everything that users compile: name, function and arguments of each, lowered for every platform by the contracts."""

from functools import partial

import jax
import jax.numpy as jnp
import optax

import ebmjax
from ebmjax import (
    circle,
    diagnostics,
    interval,
    lattices,
    log_partition,
    posterior,
    problems,
    product,
    refine,
    spin_cube,
)
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies import (
    ellipse,
    hopfield,
    ising,
    ising_on_graph,
    modern_hopfield,
    neural,
    potts,
    regularizers,
    sparse_coding,
)
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.learn.contrast import phases
from ebmjax.learn.contrast.centering import centering
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.dictionaries import convolutional_dictionary
from ebmjax.learn.train import train
from ebmjax.loops import repeat
from ebmjax.losses.evidence_bound import doubly_reparameterized_bound
from ebmjax.losses.likelihood import conditional_negative_log_likelihood, negative_log_likelihood
from ebmjax.losses.margin import hinge_loss, log_loss
from ebmjax.losses.noise_contrastive import noise_contrastive
from ebmjax.losses.pseudo_likelihood import pseudo_likelihood
from ebmjax.losses.score_matching import denoising_score_matching, score_matching, sliced_score_matching
from ebmjax.marginalize import importance_sampling
from ebmjax.marginalize.annealed import tempered
from ebmjax.marginalize.elimination import draws, exact, factors, graphs, plans
from ebmjax.marginalize.free_energy import log_ratio, marginal
from ebmjax.marginalize.mean_field import mean_field
from ebmjax.marginalize.population import adaptive_population_annealing
from ebmjax.marginalize.reweighting import integration, stepping_stones
from ebmjax.marginalize.reweighting.bar import bar
from ebmjax.marginalize.reweighting.mixture import at, mixture
from ebmjax.marginalize.thermodynamics import thermodynamics
from ebmjax.minimize import descent, evolution, search
from ebmjax.minimize.codes import convolutional, coordinate, find_code, predictive, proximal
from ebmjax.minimize.codes.admm import admm
from ebmjax.minimize.codes.implicit import implicit
from ebmjax.minimize.unrolled import alista, hyperlista, lista
from ebmjax.networks import spectrally_normalized
from ebmjax.sample import (
    annealing,
    cluster,
    gibbs,
    hamiltonian,
    informed,
    isoenergetic,
    langevin,
    metropolis,
    tempering,
)
from ebmjax.sample.special import many_walks, multispin, multispin_glass
from ebmjax.sample.special import restricted as rbm_sampler
from ebmjax.sample.special.checkerboard import checkerboard
from ebmjax.sample.special.dense import dense
from tests.registry import (
    AROUND_TWO,
    LEARNERS,
    SPARSE_CODE,
    SPINS,
    X,
    Y,
    Z,
    away,
    ellipse_free_energy,
    neural_of_pictures,
    replay_learner,
)

_params = ellipse.Params(jnp.array([2.0, 1.5]))
_data = problems.ellipse_data(jax.random.key(0))
_plane = product(interval(-3.0, 3.0, 13), interval(-2.0, 2.0, 9))
_of_pair = lambda params, pair: ellipse_free_energy(1.0)(params, jnp.stack(pair))


_ring = plans.plan(graphs.from_edges(5, [(i, (i + 1) % 5) for i in range(5)]), states=3)
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
_torus, _on_graph = lattices.hypercubic((3, 4)), ising_on_graph.Params(jnp.array(1.0), jnp.array(0.0))
_graph_energy = partial(ising_on_graph.energy, _on_graph, _torus.edges)


def _steps(kernel, position):
    return lambda key: repeat(key, kernel, kernel.init(position), 2).positions


def _contrastive(key):
    """One update of a restricted Boltzmann machine by persistent chains."""
    kernel = lambda params: rbm_sampler.binary(params, 0.7)
    start = lambda key: (jnp.zeros(6), jnp.zeros(4))
    negative = phases.viewed(phases.persistent(kernel, start, 3, 1), lambda params, position: position[0])
    free = lambda params, visible: rbm.free_energy(params, visible, 0.7)
    learner = contrastive(free, phases.observed(), negative, optax.sgd(0.1), centering(jnp.full(6, 0.3)))
    return learner.update(key, learner.init(key, _rbm), jnp.ones((5, 6)))


def _replay_update(key):
    """One update of a well by a replay buffer."""
    learner = replay_learner()
    return learner.update(key, learner.init(key, away(key)), AROUND_TWO)


_network = neural.init(jax.random.key(0), (2, 8))
_pictures_network = neural_of_pictures(jax.random.key(0))[0]
_autoencoder_params = vae.init(jax.random.key(0), 6, (5,), 2)
_autoencoder_energy = lambda params, y, z: vae.energy(params, vae.bernoulli(), y, z)


def _log_likelihood(key):
    y = jnp.ones(6)
    proposal = vae.encode(_autoencoder_params, y)
    energy = partial(_autoencoder_energy, _autoencoder_params, y)
    return importance_sampling.estimate_log_partition(key, energy, proposal, 0.7, samples=7, chunk=3)


_kernels = coding.init(jax.random.key(0), 2, (3, 3, 3))


def _convolutional_update(key):
    """One update of kernels and encoder."""
    learner = convolutional_dictionary.predictive(
        convolutional.convolutional_admm, regularizers.l1(0.1), 1.0, optax.sgd(0.1)
    )
    return learner.update(key, learner.init(key, convolutional_dictionary.init_coder(_kernels)), jnp.ones((2, 6, 7, 3)))


def _train_some(key):
    example = LEARNERS["gradient, horn"]
    return train(key, example.learner, example.init(key), example.data, 8, 2).params


_lista = lista.init_lista(_dictionary, 0.3)
_numbers = alista.Alista(jnp.array(1.0), jnp.array(0.1))
_prepared = hyperlista.prepare(_dictionary)
_encoder = predictive.init(jax.random.key(0), _dictionary)


_starts = jnp.ones((4, len(SPINS[0])))
LADDER, DRAWN = jnp.array([0.5, 1.0]), jnp.arange(8.0).reshape(2, 4)
ENTRY_POINTS = {
    "softmin": (ebmjax.softmin, (jnp.arange(5.0), jnp.array(1.0), jnp.zeros(5))),
    "softargmax": (ebmjax.softargmax, (jnp.arange(5.0), jnp.array(1.0))),
    "softmin, slopes": (jax.grad(jax.grad(ebmjax.softmin, 1), 1), (jnp.arange(5.0), jnp.array(1.0))),
    "free_energy": (lambda y, beta: ellipse_free_energy(beta)(_params, y), (Y, jnp.array(1.0))),
    "posterior": (lambda beta: posterior(lambda s: s.sum(), spin_cube(4), beta), (jnp.array(0.7),)),
    "log_partition": (lambda beta: log_partition(lambda s: s.sum(), spin_cube(4), beta), (jnp.array(0.7),)),
    "marginal": (lambda y, beta: marginal(partial(ellipse.energy, _params, y), circle(24), beta), (Y, jnp.array(1.0))),
    "refine": (lambda y, beta: refine(partial(ellipse.energy, _params, y), circle(24), beta), (Y, jnp.array(1.0))),
    "mixture": (lambda b, energies, beta: at(mixture(b, energies), beta), (LADDER, DRAWN, jnp.array(0.7))),
    "bar": (bar, (LADDER, DRAWN)),
    "thermodynamics": (
        lambda energies: thermodynamics([0.0, 1.0], energies, energies, 3, 2.0, blocks=2),
        (DRAWN,),
    ),
    "population annealing": (
        lambda key: adaptive_population_annealing(
            key,
            tempered(_spin_energy),
            lambda beta: gibbs.systematic(_spin_energy, beta),
            [0.0, 0.7],
            _starts,
            1.0,
            max_links=3,
            groups=2,
        ),
        (jax.random.key(0),),
    ),
    "invariance_test": (
        lambda key: diagnostics.invariance_test(
            key, gibbs.systematic(_spin_energy, 0.7), jnp.ones((50, len(SPINS[0]))), lambda s: s
        ),
        (jax.random.key(0),),
    ),
    "stepping_stones": (stepping_stones.stepping_stones, (LADDER, DRAWN)),
    "thermodynamic_integration": (integration.thermodynamic_integration, (LADDER, DRAWN)),
    "gradient_descent": (
        lambda z: descent.gradient_descent(partial(ellipse.energy, _params, Y), z, optax.adam(0.1)),
        (Z,),
    ),
    "newton": (lambda z: descent.newton(partial(ellipse.energy, _params, Y), z), (Z,)),
    "newton, vector": (lambda z: descent.newton(lambda z: jnp.sum((z - 1) ** 4), z), (jnp.zeros(3),)),
    "refined_search": (lambda y: search.refined_search(partial(ellipse.energy, _params, y), circle(24)), (Y,)),
    "hinge_loss": (hinge_loss(ellipse_free_energy(1.0), 0.5), (_params, (_data, 0.5 * _data))),
    "log_loss": (log_loss(ellipse_free_energy(1.0)), (_params, (_data, 0.5 * _data))),
    "negative_log_likelihood": (
        negative_log_likelihood(_of_pair, _plane, 1.0),
        (_params, (_data[:, 0], _data[:, 1])),
    ),
    "conditional_negative_log_likelihood": (
        conditional_negative_log_likelihood(lambda scale, x, y: (y - scale * x) ** 2, interval(-2.0, 2.0, 9), 1.0),
        (jnp.array(1.0), (jnp.ones(3), jnp.ones(3))),
    ),
    "train": (_train_some, (jax.random.key(0),)),
    "convolutional admm": (
        lambda y: convolutional.convolutional_admm(_kernels, regularizers.l1(0.1), y),
        (jnp.ones((6, 7, 3)),),
    ),
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
    "lista": (jax.grad(lambda w, y: lista.lista(w, y, 3).last.sum()), (_lista, jnp.ones(3))),
    "alista": (
        lambda y: alista.alista(_dictionary, _dictionary.dictionary, _numbers, y, 3, jnp.arange(3)).last,
        (jnp.ones(3),),
    ),
    "hyperlista": (
        lambda y: hyperlista.hyperlista(_prepared, hyperlista.HyperLista(*jnp.full(3, 0.1)), y, 3).last,
        (jnp.ones(3),),
    ),
    "predictive": (
        lambda y: find_code.by_proximal(proximal.fista, predictive.smooth_term)(
            predictive.Params(_dictionary, _encoder, 0.5), regularizers.l1(0.3), y, None
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
    "mala": (_steps(langevin.mala(lambda x: jnp.sum(x**2), 0.7, 0.1), jnp.zeros(3)), (jax.random.key(0),)),
    "hamiltonian": (
        _steps(hamiltonian.hamiltonian(lambda x: jnp.sum(x**2), 0.7, 0.1, 3), jnp.zeros(3)),
        (jax.random.key(0),),
    ),
    "random_walk": (
        _steps(many_walks.random_walk(lambda x: jnp.sum(x**2), 0.7, 0.5), jnp.zeros((3, 8))),
        (jax.random.key(0),),
    ),
    "dense": (_steps(dense(_machine, 0.7), jnp.ones((5, 3))), (jax.random.key(0),)),
    "checkerboard": (
        _steps(checkerboard(_lattice, 0.7, (4, 4)), ising.split(jnp.ones((4, 4)))),
        (jax.random.key(0),),
    ),
    "checkerboard in 3-D": (
        _steps(
            checkerboard(ising.Params(jnp.array(1.0), jnp.array(0.5)), 0.7, (2, 4, 4)),
            ising.split(jnp.ones((2, 4, 4)), 3),
        ),
        (jax.random.key(0),),
    ),
    "multispin_glass": (
        _steps(multispin_glass.replicas(jnp.ones((3, 2, 4, 4)), 0.7), multispin_glass.pack(jnp.ones((32, 2, 4, 4)))),
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
    "swendsen_wang": (
        _steps(cluster.swendsen_wang(potts.Params(jnp.array(1.0), jnp.zeros(3)), 0.7, _torus), jnp.zeros(12)),
        (jax.random.key(0),),
    ),
    "wolff": (_steps(cluster.wolff(_on_graph, 0.7, _torus), jnp.ones(12)), (jax.random.key(0),)),
    "isoenergetic": (
        _steps(
            isoenergetic.isoenergetic(
                _graph_energy,
                tempering.tempering(
                    _graph_energy, lambda beta: gibbs.systematic(_graph_energy, beta), jnp.array([0.1, 1.0])
                ),
                _torus,
            ),
            jnp.ones((2, 2, 12)),
        ),
        (jax.random.key(0),),
    ),
    "gibbs_with_gradients": (_steps(informed.gibbs_with_gradients(_spin_energy, 0.7), SPINS[0]), (jax.random.key(0),)),
    "discrete langevin": (
        _steps(informed.langevin_of_categories(lambda x: jnp.sum(x[0] * x[1]), 0.7, 1.0), jnp.eye(3)[:2]),
        (jax.random.key(0),),
    ),
    "annealing": (
        lambda key: annealing.annealing(
            key,
            lambda beta: gibbs.systematic(_spin_energy, beta),
            annealing.geometric_schedule(2.0, 0.9, 5),
            SPINS[0],
            1,
        ),
        (jax.random.key(0),),
    ),
    "coordinate_descent": (
        lambda y: coordinate.coordinate_descent(_dictionary, regularizers.l1(0.3), y),
        (jnp.ones(3),),
    ),
    "solve_batch": (
        lambda data: coordinate.solve_batch(_dictionary, regularizers.l1(0.3), data, chunk=4),
        (jnp.ones((6, 3)),),
    ),
    "path": (lambda y: coordinate.path(_dictionary, regularizers.l1, y, jnp.array([1.0, 0.3])), (jnp.ones(3),)),
    "mean_field": (
        lambda visible: mean_field(
            lambda hidden: rbm.energy(_rbm, visible, hidden[0]), (jnp.full(4, 0.5),), 0.7, ((0,),)
        ),
        (jnp.ones(6),),
    ),
    "contrastive": (_contrastive, (jax.random.key(0),)),
    "elimination": (
        lambda key, coupling, beta: (
            exact.marginals(_ring, factors.potts(coupling, jnp.ones((5, 3))), beta),
            draws.sample(key, _ring, factors.potts(coupling, jnp.ones((5, 3))), beta, 7),
        ),
        (jax.random.key(0), jnp.ones(5), jnp.array(0.7)),
    ),
    "importance sampling": (_log_likelihood, (jax.random.key(0),)),
    "doubly_reparameterized_bound": (
        lambda key, params: jax.grad(
            lambda params: doubly_reparameterized_bound(_autoencoder_energy, vae.encode, 4, 2)(
                key, params, jnp.ones((3, 6))
            )
        )(params),
        (jax.random.key(0), _autoencoder_params),
    ),
    "replay": (_replay_update, (jax.random.key(0),)),
    "score_matching": (score_matching(neural.energy, 0.7), (_network, jnp.ones((4, 2)))),
    "denoising_score_matching": (
        denoising_score_matching(neural.convolutional_energy, 0.7, 0.1),
        (jax.random.key(0), _pictures_network, jnp.ones((4, 5, 6))),
    ),
    "sliced_score_matching": (
        sliced_score_matching(neural.energy, 0.7, 2),
        (jax.random.key(0), _network, jnp.ones((4, 2))),
    ),
    "noise_contrastive": (
        noise_contrastive(neural.energy, 0.7, lambda y: -jnp.sum(y**2), lambda key, n: jax.random.normal(key, (n, 2))),
        (jax.random.key(0), (_network, jnp.array(0.0)), jnp.ones((4, 2))),
    ),
    "spectrally_normalized": (spectrally_normalized, (_pictures_network,)),
    "log_ratio": (lambda x, y: log_ratio(_spin_energy, x, y, 0.7), (SPINS[0], SPINS[1])),
    "pseudo_likelihood": (
        lambda params: pseudo_likelihood(hopfield.energy, 0.7)(params, SPINS),
        (_machine,),
    ),
    "effective_sample_size": (diagnostics.effective_sample_size, (jnp.ones((2, 8)),)),
    "hashed": (lambda key: ebmjax.random_bits.hashed(key, (8,)), (jax.random.key(0),)),
    "bits": (lambda key: ebmjax.random_bits.bits(key, (8,)), (jax.random.key(0),)),
    "normal, unrolled": (lambda key: jax.random.normal(ebmjax.random_bits.unrolled(key), (8,)), (jax.random.key(0),)),
}
