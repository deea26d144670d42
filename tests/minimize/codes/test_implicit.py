"""Derivatives of codes against finite differences of codes that another solver found."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import elastic_net, group, l1, non_negative
from ebmjax.minimize.codes.implicit import implicit
from ebmjax.minimize.codes.proximal import fista_restarted

REGULARIZERS = {
    "l1": lambda theta: l1(theta["weight"]),
    "elastic net": lambda theta: elastic_net(theta["weight"], theta["ridge"]),
    "non-negative": lambda theta: non_negative(theta["weight"]),
    "group": lambda theta: group(theta["weight"], 3),
}


def smooth(theta, z):
    return sparse_coding.misfit(sparse_coding.Params(theta["dictionary"]), theta["y"], z)


def solver(regularizer):
    def solve(theta):
        bound = jnp.sum(jnp.square(theta["dictionary"]))
        start = jnp.zeros(theta["dictionary"].shape[1], theta["y"].dtype)
        held = regularizer(theta)
        return fista_restarted(partial(smooth, theta), held, start, bound, max_steps=20_000, tolerance=1e-13).value

    return solve


def problem():
    """θ of 9 observed numbers and 12 atoms, and a target with which a larger loss compares the code."""
    random = np.random.default_rng(5)
    dictionary = random.normal(size=(9, 12))
    dictionary /= np.linalg.norm(dictionary, axis=0)
    theta = {
        "dictionary": jnp.asarray(dictionary),
        "y": jnp.asarray(dictionary[:, :3] @ [1.0, 1.5, 0.8] + 0.1 * random.normal(size=9)),
        "weight": jnp.asarray(0.2),
        "ridge": jnp.asarray(0.3),
    }
    return theta, jnp.asarray(random.normal(size=12))


def iterated(regularizer, theta):
    """The code to the precision of the dtype, by many plain proximal steps."""
    step, held = 0.9 / jnp.sum(jnp.square(theta["dictionary"])), regularizer(theta)
    descend = lambda _, z: held.prox(z - step * jax.grad(smooth, 1)(theta, z), step)
    return jax.lax.fori_loop(0, 20_000, descend, jnp.zeros(theta["dictionary"].shape[1]))


@pytest.mark.slow
@pytest.mark.parametrize("name", REGULARIZERS)
def test_slopes_of_a_larger_loss(x64, name):
    """Along random directions of dictionary, observation and weights, one at a time."""
    theta, target = problem()
    solve = jax.jit(partial(iterated, REGULARIZERS[name]))
    # the loss depends on θ through the code and directly
    outer = lambda theta, z: jnp.sum((jnp.tanh(z) - target) ** 2) + theta["weight"] * jnp.sum(theta["y"] ** 2)
    code = implicit(smooth, REGULARIZERS[name], solver(REGULARIZERS[name]), tolerance=1e-12)
    loss = lambda theta: outer(theta, code(theta))
    slopes = jax.jit(jax.grad(loss))(theta)
    assert 1 < int(jnp.sum(solve(theta) != 0)) < 10
    random = np.random.default_rng(0)
    for leaf in theta:
        direction = jnp.asarray(random.normal(size=theta[leaf].shape))
        moved = lambda step: outer(t := theta | {leaf: theta[leaf] + step * direction}, solve(t))
        difference = float(moved(1e-5) - moved(-1e-5)) / 2e-5
        np.testing.assert_allclose(jnp.sum(slopes[leaf] * direction), difference, rtol=2e-5, atol=1e-7)
    assert all(float(jnp.abs(slope).max()) > 1e-3 for key, slope in slopes.items() if key != "ridge")
    assert (float(slopes["ridge"]) != 0) == (name == "elastic net")


@pytest.mark.slow
def test_forward_and_reverse_agree(x64):
    """∂z/∂y both ways, against a least-squares fit on the support; entries off the support stay zero."""
    theta, _ = problem()
    code = implicit(smooth, REGULARIZERS["l1"], solver(REGULARIZERS["l1"]), tolerance=1e-12)
    of_y = lambda y: code(theta | {"y": y})
    forward, reverse = jax.jit(jax.jacfwd(of_y))(theta["y"]), jax.jit(jax.jacrev(of_y))(theta["y"])
    support = np.flatnonzero(of_y(theta["y"]))
    truth = np.zeros((12, 9))
    truth[support] = np.linalg.pinv(np.asarray(theta["dictionary"])[:, support])
    np.testing.assert_allclose(forward, truth, atol=1e-8)
    np.testing.assert_allclose(reverse, truth, atol=1e-8)


@pytest.mark.slow
def test_an_entry_of_an_active_group_may_be_zero_and_still_move(x64):
    """Orthogonal atoms: z = y [1 - λ/‖y‖]⁺ group by group."""
    held = lambda theta: group(1.0, 2)
    misfit = lambda y, z: jnp.sum((y - z) ** 2) / 2
    solve = lambda y: held(y).prox(y, 1.0)
    slopes = jax.jit(jax.jacrev(implicit(misfit, held, solve)))(jnp.array([4.0, 0.0, 0.3, 0.4]))
    np.testing.assert_allclose(slopes, np.diag([1.0, 0.75, 0.0, 0.0]), atol=1e-9)


@pytest.mark.slow
def test_under_jit_and_vmap(x64):
    theta, target = problem()
    code = implicit(smooth, REGULARIZERS["l1"], solver(REGULARIZERS["l1"]), tolerance=1e-12)
    loss = lambda weight, y: jnp.sum((code(theta | {"weight": weight, "y": y}) - target) ** 2)
    weights = jnp.array([0.05, 0.2, 0.5])
    ys = jnp.stack([theta["y"], -theta["y"], theta["y"][::-1]])
    single = jax.jit(jax.grad(loss, (0, 1)))
    together = jax.jit(jax.vmap(jax.grad(loss, (0, 1))))(weights, ys)
    for i in range(3):
        for slope, alone in zip(together, single(weights[i], ys[i]), strict=True):
            np.testing.assert_allclose(slope[i], alone, rtol=1e-6, atol=1e-8)


@pytest.mark.slow
def test_an_empty_code_has_no_slope(x64):
    theta, target = problem()
    code = implicit(smooth, REGULARIZERS["l1"], solver(REGULARIZERS["l1"]))
    slopes = jax.jit(jax.grad(lambda theta: jnp.sum((code(theta) - target) ** 2)))(theta | {"weight": jnp.asarray(9.0)})
    for slope in jax.tree.leaves(slopes):
        np.testing.assert_array_equal(slope, 0)


def test_single_precision_and_any_shape():
    """A code with rows and columns, the soft threshold of the observation."""
    misfit = lambda theta, z: jnp.sum((theta[0] - z) ** 2) / 2
    held = lambda theta: l1(theta[1])
    code = implicit(misfit, held, lambda theta: held(theta).prox(theta[0], 1.0))
    y = jnp.array([[2.0, 0.1, -3.0], [0.2, 5.0, 0.0]])
    dy, dweight = jax.jit(jax.grad(lambda theta: jnp.sum(code(theta) ** 2)))((y, jnp.array(0.5)))
    np.testing.assert_allclose(dy, [[3.0, 0.0, -5.0], [0.0, 9.0, 0.0]], rtol=1e-5)
    np.testing.assert_allclose(dweight, -(3.0 + 5.0 + 9.0), rtol=1e-5)


@pytest.mark.slow
def test_a_dictionary_may_be_learned_through_inference(x64):
    """A gradient step lowers a loss of the code."""
    theta, target = problem()
    code = implicit(smooth, REGULARIZERS["l1"], solver(REGULARIZERS["l1"]))
    loss = jax.jit(jax.value_and_grad(lambda theta: jnp.sum((code(theta) - target) ** 2)))
    before, slopes = loss(theta)
    after, _ = loss(theta | {"dictionary": theta["dictionary"] - 0.01 * slopes["dictionary"]})
    expected = float(before) - 0.01 * float(jnp.sum(slopes["dictionary"] ** 2))
    assert float(after) < float(before)
    np.testing.assert_allclose(after, expected, atol=0.1 * float(before - after))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="tolerance: got -1"):
        implicit(smooth, REGULARIZERS["l1"], solver(REGULARIZERS["l1"]), tolerance=-1.0)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.0, 0.05])
def test_entries_that_a_constraint_holds_do_not_move(x64, weight):
    """Without a weight, the entries at the border of z ≥ 0 are known by their gradients alone."""
    matrix = jnp.array([[1.0, 0.5, 0.2], [0.0, 1.0, 0.3], [0.4, 0.1, 1.0]])
    f = lambda y, z: jnp.sum((y - matrix @ z) ** 2) / 2
    solve = lambda y: (
        fista_restarted(partial(f, y), non_negative(weight), jnp.zeros(3), 4.0, tolerance=0.0, max_steps=2000).value
    )
    for y in ([1.0, -2.0, 0.5], [1.0, 2.0, 3.0], [-1.0, 2.0, -0.3]):
        y = jnp.array(y)
        slopes = jax.jacrev(implicit(f, lambda y: non_negative(weight), solve))(y)
        difference = [(solve(y.at[i].add(1e-5)) - solve(y.at[i].add(-1e-5))) / 2e-5 for i in range(3)]
        np.testing.assert_allclose(slopes, jnp.stack(difference, axis=1), atol=1e-5)
