"""Diagnostics and exports against ArviZ, in whichever generation this Python has: 0.x under 3.11, 1.x from 3.12 on."""

import functools
import importlib.util
import sys
import warnings

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ebmjax import diagnostics
from ebmjax.sample import metropolis

NEW = sys.version_info >= (3, 12)
PROBABILITY = 0.3


@pytest.fixture(scope="module")
def peer():
    """`(ess, rhat, mcse)` of ArviZ, each `(draws, method, prob=None) -> number`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 0.x announces 1.x once a day
        if NEW:
            from arviz_stats.base import array_stats as source

            axes = {"chain_axis": 0, "draw_axis": 1}
        else:
            import arviz as source

            axes = {}

    def quiet(function, draws, method, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of constants and of single chains
            return float(function(draws, method=method, **axes, **options))

    return tuple(functools.partial(quiet, function) for function in (source.ess, source.rhat, source.mcse))


@pytest.fixture
def exports():
    """The one of both exports that serves this generation of ArviZ, and the other one."""
    one, other = diagnostics.to_datatree, diagnostics.to_inference_data
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("arviz_base" if NEW else "arviz")
    return (one, other) if NEW else (other, one)


def quantities(chains, steps):
    """(chains, steps, quantities): correlated, antithetic, heavy-tailed, of few values, and wrong in several ways."""
    rng = np.random.default_rng(steps)
    noise = rng.normal(size=(chains, steps, 3))
    correlated = noise.copy()
    rho = np.array([-0.5, 0.5, 0.9])
    for step in range(1, steps):
        correlated[:, step] = rho * correlated[:, step - 1] + np.sqrt(1 - rho**2) * noise[:, step]
    chain = np.arange(chains)[:, None]
    plain = rng.normal(size=(chains, steps))
    others = [
        rng.standard_cauchy((chains, steps)),
        np.sign(correlated[..., 2]),
        np.round(correlated[..., 1]),
        plain + chain,
        plain * np.where(chain == 0, 4, 1),
        np.exp(plain + np.linspace(0, 2, steps)[None]),
        np.ones((chains, steps)),
    ]
    return np.concatenate([noise, correlated, np.stack(others, axis=-1)], axis=-1)


OURS = {
    "ess mean": diagnostics.effective_sample_size,
    "ess bulk": diagnostics.bulk_effective_sample_size,
    "ess tail": diagnostics.tail_effective_sample_size,
    "ess sd": diagnostics.sd_effective_sample_size,
    "ess quantile": lambda draws: diagnostics.quantile_effective_sample_size(draws, PROBABILITY),
    "rhat rank": diagnostics.r_hat,
    "rhat split": diagnostics.split_r_hat,
    "mcse mean": diagnostics.mean_standard_error,
    "mcse sd": diagnostics.sd_standard_error,
    "mcse quantile": lambda draws: diagnostics.quantile_standard_error(draws, PROBABILITY),
}


def of_peer(peer, name, draws):
    function, method = name.split()
    prob = {"quantile": PROBABILITY, "tail": (0.05, 0.95)}.get(method)
    options = {} if prob is None else {"prob": prob}
    call = dict(zip(("ess", "rhat", "mcse"), peer, strict=True))[function]
    return np.array([call(draws[..., i], method, **options) for i in range(draws.shape[-1])])


@pytest.mark.slow
def test_all_diagnostics_are_those_of_arviz(peer, x64):
    """In float64 up to rounding, NaN at the same places."""
    draws = quantities(4, 1001)
    ours = jax.jit(lambda draws: {name: function(draws) for name, function in OURS.items()})(jnp.asarray(draws))
    for name, values in ours.items():
        np.testing.assert_allclose(values, of_peer(peer, name, draws), rtol=1e-9, err_msg=name)


@pytest.mark.slow
def test_single_precision_is_enough(peer):
    """Within 1e-3 of ArviZ's float64, for the two numbers that are quoted, of one compiled program."""
    draws = quantities(4, 400)[..., :-1]
    names = ("rhat rank", "ess bulk")
    ours = jax.jit(lambda draws: {name: OURS[name](draws) for name in names})(jnp.asarray(draws, jnp.float32))
    for name, values in ours.items():
        np.testing.assert_allclose(values, of_peer(peer, name, draws), rtol=1e-3, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [4, 9, 10])
def test_short_chains_are_cut_as_by_arviz(peer, x64, steps):
    """Where the sum over lags ends by the length of the chain."""
    draws = quantities(3, steps)
    ours = diagnostics.effective_sample_size(draws)
    np.testing.assert_allclose(ours, of_peer(peer, "ess mean", draws), rtol=1e-9)


def test_a_run_becomes_what_arviz_reads(exports):
    """Positions and infos as of three chains of Metropolis."""
    rng = np.random.default_rng(0)
    positions = {"z": rng.normal(size=(3, 9, 2)), "spin": np.sign(rng.normal(size=(3, 9))).astype(np.int8)}
    infos = metropolis.Info(rng.normal(size=(3, 9)) > 0, rng.normal(size=(3, 9)), np.zeros((3, 9), bool))
    export, other = exports
    data = export(positions, infos)
    assert data.posterior["z"].dims[:2] == ("chain", "draw")
    np.testing.assert_array_equal(data.posterior["z"], positions["z"])
    assert data.posterior["spin"].dtype == np.int8
    np.testing.assert_array_equal(data.sample_stats["accepted"], infos.accepted)
    np.testing.assert_array_equal(data.sample_stats["energy_change"], infos.energy_change)
    with pytest.raises(ModuleNotFoundError, match="needs ArviZ"):
        other(positions)


def test_infos_of_blackjax_have_the_names_of_arviz(exports):
    rng = np.random.default_rng(0)
    number = lambda: rng.normal(size=(3, 5))
    state = blackjax.mcmc.integrators.IntegratorState(number()[..., None], number()[..., None], number(), number())
    infos = blackjax.mcmc.nuts.NUTSInfo(
        number()[..., None], number() > 0, number() > 0, number(), state, state, number(), number(), number()
    )
    data = exports[0](number(), infos)
    assert list(data.posterior.data_vars) == ["x"]
    names = {"diverging", "is_turning", "energy", "tree_depth", "n_steps", "acceptance_rate"}
    assert set(data.sample_stats.data_vars) == names
    np.testing.assert_array_equal(data.sample_stats["diverging"], infos.is_divergent)
    np.testing.assert_array_equal(data.sample_stats["energy"], infos.energy)


@pytest.mark.parametrize(
    ("name", "samples", "infos"),
    [
        ("samples: got no array", {}, None),
        (r"samples: got shape \(5,\) of x, wanted \(chains, steps, ...\)", np.ones(5), None),
        (r"samples: got shape \(2, 4\) of b, wanted .* 3 steps", {"a": np.ones((2, 3)), "b": np.ones((2, 4))}, None),
        ("samples", {"a": "text"}, None),
        ("samples", jax.random.key(0), None),
        (r"infos: got shape \(3, 2\) of energy", np.ones((2, 3)), {"energy": np.ones((3, 2))}),
        ("infos: got an array", np.ones((2, 3)), np.ones((2, 3))),
    ],
)
def test_what_is_no_run_is_refused_by_name(name, samples, infos):
    for export in (diagnostics.to_datatree, diagnostics.to_inference_data):
        with pytest.raises(ValueError, match=name):
            export(samples, infos)
