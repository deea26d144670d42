"""Free energies and laws of restricted Boltzmann machines against enumeration and quadrature."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ebmjax
from ebmjax import binary_cube, interval
from ebmjax.energies import restricted_boltzmann as rbm
from ebmjax.energies import restricted_boltzmann_gaussian as gaussian
from ebmjax.energies import restricted_boltzmann_labels as labels_rbm
from ebmjax.marginalize.spaces import weighted

BETAS = [0.0, 0.3, 1.7, jnp.inf]
CLASSES = 3


def machine(seed, visible=5, hidden=6):
    """Couplings that make every unit matter at every beta of the tests."""
    keys = jax.random.split(jax.random.key(seed), 3)
    return rbm.Params(
        jax.random.normal(keys[0], (visible, hidden)),
        jax.random.normal(keys[1], (visible,)),
        jax.random.normal(keys[2], (hidden,)),
    )


def gaussian_machine(seed, visible=5, hidden=6):
    binary = machine(seed, visible, hidden)
    log_scale = 0.3 * jax.random.normal(jax.random.key(seed + 100), (visible,))
    return gaussian.Params(*binary, log_scale)


def stacked(make, seeds):
    """Machines of several seeds, with a leading axis."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(make(seed) for seed in seeds))


def marginal(energy, hidden, beta):
    return ebmjax.free_energy(energy, binary_cube(hidden), beta)


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_free_energy_is_that_of_all_hidden_states(beta, x64):
    """Values and slopes, for random machines and visible states."""

    @jax.jit
    @jax.vmap
    def both(params, visible):
        ours = jax.value_and_grad(lambda params: rbm.free_energy(params, visible, beta))
        truth = jax.value_and_grad(lambda params: marginal(partial(rbm.energy, params, visible), 6, beta))
        return ours(params), truth(params)

    params = stacked(machine, range(20))
    visibles = jax.random.bernoulli(jax.random.key(50), shape=(20, 5)).astype(float)
    for value, truth in zip(*map(jax.tree.leaves, both(params, visibles)), strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_free_energy_is_the_formula_of_the_papers(beta, x64):
    """-aᵀv - (1/beta) Σ softplus(beta (b + vᵀW)) + H log 2 / beta: the last term turns the sum into our average."""
    params, visible = machine(1), jnp.array([1.0, 0.0, 1.0, 1.0, 0.0])
    sums = jax.nn.softplus(beta * (params.hidden_bias + visible @ params.weights)).sum()
    wanted = -params.visible_bias @ visible - sums / beta + 6 * jnp.log(2.0) / beta
    np.testing.assert_allclose(rbm.free_energy(params, visible, beta), wanted, rtol=1e-12)


@pytest.mark.parametrize("beta", [0.0, 0.3, 1.7, 40.0])
def test_fields_are_the_conditional_laws(beta, x64):
    params = machine(2)
    visible, hidden = jnp.array([1.0, 0.0, 1.0, 1.0, 0.0]), jnp.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    cube = binary_cube(6)
    law = ebmjax.posterior(partial(rbm.energy, params, visible), cube, beta)
    np.testing.assert_allclose(
        jax.nn.sigmoid(beta * rbm.hidden_field(params, visible)), law @ cube.points, rtol=1e-9, atol=1e-12
    )
    cube = binary_cube(5)
    law = ebmjax.posterior(lambda visible: rbm.energy(params, visible, hidden), cube, beta)
    np.testing.assert_allclose(
        jax.nn.sigmoid(beta * rbm.visible_field(params, hidden)), law @ cube.points, rtol=1e-9, atol=1e-12
    )


def test_initial_biases_give_the_units_their_means():
    mean = jnp.array([0.2, 0.7, 0.0, 1.0])
    params = rbm.init(jax.random.key(0), mean, hidden=3)
    np.testing.assert_allclose(jax.nn.sigmoid(params.visible_bias), [0.2, 0.7, 0.01, 0.99], rtol=1e-5)
    assert params.weights.shape == (4, 3)


def test_grey_values_are_no_binary_data():
    params = machine(0)
    rbm.check_visible(params, np.ones((3, 5)))
    with pytest.raises(ValueError, match=r"visible: got a unit of 0.25, wanted 0 or 1"):
        rbm.check_visible(params, np.full((3, 5), 0.25))
    with pytest.raises(ValueError, match=r"visible: got shape \(3, 4\), wanted a last axis of 5 visible units"):
        rbm.check_visible(params, np.ones((3, 4)))


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_gaussian_free_energy_is_that_of_all_hidden_states(beta, x64):
    @jax.jit
    @jax.vmap
    def both(params, visible):
        truth = marginal(partial(gaussian.energy, params, visible), 6, beta)
        return gaussian.free_energy(params, visible, beta), truth

    ours, truth = both(stacked(gaussian_machine, range(20)), 2 * jax.random.normal(jax.random.key(50), (20, 5)))
    np.testing.assert_allclose(ours, truth, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_gaussian_visible_law_by_quadrature(beta, x64):
    """∫ exp(-beta E) dv on a grid, and its mean and variance, for one visible unit with any hidden state."""
    params = gaussian_machine(3, visible=1, hidden=2)
    line = interval(-30.0, 30.0, 4001)
    for hidden in binary_cube(2).points:
        law = ebmjax.posterior(lambda v, hidden=hidden: gaussian.energy(params, v[None], hidden), line, beta)
        mean, deviation = gaussian.visible_law(params, hidden, beta)
        np.testing.assert_allclose(mean[0], law @ line.points, rtol=1e-8)
        np.testing.assert_allclose(deviation[0] ** 2, law @ (line.points - mean[0]) ** 2, rtol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_gaussian_marginal_is_a_mixture(beta, x64):
    """exp(-beta F(v)) / ∫ = Σ_h P(h) Normal(v; mean, deviation), with P(h) from completing the square by hand."""
    params = gaussian_machine(4, visible=2, hidden=3)
    states, scale = binary_cube(3).points, jnp.exp(params.log_scale)
    pull = states @ params.weights.T
    log_weights = beta * (
        states @ params.hidden_bias + pull @ (params.visible_bias / scale) + (pull**2).sum(axis=1) / 2
    )
    mixture = jax.nn.softmax(log_weights)

    def density(visible):
        means, deviations = jax.vmap(lambda hidden: gaussian.visible_law(params, hidden, beta))(states)
        return mixture @ jnp.exp(jax.scipy.stats.norm.logpdf(visible[None], means, deviations).sum(axis=1))

    points = 2 * jax.random.normal(jax.random.key(1), (6, 2))
    ratios = jnp.log(jax.vmap(density)(points)) + beta * jax.vmap(lambda v: gaussian.free_energy(params, v, beta))(
        points
    )
    np.testing.assert_allclose(ratios, ratios[:1].repeat(6), rtol=1e-9)


def test_the_coldest_and_the_hottest_gaussian_units():
    params = gaussian_machine(0)
    assert (gaussian.visible_law(params, jnp.ones(6), jnp.inf)[1] == 0).all()
    assert jnp.isinf(gaussian.visible_law(params, jnp.ones(6), 0.0)[1]).all()


def test_gaussian_units_begin_as_the_data_are():
    params = gaussian.init(jax.random.key(0), jnp.array([1.0, 2.0]), jnp.array([0.5, 0.0]), hidden=4)
    mean, deviation = gaussian.visible_law(params, jnp.zeros(4), 4.0)
    np.testing.assert_allclose(mean, [1.0, 2.0])
    np.testing.assert_allclose(deviation, [0.25, 5e-4], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_label_free_energies_and_law_by_enumeration(beta, x64):
    """Each F(v, c) from the hidden states, and P(c | v) from all joint states (c, h) at once."""
    cube = binary_cube(6)

    @jax.jit
    @jax.vmap
    def checked(params, image):
        energy = lambda label, hidden: labels_rbm.energy(params, image, label, hidden, CLASSES)
        labels = jnp.arange(CLASSES)
        free = labels_rbm.label_free_energies(params, image, beta, CLASSES)
        truth = jnp.stack([marginal(partial(energy, label), 6, beta) for label in labels])
        plain = [
            rbm.free_energy(params, labels_rbm.with_label(image, label, CLASSES), beta) for label in range(CLASSES)
        ]
        joint = jax.vmap(lambda label: jax.vmap(partial(energy, label))(cube.points))(labels)
        law = ebmjax.softargmin(jnp.ravel(joint), beta).reshape(CLASSES, 64).sum(axis=1)
        ours = labels_rbm.label_law(params, image, beta, CLASSES)
        return (free, free, ours), (truth, jnp.stack(plain), law)

    params = stacked(partial(machine, visible=4 + CLASSES), range(20))
    images = jax.random.bernoulli(jax.random.key(51), shape=(20, 4)).astype(float)
    for value, truth in zip(*checked(params, images), strict=True):
        np.testing.assert_allclose(value, truth, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("beta", BETAS)
def test_label_energies_are_the_law_given_the_hidden_units(beta, x64):
    params, image = machine(5, visible=4 + CLASSES), jnp.array([0.0, 1.0, 1.0, 0.0])
    hidden = jnp.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    classes = weighted(jnp.arange(CLASSES), jnp.zeros(CLASSES))
    truth = ebmjax.posterior(lambda c: labels_rbm.energy(params, image, c, hidden, CLASSES), classes, beta)
    law = ebmjax.softargmin(labels_rbm.label_energies(params, hidden, CLASSES), beta)
    np.testing.assert_allclose(law, truth, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_faults_are_named():
    params, image = machine(0, visible=7), jnp.zeros(4)
    with pytest.raises(ValueError, match=r"beta: got -1.0"):
        rbm.free_energy(params, jnp.zeros(7), -1.0)
    with pytest.raises(ValueError, match=r"beta: got -1.0"):
        gaussian.free_energy(gaussian_machine(0), jnp.zeros(5), -1.0)
    with pytest.raises(ValueError, match="beta: got nan"):
        labels_rbm.label_law(params, image, jnp.nan, CLASSES)
    with pytest.raises(ValueError, match="label: got 3, wanted 0 to 2"):
        labels_rbm.with_label(image, 3, CLASSES)
    with pytest.raises(ValueError, match="label: got -1, wanted 0 to 2"):
        labels_rbm.with_label(image, -1, CLASSES)
    for classes in (0, 1, 7):
        with pytest.raises(ValueError, match=f"classes: got {classes}, wanted 2 to 6"):
            labels_rbm.label_free_energies(params, image, 1.0, classes)
    with pytest.raises(ValueError, match="image: got 4 pixels, wanted 5"):
        labels_rbm.label_free_energies(params, image, 1.0, 2)


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.3, 1.7])
def test_summed_free_energies_give_the_log_z_of_all_units(x64, beta):
    """The field's convention: log Z is a sum over all visible and hidden states."""
    params = machine(0, 3, 4)
    everything = ebmjax.log_partition(lambda s: rbm.energy(params, s[:3], s[3:]), binary_cube(7), beta)
    visible = lambda free: ebmjax.log_partition(lambda v: free(params, v, beta), binary_cube(3), beta)
    np.testing.assert_allclose(visible(rbm.summed_free_energy), everything, rtol=1e-10)
    np.testing.assert_allclose(visible(rbm.free_energy), everything - 4 * np.log(2), rtol=1e-10)
    real = gaussian.Params(*params, jnp.zeros(3))
    v = jnp.array([0.3, -1.0, 2.0])
    by_hand = -jax.nn.logsumexp(-beta * jax.vmap(lambda h: gaussian.energy(real, v, h))(binary_cube(4).points)) / beta
    np.testing.assert_allclose(gaussian.summed_free_energy(real, v, beta), by_hand, rtol=1e-10)
    with pytest.raises(ValueError, match="beta: got 0"):
        rbm.summed_free_energy(params, v, 0.0)
