"""Sweeps of restricted Boltzmann machines against their enumerated joint laws, at temperatures other than one.

Statistical tests have fixed keys and compare fewer than 70 moments each; with a bound of 5 standard errors one run of
such a test fails by chance once in 25,000.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax import binary_cube
from ebmjax.diagnostics import exact_mean, law_moments, z_scores
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian_rbm
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.loops import repeat, trajectory
from ebmjax.random_bits import unrolled
from ebmjax.sample import gibbs
from ebmjax.sample.special import restricted as sweeps
from ebmjax.types import BITS
from tests.energies.test_restricted_boltzmann import gaussian_machine, machine

CLASSES = 3
BETAS = jnp.array([0.3, 1.7])


def run(kernel, start, chains=64, steps=600, seed=0):
    """Visible and hidden units of all chains, (chains, steps, units), after a burn-in."""

    def chain(key):
        burn_key, run_key = jax.random.split(key)
        state = repeat(burn_key, kernel, kernel.init(start), 50).state
        return trajectory(run_key, kernel, state.position, steps).positions

    return jax.vmap(chain)(jax.random.split(unrolled(jax.random.key(seed)), chains))


def worst(make_kernel, params, start, allowed):
    """Largest |z| of units, products and the energy's histogram, at each beta, under exp(-beta E) on allowed states."""
    visible = len(start[0])
    energy = lambda states: jnp.asarray(rbm.energy(params, states[:visible], states[visible:]))
    energies = jax.vmap(energy)(allowed)
    ordered = jnp.sort(energies)
    moments_of = jax.vmap(lambda states, bins: law_moments(states, energy(states), bins), (0, None))

    def at(beta):
        law = ebmjax.softargmin(energies, beta)
        # bins of about a fifth of the law, with edges between energies, where no rounding can put a state
        last = jnp.searchsorted(jnp.cumsum(ebmjax.softargmin(ordered, beta)), jnp.arange(1, 5) / 5)
        edges = (ordered[last] + ordered[last + 1]) / 2
        bins = jnp.concatenate([ordered[:1] - 1, edges, ordered[-1:] + 1])
        samples = jnp.concatenate(run(make_kernel(beta), start), axis=-1)
        moments = jax.vmap(moments_of, (0, None))(samples, bins)
        return jnp.abs(z_scores(moments, exact_mean(moments_of(allowed, bins), law))).max()

    return jax.jit(jax.vmap(at))(BETAS)


@pytest.mark.slow
def test_binary_sweeps_leave_the_joint_law_invariant():
    params = machine(0, 5, 5)
    start = (jnp.zeros(5), jnp.zeros(5))
    assert (worst(partial(sweeps.binary, params), params, start, binary_cube(10).points) < 5).all()


@pytest.mark.slow
def test_blocks_of_the_energy_have_the_same_law():
    """`gibbs.block` takes the gradient where `binary` has the closed form; both must pass, from any start."""
    params = machine(0, 5, 5)
    make_kernel = lambda beta: gibbs.block(lambda position: rbm.energy(params, *position), beta, ((1,), (0,)), BITS)
    start = (jnp.ones(5), jnp.zeros(5))
    assert (worst(make_kernel, params, start, binary_cube(10).points) < 5).all()


def test_hidden_units_come_first():
    """What contrastive divergence needs: nothing of the old hidden units is left, and v follows the new ones."""
    params = rbm.Params(30 * jnp.eye(3), jnp.full(3, -15.0), jnp.full(3, -15.0))
    kernel = sweeps.binary(params, jnp.inf)
    state, _ = kernel.step(jax.random.key(0), kernel.init((jnp.array([1.0, 0.0, 1.0]), jnp.array([0.0, 1.0, 0.0]))))
    for layer in state.position:
        np.testing.assert_array_equal(layer, [1.0, 0.0, 1.0])


@pytest.mark.slow
def test_gaussian_sweeps_have_the_moments_of_the_mixture():
    """Hidden states by completing the square, means and second moments of v from the normal of each."""
    params = gaussian_machine(7, 3, 3)
    states, scale = binary_cube(3).points, jnp.exp(params.log_scale)
    pull = states @ params.weights.T
    log_weights = states @ params.hidden_bias + pull @ (params.visible_bias / scale) + (pull**2).sum(axis=1) / 2

    def at(beta):
        means, deviations = jax.vmap(lambda hidden: gaussian_rbm.visible_law(params, hidden, beta))(states)
        seconds = means[:, :, None] * means[:, None, :] + jax.vmap(jnp.diag)(deviations**2)
        cross = means[:, :, None] * states[:, None, :]
        pieces = [means, seconds.reshape(8, 9), cross.reshape(8, 9), states]
        truth = jax.nn.softmax(beta * log_weights) @ jnp.concatenate(pieces, axis=1)
        visible, hidden = run(sweeps.gaussian(params, beta), (jnp.zeros(3), jnp.zeros(3)))
        products = [visible[..., :, None] * visible[..., None, :], visible[..., :, None] * hidden[..., None, :]]
        flat = [product.reshape(*visible.shape[:2], 9) for product in products]
        return jnp.abs(z_scores(jnp.concatenate([visible, *flat, hidden], axis=-1), truth)).max()

    assert (jax.jit(jax.vmap(at))(BETAS) < 5).all()


def labelled_states(pixels, hidden):
    """All states (v, e_c, h) with exactly one label unit on."""
    states = binary_cube(pixels + CLASSES + hidden).points
    return states[states[:, pixels : pixels + CLASSES].sum(axis=1) == 1]


@pytest.mark.slow
def test_labelled_sweeps_leave_the_law_with_one_label_invariant():
    params = machine(2, 3 + CLASSES, 4)
    start = (labels_rbm.with_label(jnp.zeros(3), 0, CLASSES), jnp.zeros(4))
    make_kernel = lambda beta: sweeps.labelled(params, beta, CLASSES)
    assert (worst(make_kernel, params, start, labelled_states(3, 4)) < 5).all()


@pytest.mark.slow
def test_a_clamped_label_conditions_the_rest():
    params = machine(3, 3 + CLASSES, 4)
    start = (labels_rbm.with_label(jnp.ones(3), 2, CLASSES), jnp.zeros(4))
    states = labelled_states(3, 4)
    make_kernel = lambda beta: sweeps.label_clamped(params, beta, CLASSES)
    assert (worst(make_kernel, params, start, states[states[:, 5] == 1]) < 5).all()


@pytest.mark.slow
def test_clamped_pixels_condition_the_rest():
    params, mask = machine(4, 5, 4), np.array([True, False, True, False, False])
    draws = lambda beta: [sweeps.draw_hidden(params, beta), sweeps.clamped(sweeps.draw_visible(params, beta), mask)]
    start, states = (jnp.array([1.0, 0.0, 0.0, 0.0, 0.0]), jnp.zeros(4)), binary_cube(9).points
    allowed = states[(states[:, 0] == 1) & (states[:, 2] == 0)]
    assert (worst(lambda beta: gibbs.alternate(draws(beta)), params, start, allowed) < 5).all()


@pytest.mark.slow
def test_the_coldest_label_is_drawn_evenly_among_the_best():
    """Two of three classes tie; each comes up 2,000 times of 4,000 within 5 σ = 158 (false alarm 6e-7)."""
    params = rbm.Params(jnp.zeros((5, 2)), jnp.array([0.0, 0.0, 1.0, 0.0, 1.0]), jnp.zeros(2))
    draw = sweeps.draw_labelled(params, jnp.inf, CLASSES)
    drawn = jax.vmap(lambda key: draw(key, (jnp.zeros(5), jnp.zeros(2)))[0])(jax.random.split(jax.random.key(0), 4000))
    counts = drawn[:, 2:].sum(axis=0)
    assert counts[1] == 0
    assert abs(counts[0] - 2000) < 158
    assert counts.sum() == 4000


@pytest.mark.slow
def test_kernels_take_traced_temperatures():
    params = machine(0, 5, 4)
    start = (jnp.array([1.0, 0.0, 1.0, 0.0, 0.0]), jnp.zeros(4))

    def step(beta):
        kernels = [sweeps.binary(params, beta), sweeps.labelled(params, beta, CLASSES)]
        return [kernel.step(jax.random.key(0), kernel.init(start))[0].position for kernel in kernels]

    for leaf in jax.tree.leaves(jax.jit(jax.vmap(step))(jnp.array([0.0, 1.0, jnp.inf]))):
        assert leaf.shape[0] == 3
        assert jnp.isin(leaf, jnp.array([0.0, 1.0])).all()


def test_faults_are_named():
    params, reals = machine(0, 5, 4), gaussian_machine(0, 5, 4)
    with pytest.raises(ValueError, match=r"beta: got -1.0"):
        sweeps.binary(params, -1.0)
    with pytest.raises(ValueError, match=r"beta: got 0.0, wanted an inverse temperature above 0"):
        sweeps.gaussian(reals, 0.0)
    with pytest.raises(ValueError, match="classes: got 5, wanted 2 to 4"):
        sweeps.labelled(params, 1.0, 5)
    kernel = sweeps.binary(params, 1.0)
    with pytest.raises(ValueError, match=r"visible: got a unit of 0.5, wanted 0 or 1"):
        kernel.init((jnp.full(5, 0.5), jnp.zeros(4)))
    with pytest.raises(ValueError, match=r"hidden: got a unit of 0.5, wanted 0 or 1"):
        sweeps.gaussian(reals, 1.0).init((jnp.full(5, 0.5), jnp.full(4, 0.5)))
    with pytest.raises(ValueError, match=r"visible: got shape \(4,\), wanted \(5,\)"):
        kernel.init((jnp.zeros(4), jnp.zeros(4)))
    with pytest.raises(ValueError, match=r"visible: got a label of \[1.0, 1.0, 0.0\], wanted one unit on"):
        sweeps.labelled(params, 1.0, CLASSES).init((jnp.array([0.0, 1.0, 1.0, 1.0, 0.0]), jnp.zeros(4)))
