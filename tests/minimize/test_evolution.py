"""Evolution of Hopfield networks against a plain loop and the enumeration of all states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import spin_cube
from ebmjax.energies import hopfield
from ebmjax.energies.hopfield import Params
from ebmjax.minimize.evolution import asynchronous, asynchronous_random, energy_trace, evolve, synchronous
from ebmjax.types import CONVERGED, DIVERGED, RESULTS, STEP_LIMIT, TWO_CYCLE
from tests.programs import equations

UNITS = 9
MINIMIZERS = {
    "asynchronous": lambda params, spins: asynchronous(params, spins, jnp.arange(len(spins))),
    "asynchronous_random": lambda params, spins: asynchronous_random(jax.random.key(0), params, spins),
}


def glass(seed, units=UNITS):
    """Couplings and biases at random: a network with many minima that stores no patterns."""
    first, second = jax.random.split(jax.random.key(seed))
    upper = jnp.triu(jax.random.normal(first, (units, units)), 1)
    return Params(upper + upper.T, 0.3 * jax.random.normal(second, (units,)))


def random_spins(seed, *shape):
    return jax.random.rademacher(jax.random.key(seed), shape, dtype=jnp.float32)


def plain_loop(params, spins, order, sweeps):
    """The definition, with the field summed anew for every update."""
    weights, bias, spins = (np.array(x, np.float64) for x in (*params, spins))
    states, heights = [], []
    for _ in range(sweeps):
        for i in order:
            h = weights[i] @ spins + bias[i]
            spins[i] = np.sign(h) if h != 0 else spins[i]
            heights.append(-0.5 * spins @ weights @ spins - bias @ spins)
        states.append(spins.copy())
    return np.array(states), np.reshape(heights, (sweeps, len(order)))


def is_fixed(params, spins):
    return jnp.all(hopfield.field(params, spins) * spins >= -1e-5)


@pytest.mark.slow
def test_trace_is_the_plain_loop():
    params, order = glass(0, 40), jax.random.permutation(jax.random.key(1), 40)
    starts = random_spins(2, 5, 40)
    traces = jax.jit(jax.vmap(lambda spins: energy_trace(params, spins, order, 6)))(starts)
    for index, start in enumerate(starts):
        states, heights = plain_loop(params, start, np.asarray(order), 6)
        np.testing.assert_array_equal(traces.spins[index], states)
        np.testing.assert_allclose(traces.energies[index], heights, rtol=1e-5, atol=1e-4)
    flat = traces.energies.reshape(5, -1)
    assert (jnp.diff(flat, axis=1) <= 0).all()
    assert (flat[:, 0] > flat[:, -1] + 1).all()


@pytest.mark.slow
def test_evolve_is_the_trace_in_the_natural_order():
    params, start = glass(3), random_spins(4, UNITS)
    trace = energy_trace(params, start, jnp.arange(UNITS), 3)
    for sweeps in (1, 2, 3):
        np.testing.assert_array_equal(evolve(params, start, sweeps), trace.spins[sweeps - 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", MINIMIZERS)
def test_every_state_falls_into_a_fixed_point(name):
    """All 512 states of a glass: only fixed points stay as they are, and the energy falls for all others."""
    params, states = glass(5), spin_cube(UNITS).points
    solution = jax.jit(jax.vmap(MINIMIZERS[name], (None, 0)))(params, states)
    heights = jax.vmap(hopfield.energy, (None, 0))(params, states)
    fixed = jax.vmap(is_fixed, (None, 0))(params, states)
    assert (solution.result == CONVERGED).all()
    assert jax.vmap(is_fixed, (None, 0))(params, solution.value).all()
    moved = jnp.any(solution.value != states, axis=1)
    np.testing.assert_array_equal(moved, ~fixed)
    np.testing.assert_array_equal(solution.steps == 0, fixed)
    assert (solution.energy < heights - 1e-6)[moved].all()
    ends = jax.vmap(hopfield.energy, (None, 0))(params, solution.value)
    np.testing.assert_allclose(solution.energy, ends, rtol=1e-6)
    assert heights.min() == solution.energy.min()


@pytest.mark.slow
@pytest.mark.parametrize("name", MINIMIZERS)
def test_minimizers_work_under_jit_vmap_and_scan(name):
    params, starts = glass(6), random_spins(7, 8, UNITS)
    alone = [MINIMIZERS[name](params, start) for start in starts]
    batched = jax.jit(jax.vmap(lambda start: MINIMIZERS[name](params, start)))(starts)
    _, scanned = jax.lax.scan(lambda carry, start: (carry, MINIMIZERS[name](params, start)), None, starts)
    for index, single in enumerate(alone):
        for a, b, c in zip(single, batched, scanned, strict=True):
            np.testing.assert_allclose(a, b[index], rtol=1e-6)
            np.testing.assert_allclose(a, c[index], rtol=1e-6)


@pytest.mark.slow
def test_a_random_order_is_fresh_in_each_sweep_and_each_key():
    """From one state, different keys end in different minima of a glass; one key always in the same."""
    params, start = glass(8, 40), random_spins(9, 40)
    keys = jax.random.split(jax.random.key(10), 30)
    ends = jax.jit(jax.vmap(lambda key: asynchronous_random(key, params, start)))(keys)
    assert (ends.result == CONVERGED).all()
    assert len(np.unique(ends.value, axis=0)) > 3
    np.testing.assert_array_equal(ends.value[3], asynchronous_random(keys[3], params, start).value)
    one = jax.jit(jax.vmap(lambda key, spins: asynchronous_random(key, params, spins, 1).value))
    starts = jnp.broadcast_to(start, (30, 40))
    two = jax.jit(jax.vmap(lambda key: asynchronous_random(key, params, start, 2).value))(keys)
    assert (two != one(keys, one(keys, starts))).any(), "the second sweep goes in the order of the first"


@pytest.mark.slow
def test_ties_keep_the_spin():
    params = Params(jnp.zeros((3, 3)), jnp.zeros(3))
    for solve in (*MINIMIZERS.values(), synchronous):
        solution = solve(params, jnp.array([1.0, -1.0, 1.0]))
        assert solution.value.tolist() == [1, -1, 1]
        assert (int(solution.steps), int(solution.result)) == (0, CONVERGED)


@pytest.mark.slow
def test_ties_up_to_rounding_keep_the_spin_too():
    """Hebb's fields are multiples of 1/N, which is no float: with four patterns ties are frequent, up to rounding."""
    patterns = random_spins(11, 4, 49)
    params, starts = hopfield.hebbian(patterns), random_spins(12, 200, 49)
    overlaps = np.array(starts, int) @ np.array(patterns, int).T
    exact = overlaps @ np.array(patterns, int) - 4 * np.array(starts, int)
    assert (exact == 0).sum() > 200
    rounded = jax.vmap(hopfield.field, (None, 0))(params, starts)
    assert (np.asarray(rounded)[exact == 0] != 0).any()
    integers, spins = np.array(patterns, int), np.array(starts, int)
    for unit in range(49):
        field = spins @ integers.T @ integers[:, unit] - 4 * spins[:, unit]
        spins[:, unit] = np.where(field == 0, spins[:, unit], np.sign(field))
    np.testing.assert_array_equal(jax.jit(jax.vmap(lambda s: evolve(params, s, 1)))(starts), spins)


@pytest.mark.slow
def test_synchronous_updates_end_in_a_fixed_point_or_a_cycle_of_two():
    params, states = glass(13), spin_cube(UNITS).points
    solution = jax.jit(jax.vmap(synchronous, (None, 0)))(params, states)
    assert set(np.unique(solution.result)) == {CONVERGED, TWO_CYCLE}
    assert (solution.steps < 30).all()
    turn = jax.vmap(lambda spins: jnp.sign(hopfield.field(params, spins)))
    once, twice = turn(solution.value), turn(turn(solution.value))
    settled = solution.result == CONVERGED
    np.testing.assert_array_equal(once[settled], solution.value[settled])
    np.testing.assert_array_equal(twice, solution.value)
    assert (once != solution.value)[~settled].any(axis=1).all()
    heights = jax.vmap(hopfield.energy, (None, 0))(params, once)
    assert (solution.energy <= heights + 1e-5).all()
    assert RESULTS[TWO_CYCLE] == "cycle of two states"


def test_a_ferromagnet_cycles_when_all_spins_turn_at_once():
    params = Params(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.zeros(2))
    solution = synchronous(params, jnp.array([1.0, -1.0]))
    assert (int(solution.result), float(solution.energy)) == (TWO_CYCLE, 1.0)
    assert int(asynchronous(params, jnp.array([1.0, -1.0]), jnp.arange(2)).result) == CONVERGED


@pytest.mark.slow
def test_limits_and_infinities_are_result_codes():
    chain = Params(jnp.diag(jnp.ones(19), 1) + jnp.diag(jnp.ones(19), -1), jnp.zeros(20).at[0].set(3.0))
    start, backwards = -jnp.ones(20), jnp.arange(20)[::-1]
    chain = chain._replace(weights=chain.weights * 0.5, bias=chain.bias + 0.25)
    slow = asynchronous(chain, start, backwards, max_sweeps=4)
    assert (int(slow.result), int(slow.steps)) == (STEP_LIMIT, 4)
    assert int(asynchronous(chain, start, backwards).result) == CONVERGED
    assert int(synchronous(chain, start, max_sweeps=4).result) == STEP_LIMIT
    nothing = Params(jnp.full((3, 3), jnp.nan), jnp.zeros(3))
    for solve in (*MINIMIZERS.values(), synchronous):
        assert int(jax.jit(solve)(nothing, jnp.ones(3)).result) == DIVERGED


@pytest.mark.slow
def test_solutions_differentiate_by_the_envelope_theorem():
    params, start = glass(14), random_spins(15, UNITS)
    for solve in (*MINIMIZERS.values(), synchronous):
        value = solve(params, start).value
        slope = jax.jit(jax.grad(lambda params, solve=solve: solve(params, start).energy))(params)
        np.testing.assert_allclose(slope.weights, -0.5 * jnp.outer(value, value), rtol=1e-6)
        np.testing.assert_allclose(slope.bias, -value, rtol=1e-6)
    slope = jax.grad(lambda params: evolve(params, start, 2).sum())(params)
    assert not any(leaf.any() for leaf in slope)


@pytest.mark.slow
def test_a_stored_pattern_is_recalled():
    """10 patterns in 200 units, 15% of the spins turned: a load of 0.05, far below 0.138."""
    patterns = random_spins(16, 10, 200)
    start = jnp.where(jax.random.bernoulli(jax.random.key(17), 0.15, patterns.shape), -patterns, patterns)
    solution = jax.jit(jax.vmap(MINIMIZERS["asynchronous"], (None, 0)))(hopfield.hebbian(patterns), start)
    np.testing.assert_array_equal(solution.value, patterns)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: asynchronous(p, jnp.zeros(UNITS), jnp.arange(UNITS)), "spins: got a unit of 0.0"),
        (lambda p: synchronous(p, jnp.zeros(UNITS)), "spins: got a unit of 0.0"),
        (lambda p: evolve(p, jnp.ones(UNITS), 0), "sweeps: got 0, wanted at least 1"),
        (lambda p: synchronous(p, jnp.ones(UNITS), 0), "max_sweeps: got 0, wanted at least 1"),
        (lambda p: energy_trace(p, jnp.ones(UNITS), jnp.arange(UNITS), 0), "sweeps: got 0, wanted at least 1"),
        (
            lambda p: asynchronous(p, jnp.ones(UNITS), jnp.zeros(UNITS, int)),
            "order: got .*, wanted each of 0 to 8 once",
        ),
        (lambda p: asynchronous(p, jnp.ones(UNITS), jnp.arange(UNITS), 0), "max_sweeps: got 0"),
        (
            lambda p: synchronous(p._replace(weights=p.weights + jnp.eye(UNITS)), jnp.ones(UNITS)),
            "weights: got a diagonal with 1.0 in it",
        ),
    ],
)
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(glass(18))


@pytest.mark.slow
def test_integers_are_spins_and_weights():
    weights = np.array([[0, 1, -1], [1, 0, 1], [-1, 1, 0]])
    params = Params(jnp.asarray(weights), jnp.array([1, 0, 0]))
    plain = Params(jnp.asarray(weights, jnp.float32), jnp.array([1.0, 0.0, 0.0]))
    for dtype in (jnp.int8, jnp.int32, jnp.float32):
        spins = jnp.array([-1, 1, 1], dtype)
        for run in (
            lambda params, spins: asynchronous(params, spins, jnp.arange(3)),
            lambda params, spins: asynchronous_random(jax.random.key(0), params, spins),
            synchronous,
            lambda params, spins: evolve(params, spins, 2),
            lambda params, spins: energy_trace(params, spins, jnp.arange(3), 2),
        ):
            ours, truth = run(params, spins), run(plain, spins.astype(jnp.float32))
            jax.tree.map(np.testing.assert_array_equal, ours, truth)


@pytest.mark.slow
def test_weights_that_are_closed_over_are_no_constants_of_the_compiler():
    """Folding them took the compiler 17 s at 2,304 units; a barrier hides their values from it."""
    patterns = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], size=(20, 1000)), jnp.float32)
    params = hopfield.hebbian(patterns)
    for run in (
        lambda spins: asynchronous(params, spins, jnp.arange(1000)),
        lambda spins: synchronous(params, spins),
        lambda spins: evolve(params, spins, 2),
    ):
        assert "optimization_barrier" in [each.primitive.name for each in equations(run, patterns[0])]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_no_spin_turns_against_its_field(seed):
    """Spin by spin: one that turns had a field, computed in float64, of the sign that it takes."""
    params, spins = glass(seed, 60), random_spins(seed, 60)
    weights, bias = (np.asarray(array, np.float64) for array in params)
    order = jnp.arange(60)
    for unit in range(60):
        # the trace of one sweep that begins with this unit tells what its first visit does to the energy
        fall = energy_trace(params, spins, jnp.roll(order, -unit), 1).energies[0, 0] - hopfield.energy(params, spins)
        field = weights[unit] @ np.asarray(spins, np.float64) + bias[unit]
        np.testing.assert_allclose(fall, min(0.0, 2 * spins[unit] * field), atol=1e-3)
