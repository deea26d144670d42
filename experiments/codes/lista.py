"""Learned sparse inference: what sixteen steps can find

A sparse code of least energy ½‖y - Wz‖² + λ‖z‖₁ takes ISTA hundreds of steps. **LISTA** cuts the iteration off after
sixteen and learns its matrices. Each change since has left less to learn: **coupled** weights have one matrix instead
of two, **ALISTA** computes that one from the dictionary, **support selection** lets the largest entries pass the
threshold whole, and **HyperLISTA** has three numbers left, which are found by trying.

The standard problem has codes of 500 entries, of which one in ten is not zero, seen through 250 random directions. The
error is 10 log₁₀ E‖ẑ - z‖² / E‖z‖², in decibels. Where there is noise it can fall no further than the noise allows; and
on pictures, whose codes are known only as minima of the energy, the energy itself is what counts.

Gregor & LeCun (2010), "Learning fast approximations of sparse coding"; Chen et al. (2018), "Theoretical linear
convergence of unfolded ISTA"; Liu et al. (2019), "ALISTA"; Chen et al. (2021), "Hyperparameter tuning is all you need
for LISTA".
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from matplotlib.ticker import MaxNLocator

from ebmjax.energies import sparse_coding
from ebmjax.energies.regularizers import l1
from ebmjax.losses import inferred_codes
from ebmjax.losses.functional import SampleLoss
from ebmjax.minimize.unrolled import hyperlista, lista
from ebmjax.minimize.unrolled.alista import analytic_weights, coherence
from ebmjax.minimize.unrolled.unroll import per_layer
from experiments.application.report import Report
from experiments.codes import unrolled_networks as training
from experiments.codes.unrolled_networks import Samples, Schedule, draw, nmse_db
from experiments.data.images import Images, load
from experiments.drawing import plots

Loss = Callable[[training.Infer], SampleLoss]
"""What a network is trained on: a loss of one sample, made from the network."""

Methods = dict[str, Callable[[Any], Any]]
"""By name: `y -> codes after each step`."""

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
RATES = {"LISTA": 1e-3, "coupled LISTA": 3e-3, "ALISTA": 3e-3}  # of Adam; ALISTA's numbers are logarithms
PATCH = 8  # rows and columns of the pictures' patches


@dataclass(frozen=True)
class Config:
    """Options of the experiment."""

    observed: int = 250
    """m, the length of an observation of the standard problem."""
    atoms: int = 500
    """n, the length of a code of the standard problem."""
    density: float = 0.1
    """The part of a code's entries that are not zero."""
    layers: int = 16
    """Steps of every method."""
    samples: int = 16384
    """Codes to train on."""
    held_out: int = 1000
    """Codes on which all are measured."""
    batch_size: int = 128
    """Samples an update."""
    updates: int = 150
    """Updates in each of the three phases of a stage of training."""
    stages: int = 4
    """Stages in which LISTA and coupled LISTA grow to their depth."""
    tries: int = 30
    """Trials in each of the five rounds that search the numbers of ALISTA and HyperLISTA."""
    noise_db: tuple[float, ...] = (20.0, 30.0, 40.0)
    """Signal-to-noise ratios, in decibels."""
    images: Images = Images.DIGITS
    """Where patches come from: digits, mnist or fashion-mnist."""
    weight: float = 0.1
    """λ of the energies that are drawn; patches have a mean square length of one."""

    def __post_init__(self):
        for name, value, least in (
            ("--observed", self.observed, 2),
            ("--atoms", self.atoms, 2),
            ("--layers", self.layers, 2),
            ("--batch-size", self.batch_size, 1),
            ("--samples", self.samples, self.batch_size),
            ("--held-out", self.held_out, 1),
            ("--updates", self.updates, 1),
            ("--tries", self.tries, 1),
            ("--stages", self.stages, 1),
        ):
            if value < least:
                raise ValueError(f"{name} is {value}, expected at least {least}")
        if self.stages > self.layers:
            raise ValueError(f"--stages is {self.stages}, expected at most {self.layers}, the number of layers")
        if not 0 < self.density < 1:
            raise ValueError(f"--density is {self.density}, expected a number between 0 and 1")
        if not 0 < self.weight < np.inf:
            raise ValueError(f"--weight is {self.weight}, expected a finite number above 0")


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
    """The standard problem without noise and with it, and patches of pictures."""
    dictionary_key, clean_key, noisy_key, patches_key = jax.random.split(report.key(), 4)
    params = sparse_coding.init(dictionary_key, config.observed, config.atoms)
    trained, numbers = _without_noise(config, report, clean_key, params)
    if config.noise_db:
        _with_noise(config, report, noisy_key, params, trained, numbers)
    _patches(config, report, patches_key)


def _iterations(config: Config, params: sparse_coding.Params, data: Samples) -> Methods:
    """The iterations that learn nothing, at the λ that is best for their last step."""
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
    """LISTA and coupled LISTA, a set of weights a layer, trained from ISTA's in stages."""
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
        with report.stage(f"training {name}"):
            schedule = Schedule(config.batch_size, config.updates, RATES[name], depths)
            weights = training.fit(own_key, loss(infer), weights, data, schedule)
        found[name] = lambda y, infer=infer, weights=weights: infer(weights, y).every
    return found


def _alista(
    config: Config, report: Report, key: Array, params: sparse_coding.Params, data: Samples, select: bool
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """ALISTA, untrained and trained."""
    search_key, fit_key = jax.random.split(key)
    analytic = analytic_weights(params)
    name = "ALISTA, support selection" if select else "ALISTA"
    with report.stage(f"training {name}"):
        weights, support = training.search_alista(
            search_key, params, analytic, _few(data), config.layers, config.tries, select
        )
        infer = training.infer_alista(params, analytic, support)
        # all layers at once, from what the search has found; rare codes decide the error, so that batches are large
        schedule = Schedule(4 * config.batch_size, -(-config.updates // 4), RATES["ALISTA"], (config.layers,))
        better = training.fit(fit_key, training.on_codes(infer), weights, tuple(data), schedule, copied=False)
    return lambda y: infer(weights, y).every, lambda y: infer(better, y).every


def _hyperlista(
    config: Config,
    report: Report,
    key: Array,
    params: sparse_coding.Params,
    data: Samples,
    begin: hyperlista.HyperLista | None = None,
) -> tuple[Callable[[Any], Any], hyperlista.HyperLista]:
    prepared = hyperlista.prepare(params)
    with report.stage("searching the three numbers of HyperLISTA"):
        numbers = training.search_hyperlista(key, prepared, data, config.layers, config.tries, begin)
    return lambda y: hyperlista.hyperlista(prepared, numbers, y, config.layers).every, numbers


def _few(data: Samples, count: int = 256) -> Samples:
    """As many as a search needs; more where rare failures decide."""
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
        "Without noise. Left: the error falls by a constant factor a step where the weights are analytic and the "
        "support is selected, and hardly at all for the iterations that learn nothing, each at its best λ. Right: the "
        "same codes judged by an energy. Those that are right are not its minima, for the L1 norm makes every "
        "coefficient smaller than it is: all that recover the code end at one height.",
    )
    middle = {name: _median_db(found[:, -1], test.codes) for name, found in codes.items()}
    report.table(
        f"After {config.layers} steps, without noise",
        ("method", "NMSE in dB", "median sample, dB"),
        [(name, round(float(errors[name][-1]), 1), round(middle[name], 1)) for name in errors]
        + [("ALISTA, untrained", round(plain, 1), ""), ("the same with support selection", round(selected, 1), "")],
    )
    report.text(
        f"HyperLISTA's numbers: threshold {float(numbers.threshold):.4f}, momentum {float(numbers.momentum):.4f}, "
        f"support {float(numbers.support):.1f}. A few codes with far more than the usual number of entries decide the "
        "mean error of the best methods; the median sample is better by far."
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
        "With noise, which sets the floor. LISTA and coupled LISTA are those trained without noise; ALISTA and "
        "HyperLISTA have their few numbers set anew for every level. One code in a thousand that fails decides the "
        "mean.",
    )
    report.table(f"After {config.layers} steps, with noise", ("SNR in dB", "method", "NMSE in dB", "median"), rows)


def _patches(config: Config, report: Report, key: Array) -> None:
    """Patches of pictures: the codes to learn are the minima of the energy."""
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
        f"Held-out patches of {config.images.value}, {PATCH} × {PATCH}, and {params.dictionary.shape[1]} atoms that "
        "are samples themselves, and so much alike. The networks are trained on the energy itself, of their last code.",
    )
    alike = [float(coherence(params, made)) for made in (params.dictionary, analytic_weights(params))]
    report.text(
        f"The coherence of this dictionary is {alike[0]:.2f}, that of its analytic weights {alike[1]:.2g}: where atoms "
        "are alike, no weights tell them apart, so ALISTA and HyperLISTA have no place here."
    )
    report.summary(
        energy_excess_patches_ista=energies["ISTA"][-1],
        energy_excess_patches_lista=energies["LISTA"][-1],
    )
    report.table(
        f"After {config.layers} steps, patches",
        ("method", "(E - E*) / E*", "NMSE in dB"),
        [(name, f"{energies[name][-1]:.2g}", round(float(errors[name][-1]), 1)) for name in errors],
    )


def _pictures(config: Config) -> tuple[np.ndarray, np.ndarray]:
    split = load(config.images)
    return split.train, split.test


def _cut(key: Array, pictures: np.ndarray, count: int) -> Float[Array, "patches pixels"]:
    """Patches at random places, without their mean and without those that are flat; of mean square length one."""
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


def _draw(axes: Any, curves: dict[str, np.ndarray], label: str, title: str) -> None:
    for name, values in curves.items():
        axes.plot(np.arange(1, len(values) + 1), values, label=name, color=plots.PALETTE[COLORS[name]])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    plots.label(axes, "step", label, title)


def _legend(figure: Any, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5 if len(labels) == 5 else 4)
