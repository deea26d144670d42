"""Steps of an adaptive schedule, and pilots, against closed forms.

For energies that are normal with standard deviation s, the weights of a step d in beta are log-normal, and the
conditional share is exp(-(d s)²) in the limit of many members.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.checks import ArgumentError
from ebmjax.marginalize.annealed import annealed_importance, tempered
from ebmjax.marginalize.pilot import pilot_schedule, redivided
from ebmjax.marginalize.schedules import conditional_share, next_point
from ebmjax.sample.gibbs import systematic
from ebmjax.types import CONVERGED, TOO_FEW_TEMPERATURES


def test_the_share_is_the_effective_sample_size_over_the_population():
    rng = np.random.default_rng(0)
    log_w, weights = rng.normal(size=50), rng.random(50)
    w = np.exp(log_w)
    wanted = (weights @ w) ** 2 / (weights.sum() * (weights @ w**2))
    assert abs(float(conditional_share(log_w + 300.0, 7 * weights)) - wanted) < 1e-5
    assert float(conditional_share(jnp.full(4, -jnp.inf), jnp.ones(4))) == 0
    some = jnp.array([0.0, 0.0, -jnp.inf, -jnp.inf])
    assert float(conditional_share(some, jnp.ones(4))) == 0.5
    assert float(conditional_share(some, jnp.array([1.0, 1.0, 0.0, 0.0]))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_step_has_the_length_of_the_closed_form_in_any_unit_and_direction(scale, sign):
    energies = scale * jnp.asarray(np.random.default_rng(1).normal(size=20_000), jnp.float32)
    step = lambda share: next_point(lambda t: -(t - 0.5) * energies, jnp.ones(20_000), 0.5, 0.5 + sign * 1e9, share)
    for share in (0.5, 0.9):
        wanted = math.sqrt(-math.log(share)) / scale
        found = float(jax.jit(step)(share)) - 0.5
        # 1% of the bisection and of the draws, and the resolution of float32 at 0.5
        assert abs(sign * found / wanted - 1) < 0.03 + 1e-7 / wanted


def test_the_last_step_ends_where_the_path_ends_and_nothing_can_stop_it():
    energies = jnp.arange(4.0)
    ones = jnp.ones(4)
    assert float(next_point(lambda t: -t * energies, ones, 0.0, 1e-3, 0.9)) == float(jnp.float32(1e-3))
    assert float(next_point(lambda t: jnp.nan * t * energies, ones, 0.0, 1.0, 0.9)) == 1
    # half of the members are forbidden as soon as t > 0
    walls = jnp.array([0.0, 1.0, jnp.inf, jnp.inf])
    changes = lambda t: jnp.where(jnp.isinf(walls), -jnp.inf, -t * walls)
    assert 0 < float(next_point(changes, ones, 0.0, 1.0, 0.9)) < 1e-15


def test_redivided_schedules_go_through_the_old_points():
    old = np.array([0.0, 0.1, 1.0, 3.0, 3.0, 3.0])
    new = np.asarray(redivided(old, 3, 30))
    np.testing.assert_allclose(new[::10], old[:4], rtol=1e-6)
    assert np.all(np.diff(new) > 0)
    assert len(new) == 31
    np.testing.assert_allclose(jax.jit(lambda links: redivided(old, links, 6))(3), new[::5], rtol=1e-6)


SPINS = 6
FIELD = jnp.asarray(np.random.default_rng(1).normal(size=SPINS), jnp.float32)


def energy(spins):
    return 5 * FIELD @ spins


def kernel(beta):
    return systematic(energy, beta)


@pytest.mark.slow
def test_a_pilot_makes_annealed_importance_sampling_better():
    """Units that are independent: log Z in closed form. From beta = 0 to 4 most changes happen below 0.5."""
    hot = lambda key: jax.random.rademacher(key, (400, SPINS), float)
    truth = float(jnp.sum(jnp.log(2 * jnp.cosh(4 * 5 * FIELD))))
    keys = jax.random.split(jax.random.key(0), 5)
    pilot = pilot_schedule(keys[0], tempered(energy), kernel, [0.0, 4.0], hot(keys[1]), links=40, max_links=60)
    assert int(pilot.result) == CONVERGED
    assert 5 < int(pilot.links) < 30
    run = lambda schedule: annealed_importance(
        keys[2], tempered(energy), kernel, schedule, hot(keys[3]), SPINS * math.log(2)
    )
    found, plain = run(pilot.schedule), run(jnp.linspace(0, 4, 41))
    assert int(found.result) == CONVERGED
    assert abs(float(found.log_partition) - truth) < 5 * float(found.standard_error)
    assert float(found.standard_error) < float(plain.standard_error) / 2
    few = pilot_schedule(keys[0], tempered(energy), kernel, [0.0, 4.0], hot(keys[1]), links=40, max_links=3)
    assert int(few.result) == TOO_FEW_TEMPERATURES
    assert float(few.schedule[-1]) < 4


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("ends: got shape", {"ends": [0.0, 0.5, 1.0]}),
        ("ends: got .* that differ", {"ends": [0.5, 0.5]}),
        ("ends: got .* finite", {"ends": [0.0, math.inf]}),
        ("share", {"share": 1.0}),
        ("share", {"share": 1.5}),
        ("max_links", {"max_links": 0}),
        ("links", {"links": 0}),
        ("starts: got 3 members", {"starts": jnp.ones((3, SPINS))}),
    ],
)
def test_bad_input_is_refused_by_name(name, change):
    arguments = {"ends": [0.0, 1.0], "starts": jnp.ones((4, SPINS)), "links": 3, **change}
    with pytest.raises(ArgumentError, match=name):
        pilot_schedule(jax.random.key(0), tempered(energy), kernel, **arguments)
