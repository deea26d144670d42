"""The general latent energy against the models that are instances of it, in value and in every gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import circle, free_energy
from ebmjax.energies import ellipse, generalized_horn, horn, latent, penalties, placed_ellipse, sparse_coding
from ebmjax.energies import variational_autoencoder as vae
from ebmjax.energies.latent import Params, half_squared_error, latent_energy, squared_error, unchanged, unregularized
from ebmjax.energies.regularizers import l1


def agree(general, special, params, unknowns):
    """One value and one slope by everything there is, for two functions of (params, *unknowns)."""
    np.testing.assert_allclose(general(params, *unknowns), special(params, *unknowns), rtol=1e-10, atol=1e-12)
    everything = tuple(range(1 + len(unknowns)))
    ours, theirs = (jax.jit(jax.grad(energy, everything))(params, *unknowns) for energy in (general, special))
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    slopes = jax.tree.leaves(ours)
    assert any(bool(jnp.any(slope != 0)) for slope in slopes)
    for one, other in zip(slopes, jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-11)


def doubled(params):
    """Networks start in single precision."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)


def unconditional(energy):
    """Without x, as a function of the decoder's parameters alone."""
    return lambda decoder, *unknowns: energy(Params(None, decoder), None, *unknowns)


@pytest.mark.slow
def test_the_ellipse(x64):
    energy = latent_energy(squared_error, lambda params, _, z: ellipse.decode(params, z), unchanged, unregularized, 0.0)
    params = ellipse.Params(jnp.array([2.0, 1.5]))
    for y, z in ((jnp.array([1.2, -0.7]), jnp.array(0.8)), (jnp.array([2.0, 0.0]), jnp.array(-2.0))):
        agree(unconditional(energy), ellipse.energy, params, (y, z))
    y = jnp.array([1.2, -0.7])
    for beta in (0.0, 3.0, jnp.inf):
        ours = free_energy(lambda z: unconditional(energy)(params, y, z), circle(24), beta)
        np.testing.assert_allclose(ours, free_energy(lambda z: ellipse.energy(params, y, z), circle(24), beta))


def test_the_placed_ellipse(x64):
    decoder = lambda params, _, z: placed_ellipse.decode(params, z)
    energy = latent_energy(squared_error, decoder, unchanged, unregularized, 0.0)
    params = placed_ellipse.Params(jnp.array([2.0, 1.5]), jnp.array([0.3, -1.0]), jnp.array(0.4))
    agree(unconditional(energy), placed_ellipse.energy, params, (jnp.array([1.2, -0.7]), jnp.array(0.8)))


@pytest.mark.slow
def test_the_horn(x64):
    """The decoder has no parameters: the predictor has them all."""
    energy = latent_energy(
        squared_error,
        lambda _, radii, z: radii * jnp.stack([jnp.cos(z), jnp.sin(z)]),
        lambda predictor, x: predictor(x),
        unregularized,
        0.0,
    )
    params = doubled(horn.init(jax.random.key(0)))
    general = lambda params, *unknowns: energy(Params(params.predictor, None), *unknowns)
    agree(general, horn.energy, params, (jnp.array(0.3), jnp.array([1.2, -0.7]), jnp.array(0.8)))


@pytest.mark.slow
@pytest.mark.parametrize("regularizer", [penalties.squared_norm, penalties.l1_norm])
def test_the_generalized_horn(regularizer, x64):
    energy = latent_energy(
        squared_error,
        lambda decoder, features, z: decoder(jnp.concatenate([features, z])),
        lambda predictor, x: predictor(jnp.atleast_1d(x)),
        regularizer,
        0.3,
    )
    params = doubled(generalized_horn.init(jax.random.key(0), latent=3))
    general = lambda params, *unknowns: energy(Params(params.predictor, params.decoder), *unknowns)

    def special(params, x, y, z):
        held = lambda z: generalized_horn.energy(params, x, y, z)
        return penalties.regularized(held, regularizer, 0.3)(z)

    agree(general, special, params, (jnp.array(0.3), jnp.array([1.2, -0.7]), jnp.array([0.8, -0.1, 0.4])))


@pytest.mark.slow
def test_sparse_coding(x64):
    decoder = lambda params, _, z: sparse_coding.reconstruction(params, z)
    params = sparse_coding.init(jax.random.key(0), 3, 4)
    unknowns = jnp.array([1.0, -0.5, 2.0]), jnp.array([0.8, 0.3, -0.5, 0.2])
    special = lambda params, y, z: sparse_coding.energy(params, l1(0.3), y, z)
    for regularizer, weight in ((penalties.l1_norm, 0.3), (l1(0.3).value, 1.0)):
        energy = latent_energy(half_squared_error, decoder, unchanged, regularizer, weight)
        agree(unconditional(energy), special, params, unknowns)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["bernoulli", "gaussian"])
def test_the_decoder_of_a_variational_autoencoder(name, x64):
    """C = -log p(y|decoded) and R = ½‖z‖²: up to the constant of the prior, which has no slope."""
    observation = {"bernoulli": vae.bernoulli(), "gaussian": vae.gaussian(0.5)}[name]
    params, y, z = (
        doubled(vae.init(jax.random.key(0), 4, (5,), 2)),
        jnp.array([1.0, 0.0, 1.0, 1.0]),
        jnp.array([0.3, -1]),
    )
    cost = lambda y, decoded: observation.cost(decoded, y)
    energy = latent_energy(cost, lambda decoder, _, z: decoder(z), unchanged, penalties.squared_norm, 0.5)
    general = lambda decoder, y, z: unconditional(energy)(decoder, y, z) + jnp.log(2 * jnp.pi)  # d/2 log 2π, d = 2
    special = lambda decoder, y, z: vae.energy(vae.Params(params.encoder, decoder), observation, y, z)
    agree(general, special, params.decoder, (y, z))


def test_an_unknown_that_is_a_record_and_a_cost_of_its_own(x64):
    """-log p(y|ỹ) of bits as C, and a latent in two parts."""
    cost = lambda y, logits: jnp.sum(jax.nn.softplus(logits) - y * logits)
    decoder = lambda params, shift, z: params @ z["place"] + shift + z["height"]
    size = lambda z: penalties.squared_norm(z["place"]) + jnp.abs(z["height"])
    energy = latent_energy(cost, decoder, lambda scale, x: scale * x, size, 0.5)
    weights, y = jnp.array([[1.0, -1.0], [0.5, 2.0]]), jnp.array([1.0, 0.0])
    z = {"place": jnp.array([0.2, -0.4]), "height": jnp.array(-0.3)}
    logits = np.array([0.2 + 0.4, 0.1 - 0.8]) + 2.0 * 0.7 - 0.3
    probability = 1 / (1 + np.exp(-logits))
    by_hand = -np.log(probability[0]) - np.log(1 - probability[1]) + 0.5 * (0.04 + 0.16 + 0.3)
    params = Params(jnp.array(2.0), weights)
    np.testing.assert_allclose(energy(params, jnp.array(0.7), y, z), by_hand, rtol=1e-12)
    codes = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), z)
    batched = jax.vmap(energy, in_axes=(None, None, None, 0))(params, jnp.array(0.7), y, codes)
    np.testing.assert_allclose(batched[0], by_hand, rtol=1e-12)


def test_a_weight_may_be_traced_and_differentiated():
    decoder = lambda scale, _, z: scale * z
    make = lambda weight: latent_energy(half_squared_error, decoder, unchanged, penalties.squared_norm, weight)
    params, y, z = Params(None, jnp.array(2.0)), jnp.array([1.0, 2.0]), jnp.array([0.5, 0.5])
    value, slope = jax.jit(jax.value_and_grad(lambda weight: make(weight)(params, None, y, z)))(3.0)
    assert float(value) == 0.5 + 3 * 0.5
    assert float(slope) == 0.5


def test_bad_arguments_are_named():
    make = lambda cost=squared_error, regularizer=unregularized, weight=1.0: latent_energy(
        cost, lambda _, features, z: z, unchanged, regularizer, weight
    )
    call = lambda energy, size=2: energy(Params(None, None), None, jnp.ones(size), jnp.ones(2))
    with pytest.raises(ValueError, match="weight: got -1"):
        make(weight=-1.0)
    with pytest.raises(ValueError, match="weight: got nan"):
        make(weight=jnp.nan)
    with pytest.raises(ValueError, match=r"cost: got a value of shape \(2,\), wanted a scalar"):
        call(make(cost=lambda y, decoded: y - decoded))
    with pytest.raises(ValueError, match=r"regularizer: got a value of shape \(2,\), wanted a scalar"):
        call(make(regularizer=jnp.abs))
    with pytest.raises(ValueError, match=r"regularizer: got a value of shape \(\(\), \(\)\), wanted a scalar"):
        call(make(regularizer=lambda z: (1.0, 2.0)))
    for cost in (squared_error, half_squared_error):
        with pytest.raises(ValueError, match=r"decoded: got shape \(2,\), wanted \(3,\)"):
            call(make(cost=cost), 3)
    assert latent.unregularized(jnp.ones(3)) == 0
