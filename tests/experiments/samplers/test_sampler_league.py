"""What the league of samplers measures: scores of exact draws, of biased ones and of stuck ones; every player's law."""

import jax
import numpy as np
import pytest

from ebmjax.diagnostics import z_scores
from ebmjax.problems.laws.ellipse_posterior import ellipse_posterior
from ebmjax.problems.laws.gaussian import gaussian
from experiments.samplers import league_scores, players, references
from experiments.samplers.league_laws import Which, entry

CHAINS, DRAWS, EACH = 16, 200, 8
PROBLEM = gaussian(2, 1.0)
SIZES = players.Sizes(150, 100, 8, 4)
LINEUP = players.lineup((4,))


def score(positions, diverged=0):
    positions = np.asarray(positions, np.float32)
    measured = jax.tree.map(np.asarray, league_scores.MEASURE(positions))
    known = league_scores.of_unknowns(PROBLEM.truth)
    return league_scores.judged(
        PROBLEM.name, known, ("made up", players.OURS), positions, measured, diverged, (100.0, DRAWS * EACH), 2.0
    )


@pytest.mark.slow
def test_exact_draws_pass_and_others_fail_by_the_right_gate():
    draws = PROBLEM.truth.means + np.random.default_rng(0).normal(size=(CHAINS, DRAWS, 2))
    good, curve = score(draws)
    assert good.failures == ()
    assert curve.passed
    # independent draws: as many as there are, and errors that fall as one over the square root of their number
    assert abs(good.ess / (CHAINS * DRAWS) - 1) < 0.2
    np.testing.assert_allclose(good.per_thousand, 1000 * good.ess / (CHAINS * DRAWS * EACH))
    np.testing.assert_allclose(good.per_second, good.ess / 2.0)
    assert 0 < good.spread < 0.3 * good.per_thousand
    np.testing.assert_allclose(curve.error[[24, 99]] * np.sqrt([25, 100]), 1, atol=0.35)
    assert curve.work[-1] == DRAWS * EACH
    assert 30 * EACH < good.mean_work < 190 * EACH
    assert good.worst_work >= good.mean_work
    assert [failure[:3] for failure in score(draws + np.array([0.0, 0.2]))[0].failures] == ["|z|"]
    assert score(draws, diverged=1)[0].failures == ("1 divergence",)
    apart = score(draws + np.linspace(-1, 1, CHAINS)[:, None, None])[0]
    assert apart.failures[0].startswith("R-hat")
    still = score(np.broadcast_to(draws[:, :1], draws.shape))[0]
    assert still.failures[0] == "R-hat inf"
    assert still.mean_work == np.inf


def test_those_that_pass_come_first():
    draws = PROBLEM.truth.means + np.random.default_rng(1).normal(size=(CHAINS, DRAWS, 2))
    right, wrong = score(draws)[0], score(draws + 1)[0]
    theirs = wrong._replace(package=players.THEIRS, per_thousand=1e9)
    assert league_scores.ranked([theirs, wrong, right]) == [right, wrong, theirs]


def test_a_record_is_read_and_fits_its_problem():
    assert references.read("nothing") is None
    for which in (Which.VOLATILITY, Which.LOGISTIC):
        problem = entry(which).problem
        if problem.truth is not None:
            assert problem.truth.means.shape == (problem.unknowns,)
            assert problem.truth.source.endswith(f"python -m experiments.samplers.references {which.value}")
            assert (problem.truth.squares >= problem.truth.means**2).all()


@pytest.mark.slow
@pytest.mark.optax  # BlackJAX is written for standard dtype promotion
@pytest.mark.parametrize("player", LINEUP, ids=lambda player: f"{player.name} ({player.package})")
def test_every_player_has_the_law(player):
    """Means and second moments within 5 standard errors: a false alarm once in 40,000 runs of the ten cases."""
    problem = ellipse_posterior(1.0)
    start_key, warm_key, draw_key = (jax.random.split(key, 32) for key in jax.random.split(jax.random.key(0), 3))

    def chain(start_key, warm_key, draw_key):
        setup, warm_evaluations = player.warm(problem, SIZES, 0.2, warm_key, problem.start(start_key))
        return player.draw(problem, SIZES, draw_key, setup), warm_evaluations

    drawn, warm_evaluations = jax.jit(jax.vmap(chain))(start_key, warm_key, draw_key)
    moments = np.concatenate([drawn.positions, np.square(drawn.positions)], axis=-1)
    truth = np.concatenate([problem.truth.means, problem.truth.squares])
    scores = np.abs(z_scores(moments, truth.astype(np.float32)))
    assert scores.max() < 5, scores
    assert np.mean(drawn.diverged) < 0.01
    if player.name != "NUTS":  # the others have the same budget, but for what does not divide
        budget = SIZES.evaluations * np.array([SIZES.warm, SIZES.draws])
        spent = np.array([warm_evaluations[0], drawn.evaluations[0]])
        np.testing.assert_allclose(spent[1] / budget[1], 1, atol=0.3)
        if player.name == "MCLMC":  # its own tuning takes what it needs
            assert 0 < spent[0] <= 1.3 * budget[0]
        else:
            np.testing.assert_allclose(spent[0] / budget[0], 1, atol=0.3)
