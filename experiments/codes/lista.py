"""Learned sparse inference: what sixteen steps can find

ISTA needs hundreds of steps to find the sparse code with the least energy ½‖y - Wz‖² + λ‖z‖₁. **LISTA** stops after
sixteen steps and learns the matrices of each step from data. Later methods have fewer numbers to learn. **Coupled**
weights have one matrix instead of two. **ALISTA** computes this matrix from the dictionary. **Support selection** does
not shrink the largest entries. **HyperLISTA** has only three numbers, which are found by a search.

In the standard problem a code has 500 entries, one in ten of which is not zero, and an observation is its product with
a random matrix of 250 rows. The error is the normalized mean squared error (NMSE), 10 log₁₀ E‖ẑ - z‖² / E‖z‖², in
decibels. With noise, the noise limits the error. The true codes of pictures are not known: there the energy counts.

Gregor & LeCun (2010), "Learning fast approximations of sparse coding"; Chen et al. (2018), "Theoretical linear
convergence of unfolded ISTA"; Liu et al. (2019), "ALISTA"; Chen et al. (2021), "Hyperparameter tuning is all you need
for LISTA".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.losses import inferred_codes
from ebmjax.losses.functional import SampleLoss
from ebmjax.minimize.unrolled import hyperlista, lista
from ebmjax.minimize.unrolled.alista import analytic_weights, coherence
from ebmjax.minimize.unrolled.unroll import per_layer
from experiments.application import options
from experiments.application.options import AtLeast, Count, Inside, Positive
from experiments.application.report import Report
from experiments.codes import unrolled_networks as training
from experiments.codes.unrolled_networks import Samples, Schedule, draw, nmse_db
from experiments.data.images import Images, Pictures, load
from experiments.drawing import plots

Loss = Callable[[training.Infer], SampleLoss]
"""Makes the loss of one sample from a network."""

Methods = dict[str, training.Steps]
"""Methods of inference by name."""

COLORS = {
    "ISTA": "black",
    "FISTA": "vermillion",
    "coordinate descent": "purple",
    "LISTA": "orange",
    "coupled LISTA": "yellow",
    "ALISTA": "sky",
    "ALISTA, support selection": "blue",
    "HyperLISTA": "green",
}
RATES = {"LISTA": 1e-3, "coupled LISTA": 3e-3, "ALISTA": 3e-3}  # of Adam; ALISTA learns logarithms of its numbers
PATCH = 8  # rows and columns of a patch


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    observed: Annotated[int, AtLeast(2)] = 250
    """m, the length of an observation in the standard problem."""
    atoms: Annotated[int, AtLeast(2)] = 500
    """n, the length of a code in the standard problem."""
    density: Annotated[float, Inside(0, 1)] = 0.1
    """Share of the entries of a code that are not zero."""
    layers: Annotated[int, AtLeast(2)] = 16
    """Steps of every method."""
    samples: int = 16384
    """Codes to train on."""
    held_out: Count = 1000
    """Codes to measure with."""
    batch_size: Count = 128
    """Samples in an update."""
    updates: Count = 150
    """Updates in each of the three phases of a stage of training."""
    stages: Count = 4
    """Stages in which LISTA and coupled LISTA grow to their full depth."""
    tries: Count = 30
    """Trials in each of the five rounds of the search for the numbers of ALISTA and HyperLISTA."""
    noise_db: tuple[float, ...] = (20.0, 30.0, 40.0)
    """Signal-to-noise ratios, in decibels."""
    images: Pictures = Images.DIGITS
    """The pictures that patches are cut from: digits, mnist, fashion-mnist, or a folder of PNG or JPEG files."""
    weight: Positive = 0.1
    """λ of the energies that are drawn. The mean square length of the patches is 1."""

    def __post_init__(self):
        options.check(self)
        enough = self.samples >= self.batch_size
        options.require(enough, "samples", self.samples, f"at least {self.batch_size}, the --batch-size")
        few = self.stages <= self.layers
        options.require(few, "stages", self.stages, f"at most {self.layers}, the number of --layers")


QUICK = Config(
    observed=50,
    atoms=100,
    layers=8,
    density=0.05,
    samples=512,
    held_out=200,
    batch_size=64,
    updates=8,
    stages=1,
    tries=6,
    noise_db=(),
)


def run(config: Config, report: Report) -> None:
    """Compare the methods on the standard problem without noise and with noise, and on patches of pictures."""
    dictionary_key, clean_key, noisy_key, patches_key = jax.random.split(report.key(), 4)
    params = sparse_coding.init(dictionary_key, config.observed, config.atoms)
    trained, numbers = _without_noise(config, report, clean_key, params)
    if config.noise_db:
        _with_noise(config, report, noisy_key, params, trained, numbers)
    _patches(config, report, patches_key)


def _iterations(config: Config, params: sparse_coding.Params, data: Samples) -> Methods:
    """The methods that learn nothing, each at the λ with the least error after the last step."""
    bound = sparse_coding.lipschitz(params)
    return {
        name: make(training.best_weight(make, data))
        for name, make in (
            ("ISTA", lambda weight: training.ista(params, weight, bound, config.layers)),
            ("FISTA", lambda weight: training.fista(params, weight, bound, config.layers)),
            ("coordinate descent", lambda weight: training.coordinates(params, weight, config.layers)),
        )
    }


def _matrices(
    config: Config, report: Report, key: Array, params: sparse_coding.Params, loss: Loss, data: Any
) -> Methods:
    """LISTA and coupled LISTA with weights for each layer, which start as those of ISTA and are trained in stages."""
    depths = tuple(config.layers * stage // config.stages for stage in range(1, config.stages + 1))
    found = {}
    for name, init, infer, own_key in zip(
        ("LISTA", "coupled LISTA"),
        (lista.init_lista, lista.init_coupled),
        (lista.lista, partial(lista.coupled, params)),
        jax.random.split(key),
        strict=True,
    ):
        weights = per_layer(init(params, config.weight), config.layers)
        with training.told(report, name, {"phases": training.PHASES * config.stages}) as tell:
            schedule = Schedule(config.batch_size, config.updates, RATES[name], depths)
            weights = training.fit(own_key, loss(infer), weights, data, schedule, tell=tell["phases"])
        found[name] = lambda y, infer=infer, weights=weights: infer(weights, y).every
    return found


def _alista(
    config: Config, report: Report, key: Array, params: sparse_coding.Params, data: Samples, select: bool
) -> tuple[training.Steps, training.Steps]:
    """ALISTA before and after training."""
    search_key, fit_key = jax.random.split(key)
    analytic = analytic_weights(params)
    name = "ALISTA, support selection" if select else "ALISTA"
    with training.told(report, name, {"rounds": training.ROUNDS, "phases": training.PHASES}) as tell:
        weights, support = training.search_alista(
            search_key, params, analytic, _few(data), config.layers, config.tries, select, tell["rounds"]
        )
        infer = training.infer_alista(params, analytic, support)
        # All layers at once, from the numbers that the search found. Rare codes decide the error: batches are large.
        schedule = Schedule(4 * config.batch_size, -(-config.updates // 4), RATES["ALISTA"], (config.layers,))
        better = training.fit(fit_key, training.on_codes(infer), weights, tuple(data), schedule, False, tell["phases"])
    return lambda y: infer(weights, y).every, lambda y: infer(better, y).every


def _hyperlista(
    config: Config,
    report: Report,
    key: Array,
    params: sparse_coding.Params,
    data: Samples,
    begin: hyperlista.HyperLista | None = None,
) -> tuple[training.Steps, hyperlista.HyperLista]:
    """HyperLISTA and its three numbers; the search starts around `begin`."""
    prepared = hyperlista.prepare(params)
    with training.told(report, "HyperLISTA", {"rounds": training.ROUNDS}) as tell:
        numbers = training.search_hyperlista(key, prepared, data, config.layers, config.tries, begin, tell["rounds"])
    return lambda y: hyperlista.hyperlista(prepared, numbers, y, config.layers).every, numbers


def _few(data: Samples, count: int = 256) -> Samples:
    """The first samples, enough for a search. More are needed where rare failures decide the error."""
    return jax.tree.map(lambda leaf: leaf[:count], data)


def _infer_all(methods: Methods, observations: Array) -> dict[str, Float[Array, "samples layers atoms"]]:
    every = jax.jit(lambda observations: [jax.vmap(infer)(observations) for infer in methods.values()])
    return dict(zip(methods, every(observations), strict=True))


def _without_noise(
    config: Config, report: Report, key: Array, params: sparse_coding.Params
) -> tuple[Methods, hyperlista.HyperLista]:
    train_key, test_key, matrices_key, plain_key, select_key, hyper_key = jax.random.split(key, 6)
    data = draw(train_key, params, config.samples, config.density)
    test = draw(test_key, params, config.held_out, config.density)
    methods = _iterations(config, params, _few(data)) | _matrices(
        config, report, matrices_key, params, training.on_codes, tuple(data)
    )
    untrained, methods["ALISTA"] = _alista(config, report, plain_key, params, data, select=False)
    selecting, methods["ALISTA, support selection"] = _alista(config, report, select_key, params, data, select=True)
    methods["HyperLISTA"], numbers = _hyperlista(config, report, hyper_key, params, _few(data, 1024))
    codes = _infer_all(methods, test.observations)
    errors = {name: np.asarray(nmse_db(found, test.codes)) for name, found in codes.items()}
    extra = _infer_all({"untrained": untrained, "untrained, selecting": selecting}, test.observations)
    plain, selected = (float(nmse_db(found, test.codes)[-1]) for found in extra.values())
    best = training.exact(params, config.weight, test.observations)
    energies = _excess(config.weight, params, codes, test.observations, best)
    figure, axes = plots.panels(1, 2, width=5.0, height=4.4)
    _draw(axes[0, 0], errors, "NMSE in dB", "Error of the code")
    _draw(axes[0, 1], energies, "(E - E*) / E*", f"Energy above the least, λ = {config.weight:g}")
    axes[0, 1].set_yscale("log")
    _legend(figure, axes[0, 0])
    report.figure(
        "noiseless",
        figure,
        "Without noise. Left: with analytic weights and support selection the error falls by a constant factor in each "
        "step. ISTA and FISTA, each at its best λ, improve slowly. Right: the energy of the same "
        "codes. The true code is not a minimum of the energy, because the L1 norm shrinks every coefficient. All "
        "methods that recover the true code therefore end at the same energy.",
    )
    middle = {name: _median_db(found[:, -1], test.codes) for name, found in codes.items()}
    report.table(
        f"After {config.layers} steps, without noise",
        ("method", "NMSE in dB", "median over samples, dB"),
        [(name, round(float(errors[name][-1]), 1), round(middle[name], 1)) for name in errors]
        + [
            ("ALISTA, untrained", round(plain, 1), ""),
            ("ALISTA, support selection, untrained", round(selected, 1), ""),
        ],
    )
    report.text(
        f"HyperLISTA's numbers: threshold {float(numbers.threshold):.4f}, momentum {float(numbers.momentum):.4f}, "
        f"support {float(numbers.support):.1f}. A few codes with many more entries than usual decide the mean error of "
        "the best methods; the error of the median sample is much smaller."
    )
    for name, error in errors.items():
        for step, value in enumerate(error, start=1):
            report.metrics(step=step, method=name, nmse_db=value, energy_excess=energies[name][step - 1])
    report.summary(
        nmse_db_ista=errors["ISTA"][-1],
        nmse_db_fista=errors["FISTA"][-1],
        nmse_db_lista=errors["LISTA"][-1],
        nmse_db_coupled=errors["coupled LISTA"][-1],
        nmse_db_alista_untrained=plain,
        nmse_db_alista=errors["ALISTA"][-1],
        nmse_db_alista_selecting=errors["ALISTA, support selection"][-1],
        nmse_db_hyperlista=errors["HyperLISTA"][-1],
    )
    return {name: methods[name] for name in ("LISTA", "coupled LISTA")}, numbers


def _with_noise(
    config: Config,
    report: Report,
    key: Array,
    params: sparse_coding.Params,
    trained: Methods,
    numbers: hyperlista.HyperLista,
) -> None:
    figure, axes = plots.panels(1, len(config.noise_db), width=3.9, height=4.2, share_y=True)
    rows = []
    for panel, noise, level_key in zip(
        axes[0], config.noise_db, jax.random.split(key, len(config.noise_db)), strict=True
    ):
        train_key, test_key, alista_key, hyper_key = jax.random.split(level_key, 4)
        report.progress(f"signal-to-noise ratio {noise:g} dB")
        data = draw(train_key, params, config.samples, config.density, noise)
        test = draw(test_key, params, config.held_out, config.density, noise)
        methods = _iterations(config, params, _few(data)) | trained
        _, methods["ALISTA, support selection"] = _alista(config, report, alista_key, params, data, select=True)
        methods["HyperLISTA"], _ = _hyperlista(config, report, hyper_key, params, _few(data, 1024), numbers)
        codes = _infer_all(methods, test.observations)
        errors = {name: np.asarray(nmse_db(found, test.codes)) for name, found in codes.items()}
        _draw(panel, errors, "NMSE in dB" if panel is axes[0, 0] else "", f"SNR {noise:g} dB")
        middle = {name: _median_db(found[:, -1], test.codes) for name, found in codes.items()}
        rows += [(f"{noise:g}", name, round(float(error[-1]), 1), middle[name]) for name, error in errors.items()]
    _legend(figure, axes[0, 0])
    report.figure(
        "noise",
        figure,
        "With noise, which limits the error. LISTA and coupled LISTA were trained without noise. The few numbers of "
        "ALISTA and HyperLISTA are found for each noise level. One failure in a thousand codes decides the mean.",
    )
    report.table(f"After {config.layers} steps, with noise", ("SNR in dB", "method", "NMSE in dB", "median, dB"), rows)


def _patches(config: Config, report: Report, key: Array) -> None:
    """Compare the methods on patches of pictures, whose codes are the minima of the energy."""
    cut_key, dictionary_key, matrices_key = jax.random.split(key, 3)
    train, test = (_cut(cut_key, pictures, config.samples) for pictures in _pictures(config))
    test = test[: config.held_out]
    params = sparse_coding.from_data(dictionary_key, train, min(2 * PATCH * PATCH, len(train)))
    bound = sparse_coding.lipschitz(params)
    methods: Methods = {
        "ISTA": training.ista(params, config.weight, bound, config.layers),
        "FISTA": training.fista(params, config.weight, bound, config.layers),
        "coordinate descent": training.coordinates(params, config.weight, config.layers),
    }
    energy = partial(sparse_coding.energy, params, l1(config.weight))
    loss = lambda infer: inferred_codes.unsupervised(lambda weights, y: infer(weights, y).last, energy)
    methods |= _matrices(config, report, matrices_key, params, loss, train)
    codes = _infer_all(methods, test)
    with report.stage("exact codes of patches"):
        least = training.exact(params, config.weight, test)
    energies = _excess(config.weight, params, codes, test, least)
    errors = {name: np.asarray(nmse_db(found, least)) for name, found in codes.items()}
    figure, axes = plots.panels(1, 2, width=5.0, height=4.4)
    _draw(axes[0, 0], energies, "(E - E*) / E*", f"Energy above the least, λ = {config.weight:g}")
    axes[0, 0].set_yscale("log")
    _draw(axes[0, 1], errors, "NMSE in dB", "Distance from the code of least energy")
    _legend(figure, axes[0, 0])
    report.figure(
        "patches",
        figure,
        f"Held-out {PATCH} × {PATCH} patches of {_named(config)}. The {params.dictionary.shape[1]} atoms are "
        "patches too, and many of them are nearly equal. The networks are trained on the energy of their last code.",
    )
    alike = [float(coherence(params, made)) for made in (params.dictionary, analytic_weights(params))]
    report.text(
        f"The coherence of this dictionary is {alike[0]:.2f}, that of its analytic weights {alike[1]:.2g}. Where atoms "
        "are nearly equal, no weights can separate them, so ALISTA and HyperLISTA are not used here."
    )
    report.summary(
        energy_excess_patches_ista=energies["ISTA"][-1],
        energy_excess_patches_lista=energies["LISTA"][-1],
    )
    report.table(
        f"After {config.layers} steps, patches of pictures",
        ("method", "(E - E*) / E*", "NMSE in dB"),
        [(name, f"{energies[name][-1]:.2g}", round(float(errors[name][-1]), 1)) for name in errors],
    )


def _named(config: Config) -> str:
    return config.images.value if isinstance(config.images, Images) else "the pictures in your folder"


def _pictures(config: Config) -> tuple[np.ndarray, np.ndarray]:
    split = load(config.images)
    return split.train, split.test


def _cut(key: Array, pictures: np.ndarray, count: int) -> Float[Array, "patches pixels"]:
    """Patches at random places, less their means, scaled to mean square length 1; nearly constant ones are left out."""
    which_key, row_key, column_key = jax.random.split(key, 3)
    room = pictures.shape[1] - PATCH + 1
    whole = len(pictures) if room == 1 else count
    which = jax.random.permutation(which_key, len(pictures))[: min(whole, len(pictures))]
    rows, columns = (jax.random.randint(k, which.shape, 0, room) for k in (row_key, column_key))
    one = lambda picture, row, column: jax.lax.dynamic_slice(picture, (row, column), (PATCH, PATCH)).ravel()
    cut = jax.vmap(one)(jnp.asarray(pictures)[which], rows, columns)
    cut = cut - cut.mean(axis=1, keepdims=True)
    cut = cut[jnp.sum(cut**2, axis=1) > 1e-2]
    return cut / jnp.sqrt(jnp.mean(jnp.sum(cut**2, axis=1)))


def _excess(
    weight: float, params: sparse_coding.Params, codes: dict[str, Array], observations: Array, best: Array
) -> dict[str, np.ndarray]:
    """(E - E*) / E* of the mean energy after every step; `best` are the codes of least energy."""
    energy = partial(sparse_coding.energy, params, l1(weight))
    least = jax.jit(jax.vmap(energy))(observations, best).mean()
    mean = jax.jit(lambda found: jax.vmap(lambda y, steps: jax.vmap(partial(energy, y))(steps))(observations, found))
    return {name: np.asarray(mean(found).mean(axis=0) / least - 1) for name, found in codes.items()}


def _median_db(found: Array, truth: Array) -> float:
    return float(10 * np.log10(np.median(np.sum((found - truth) ** 2, 1) / np.maximum(np.sum(truth**2, 1), 1e-12))))


def _draw(axes: Axes, curves: dict[str, np.ndarray], label: str, title: str) -> None:
    for name, values in curves.items():
        axes.plot(np.arange(1, len(values) + 1), values, label=name, color=plots.PALETTE[COLORS[name]])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.label(axes, "step", label, title)


def _legend(figure: Figure, axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5 if len(labels) == 5 else 4)
