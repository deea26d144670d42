"""The Potts model against all states of small graphs, by hand, and by elimination."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import ising, potts
from ebmjax.marginalize.elimination import exact, factors, graphs, plans

STATES = 3
EDGES = potts.lattice(2, 3)
RANDOM = np.random.default_rng(0)
PARAMS = potts.Params(
    jnp.asarray(RANDOM.normal(size=len(EDGES)), jnp.float32), jnp.asarray(RANDOM.normal(size=(6, STATES)), jnp.float32)
)
ALL = np.array(list(itertools.product(range(STATES), repeat=6)))


def by_hand(state):
    """The energy, term by term."""
    bonds = sum(float(J) for J, (a, b) in zip(PARAMS.coupling, EDGES, strict=True) if state[a] == state[b])
    return -bonds - sum(float(PARAMS.field[unit, value]) for unit, value in enumerate(state))


def test_energy_term_by_term():
    energies = jax.vmap(lambda state: potts.energy(PARAMS, EDGES, state))(jnp.asarray(ALL))
    np.testing.assert_allclose(energies[::37], [by_hand(state) for state in ALL[::37]], rtol=1e-5, atol=1e-5)


def test_local_energies_are_differences():
    """Of one unit, up to a constant; and the conditional law at beta = 0.7 is that of all states."""
    state = ALL[345]
    local = np.asarray(potts.local_energies(PARAMS, EDGES, state))
    law = np.asarray(potts.conditional(PARAMS, EDGES, state, 0.7))
    for unit in range(6):
        turned = np.repeat(state[None], STATES, axis=0)
        turned[:, unit] = np.arange(STATES)
        energies = np.array([by_hand(each) for each in turned])
        np.testing.assert_allclose(local[unit] - local[unit][0], energies - energies[0], atol=1e-5)
        weights = np.exp(-0.7 * (energies - energies.min()))
        np.testing.assert_allclose(law[unit], weights / weights.sum(), atol=1e-6)


@pytest.mark.slow
def test_elimination_has_the_same_model():
    graph = graphs.from_edges(6, EDGES)
    plan = plans.plan(graph, states=STATES)
    terms = factors.potts(PARAMS.coupling, PARAMS.field)
    energies = np.array([by_hand(state) for state in ALL])
    for beta in (0.7, 2.0):
        found = exact.log_partition(plan, terms, beta).log_partition
        np.testing.assert_allclose(found, np.log(np.exp(-beta * energies).sum()), rtol=1e-5)


def test_two_states_are_spins():
    """E = -J Σ (1 + s s')/2, with a uniform field of the second state."""
    spins = jnp.asarray(RANDOM.choice([-1.0, 1.0], (4, 5)))
    params = potts.Params(jnp.array(2.0), jnp.array([0.0, 0.6]))
    found = potts.energy(params, potts.lattice(4, 5), (spins.ravel() + 1) / 2)
    of_spins = ising.energy(ising.Params(jnp.array(1.0), jnp.array(0.3)), spins)
    np.testing.assert_allclose(found, of_spins - 40 - 0.3 * 20, rtol=1e-5)


def test_lattices_have_the_right_edges():
    for rows, columns in ((3, 4), (2, 2), (1, 3)):
        assert len(potts.lattice(rows, columns, periodic=False)) == 2 * rows * columns - rows - columns
    assert len(potts.lattice(5, 4)) == 40
    assert len(potts.lattice(2, 2)) == 8  # two between neighbours, as in `ising`
    assert len(potts.lattice(1, 1)) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((potts.Params(jnp.ones(3), jnp.zeros(3)), EDGES, jnp.zeros(6)), "coupling: got shape"),
        ((potts.Params(jnp.ones(()), jnp.zeros((5, 3))), EDGES, jnp.zeros(6)), "field: got shape"),
        ((potts.Params(jnp.ones(()), jnp.zeros(1)), EDGES, jnp.zeros(6)), "field: got shape"),
        ((PARAMS, EDGES, jnp.zeros(5)), "edges: got the unit 5"),
        ((PARAMS, EDGES, jnp.zeros((2, 3))), "state: got shape"),
        ((PARAMS, [(1, 1)], jnp.zeros(6)), "edges: got edge 0 from unit 1 to itself"),
        ((PARAMS, [0, 1], jnp.zeros(6)), "edges: got"),
        ((PARAMS, np.array([[0.0, 1.0]]), jnp.zeros(6)), "edges: got"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises((ValueError, TypeError), match=f"^{message}"):
        potts.energy(*arguments)


def test_the_transition_of_two_states_is_onsagers():
    np.testing.assert_allclose(potts.critical_beta(2), 2 * ising.CRITICAL_BETA, rtol=1e-12)
    with pytest.raises(ValueError, match="states: got 1"):
        potts.critical_beta(1)
