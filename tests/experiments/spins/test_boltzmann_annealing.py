"""Annealing and tempering in pieces, with a bar: the chains are those of `annealing` and of `trajectory`."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax.energies import hopfield
from ebmjax.loops import trajectory
from ebmjax.sample.annealing import annealing
from ebmjax.sample.special.single_site import sweep
from ebmjax.sample.tempering import tempering
from experiments.application.report import Report
from experiments.data.glasses import sherrington_kirkpatrick
from experiments.spins import boltzmann_annealing

CONFIG = boltzmann_annealing.Config(units=6, instances=2, chains=3, sweeps=(4, 40), rungs=2)
KEY = jax.random.key(1)


@pytest.fixture(scope="module")
def glass():
    make = lambda key: sherrington_kirkpatrick(key, CONFIG.units)
    params = jax.vmap(make)(jax.random.split(jax.random.key(0), CONFIG.instances))
    return boltzmann_annealing.Glass("glass", params, jnp.zeros(2), (6,), hopfield.energy, sweep, None)


def of_each_chain(one, glass):
    keys = jax.random.split(KEY, (CONFIG.instances, CONFIG.chains))
    return jax.vmap(jax.vmap(one, (0, None)))(keys, glass.params)


def said(capsys):
    return [line for line in capsys.readouterr().out.splitlines() if "%" in line]


@pytest.mark.slow
def test_cooled_chains_are_those_of_annealing(glass, tmp_path, capsys):
    betas = np.r_[0, np.geomspace(0.3, 5, 38), np.inf].astype(np.float32)
    report, chain = Report(tmp_path, "annealing", None, 0, False), boltzmann_annealing._cooled(glass, betas)
    found = boltzmann_annealing._all(CONFIG, report, glass, "annealing", KEY, chain)

    def one(key, params):
        energy = lambda state: hopfield.energy(params, state.position)
        return annealing(key, partial(sweep, params), betas, jnp.ones(6), 1, energy).positions

    np.testing.assert_allclose(found, of_each_chain(one, glass), atol=1e-5)
    told = said(capsys)
    assert len(told) == 20
    assert told[-1] == f"glass: annealing … 100%, mean (E - E0)/N {found[..., -1].mean() / 6:.3g}"


@pytest.mark.slow
def test_tempered_chains_are_those_of_a_trajectory(glass, tmp_path, capsys):
    report, chain = Report(tmp_path, "tempering", None, 0, False), boltzmann_annealing._tempered(CONFIG, glass)
    found = boltzmann_annealing._all(CONFIG, report, glass, "tempering", KEY, chain)
    ladder = boltzmann_annealing._schedule(CONFIG, 2)

    def one(key, params):
        start_key, run_key = jax.random.split(key)
        kernel = tempering(partial(hopfield.energy, params), partial(sweep, params), ladder)
        start = jax.random.rademacher(start_key, (2, 6), jnp.float32)
        return trajectory(run_key, kernel, start, 20).infos.energy

    np.testing.assert_allclose(found, of_each_chain(one, glass), atol=1e-5)
    assert len(said(capsys)) == 20
