"""Stochastic gradients against the exact likelihood gradient of enumerated machines, contrastive divergence's bias too.

Each z-score compares the mean of independent replicas of a stochastic gradient with the truth, in standard errors of
that mean. With at most 36 components in a test, one exceeds LIMIT by chance in 4,000 runs; keys are fixed.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ebmjax import binary_cube, spin_cube, train
from ebmjax.energies import boltzmann
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies.boltzmann import Units
from ebmjax.learn.contrast import boltzmann_phases
from ebmjax.learn.contrast.boltzmann_phases import (
    clamped,
    free_running,
    observed_free_energy,
    symmetric_updates,
    whole_state,
)
from ebmjax.learn.contrast.contrastive import contrastive
from ebmjax.learn.contrast.phases import contrastive_divergence, observed, persistent, persistent_tempering, viewed
from ebmjax.losses.contrast import contrast
from ebmjax.losses.likelihood import conditional_negative_log_likelihood, negative_log_likelihood
from ebmjax.sample.special import restricted as sweeps
from ebmjax.sample.special.single_site import sweep

BETA = 0.7
LIMIT = 4.5
REPLICAS = 400
NONE = np.array([], int)
# units in no particular order, so that an index that is taken for another is seen
MACHINES = {
    "visible": Units(np.array([3, 0, 4, 1, 2]), NONE, NONE),
    "hidden": Units(np.array([5, 0, 3, 1]), np.array([4, 2]), NONE),
    "labelled": Units(np.array([5, 0, 3]), np.array([4, 2]), np.array([6, 1])),
}


def machine(units, scale=0.5, seed=0):
    random = np.random.default_rng(seed)
    upper = np.triu(scale * random.normal(size=(units, units)), 1)
    return boltzmann.Params(jnp.asarray(upper + upper.T), jnp.asarray(0.3 * random.normal(size=units)))


def restricted(scale=0.7, seed=0):
    random = np.random.default_rng(seed)
    return rbm.Params(*(jnp.asarray(scale * random.normal(size=shape)) for shape in ((6, 5), 6, 5)))


def size(units):
    return sum(len(part) for part in units)


def samples(units):
    """A batch of 6 states of what is seen, far from the law of a random machine."""
    points = spin_cube(len(units.visible) + len(units.label)).points
    return points[jnp.array([0, 1, 1, 5, 6, 7])]


def independent(params):
    """The components of a gradient that are not copies of one another: one of each coupling, every bias."""
    if isinstance(params, rbm.Params):
        return jnp.concatenate([leaf.ravel() for leaf in params])
    upper = jnp.triu_indices(len(params.bias), 1)
    return jnp.concatenate([2 * params.weights[upper], params.bias])


def stochastic_gradients(energy, positive, negative, params, batch, replicas=REPLICAS):
    """beta times the contrast's gradient, from phases that begin anew in each replica: (replicas, components)."""

    def one(key):
        init_key, positive_key, negative_key = jax.random.split(key, 3)
        positives, _ = positive.sample(positive_key, params, positive.init(init_key, params), batch)
        negatives, _ = negative.sample(negative_key, params, negative.init(init_key, params), batch)
        return independent(jax.grad(contrast(energy))(params, (positives, negatives)))

    return BETA * np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), replicas)))


def z_scores(estimates, truth):
    error = estimates.std(axis=0, ddof=1) / np.sqrt(len(estimates))
    return (estimates.mean(axis=0) - np.asarray(independent(truth))) / error


def exact_gradient(units, params, batch):
    space = spin_cube(len(units.visible) + len(units.label))
    return jax.grad(negative_log_likelihood(observed_free_energy(units, BETA), space, BETA))(params, batch)


@pytest.mark.slow
@pytest.mark.parametrize("name", MACHINES)
def test_boltzmann_machines_have_the_likelihood_gradient(x64, name):
    units = MACHINES[name]
    params, batch = machine(size(units)), samples(units)
    truth = exact_gradient(units, params, batch)
    estimates = stochastic_gradients(
        boltzmann.energy, clamped(units, BETA, 20), free_running(units, BETA, 20, 40), params, batch
    )
    z = z_scores(estimates, truth)
    assert np.abs(z).max() < LIMIT
    # the test would see an error a tenth of the gradient's size
    assert np.linalg.norm(estimates.std(axis=0)) / np.sqrt(REPLICAS) < 0.1 * np.linalg.norm(independent(truth))


@pytest.mark.slow
def test_learning_pictures_of_a_label_has_the_conditional_gradient(x64):
    """P(v | c): the label is held in both phases, and the negatives have forgotten everything else."""
    units = MACHINES["labelled"]
    params, batch = machine(size(units), seed=1), samples(units)
    free_energy = observed_free_energy(units, BETA)
    given = lambda params, label, visible: free_energy(params, jnp.concatenate([visible, label]))
    nll = conditional_negative_log_likelihood(given, spin_cube(3), BETA)
    truth = jax.grad(nll)(params, (batch[:, 3:], batch[:, :3]))
    sites = np.concatenate([units.hidden, units.visible])
    start = lambda key, seen: whole_state(units, seen, jax.random.rademacher(key, (2,), seen.dtype))
    negative = contrastive_divergence(lambda params: sweep(params, BETA, sites), start, 40)
    estimates = stochastic_gradients(boltzmann.energy, clamped(units, BETA, 20), negative, params, batch, 4 * REPLICAS)
    coupled = estimates.std(axis=0) > 0  # a label's own bias, and the coupling of two labels, do not matter
    assert (~coupled).sum() == 3
    np.testing.assert_allclose(np.asarray(independent(truth))[~coupled], 0, atol=1e-12)
    error = estimates.std(axis=0, ddof=1)[coupled] / np.sqrt(len(estimates))
    assert np.abs((estimates.mean(axis=0) - independent(truth))[coupled] / error).max() < LIMIT


def zeros_and(key, visible):
    return visible, jnp.zeros(5, visible.dtype)


def coins(key):
    return jax.random.bernoulli(key, 0.5, (6,)).astype(float), jnp.zeros(5)


def binary(params):
    return sweeps.binary(params, BETA)


def energy_of_pair(params, pair):
    return rbm.energy(params, *pair)


PHASES = {
    "from data, mixed": contrastive_divergence(binary, zeros_and, 60),
    "persistent": persistent(binary, coins, 12, 60),
    "tempered": persistent_tempering(energy_of_pair, sweeps.binary, jnp.array([0.0, 0.35, BETA]), coins, 12, 20),
}


def free_energy(params, visible):
    return rbm.free_energy(params, visible, BETA)


def restricted_truth(params, batch):
    return jax.grad(negative_log_likelihood(free_energy, binary_cube(6), BETA))(params, batch)


def pictures():
    return binary_cube(6).points[jnp.array([0, 1, 1, 5, 40, 63])]


@pytest.mark.slow
@pytest.mark.parametrize("name", PHASES)
def test_a_restricted_machine_has_the_likelihood_gradient(x64, name):
    params, batch = restricted(), pictures()
    negative = viewed(PHASES[name], lambda params, pair: pair[0])
    estimates = stochastic_gradients(free_energy, observed(), negative, params, batch)
    # the visible units alone: 41 components, of which one exceeds the limit by chance in 3,600 runs
    assert np.abs(z_scores(estimates, restricted_truth(params, batch))).max() < LIMIT


@pytest.mark.slow
def test_contrastive_divergence_is_biased_and_the_less_the_longer_it_runs(x64):
    params, batch = restricted(scale=1.5, seed=1), pictures()
    truth = restricted_truth(params, batch)
    bias, worst = {}, {}
    for steps in (1, 10, 300):
        negative = viewed(contrastive_divergence(binary, zeros_and, steps), lambda params, pair: pair[0])
        estimates = stochastic_gradients(free_energy, observed(), negative, params, batch)
        bias[steps] = np.linalg.norm(estimates.mean(axis=0) - independent(truth))
        worst[steps] = np.abs(z_scores(estimates, truth)).max()
    assert worst[1] > 12
    assert bias[1] > 0.1 * np.linalg.norm(independent(truth))
    assert bias[10] < 0.7 * bias[1]
    assert worst[300] < LIMIT


@pytest.mark.slow
def test_so_is_that_of_a_machine_with_hidden_units(x64):
    units = MACHINES["hidden"]
    params, batch = machine(size(units), scale=0.8), samples(units)
    truth = exact_gradient(units, params, batch)
    worst = []
    for steps in (1, 60):
        negative = boltzmann_phases.contrastive_divergence(units, BETA, steps)
        estimates = stochastic_gradients(boltzmann.energy, clamped(units, BETA, 20), negative, params, batch)
        worst.append(np.abs(z_scores(estimates, truth)).max())
    assert worst[0] > 10
    assert worst[1] < LIMIT


@pytest.mark.slow
@pytest.mark.optax
def test_learning_reaches_the_best_likelihood_under_jit_and_vmap():
    """Persistent chains come within 0.05 nats of what exact gradients reach, and nothing breaks W's symmetry."""
    units = MACHINES["hidden"]
    random = np.random.default_rng(0)
    rows = np.array([[1, 1, -1, -1], [-1, -1, 1, 1], [1, -1, 1, -1]])
    data = jnp.asarray(np.where(random.random((60, 4)) < 0.1, -1, 1) * np.repeat(rows, 20, 0), jnp.float32)
    optimizer = symmetric_updates(optax.adam(optax.linear_schedule(0.05, 0.0, 400)))
    learner = contrastive(boltzmann.energy, clamped(units, BETA, 3), free_running(units, BETA, 50, 2), optimizer)
    nll = negative_log_likelihood(observed_free_energy(units, BETA), spin_cube(4), BETA)
    run = lambda key: train(key, learner, boltzmann.init(key, 6), data, batch_size=60, epochs=400)
    keys = jax.random.split(jax.random.key(0), 3)
    trained = jax.jit(jax.vmap(run))(keys)
    assert trained.metrics.finite.all()
    weights = np.asarray(trained.params.weights)
    assert (weights == weights.transpose(0, 2, 1)).all()
    assert (np.diagonal(weights, axis1=1, axis2=2) == 0).all()
    counts = np.unique(np.asarray(data), axis=0, return_counts=True)[1] / len(data)
    entropy = -np.sum(counts * np.log(counts))
    after = np.array([nll(jax.tree.map(lambda leaf: leaf[i], trained.params), data) for i in range(3)])
    assert nll(boltzmann.init(keys[0], 6), data) > entropy + 0.5
    assert (after < entropy + 0.2).all()
    # another rounding may turn a spin whose random number lies within it: one in about ten members
    alone = jax.jit(run)
    differences = sorted(
        float(jnp.abs(alone(key).params.weights - many).max()) for key, many in zip(keys, weights, strict=True)
    )
    assert differences[1] < 1e-4
    assert differences[2] < 0.05


@pytest.mark.slow
@pytest.mark.optax
def test_adam_alone_makes_whole_steps_of_a_rounding():
    """Why `symmetric_updates` exists: the gradient's diagonal is zero up to rounding, and Adam divides by its size."""
    params = boltzmann.init(jax.random.key(0), 3)
    rounding = boltzmann.Params(6e-8 * jnp.eye(3) + jnp.ones((3, 3)).at[0, 1].add(1e-7), jnp.ones(3))
    rounding = rounding._replace(weights=rounding.weights - jnp.diag(jnp.ones(3)))
    moved = {}
    for name, optimizer in (("plain", optax.adam(0.1)), ("symmetric", symmetric_updates(optax.adam(0.1)))):
        updates: Any = optimizer.update(rounding, optimizer.init(params))[0]
        moved[name] = updates.weights
    assert jnp.abs(jnp.diagonal(moved["plain"])).min() > 0.05
    assert (jnp.diagonal(moved["symmetric"]) == 0).all()
    assert (moved["symmetric"] == moved["symmetric"].T).all()
