"""Convolutional coding of the group `sparse`: all maps of one picture. The unit of work is a picture."""

import importlib
import importlib.util
from collections.abc import Callable
from functools import cache
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.runner import Case, Outcome, Side, compiled
from ebmjax.energies import convolutional_sparse_coding as coding
from ebmjax.energies.regularizers import l1
from ebmjax.minimize.codes.convolutional import convolutional_admm

GRANULE = 5
"""Steps are tried in multiples of this."""


def cases(quick: bool) -> list[Case]:
    """Two accuracies, at the same weight."""
    return [case(quick, 1e-3), case(quick, 1e-5)]


def case(quick: bool, accuracy: float = 1e-3) -> Case:
    """One picture, 16 kernels of 9 × 9: each side takes the steps that it needs to the same relative suboptimality."""
    size, weight, limit = (64, 0.1, 1500) if quick else (256, 0.1, 2000)
    kernels, picture = problem(size)
    params, y = coding.Params(jnp.asarray(kernels)), jnp.asarray(picture)
    energy = jax.jit(lambda z: coding.energy(params, l1(weight), y, z))
    solve = lambda steps: lambda y: convolutional_admm(params, l1(weight), y, max_steps=steps, tolerance=0.0)
    least = cache(lambda: float(jax.jit(solve(limit))(y).energy))

    def side(prepared: Callable[[int], Callable[[], np.ndarray]], made: str = "", name: str = "") -> Side:
        """`prepared(steps)` compiles and returns what finds the maps."""
        prepared = cache(prepared)

        def prepare():
            suboptimality = lambda steps: float(energy(jnp.asarray(prepared(steps)()))) / least() - 1
            steps = fewest(suboptimality, accuracy, limit)
            call = prepared(steps)
            objective = cache(lambda: float(energy(jnp.asarray(call()))))

            def outcome():
                maps = call()
                return Outcome(maps, objective())

            objective()
            return outcome

        return Side(prepare, made, 1, name)

    ours = side(lambda steps: _value(compiled(solve(steps), (y,))))
    missing = tuple(name for name in ("sporco",) if not importlib.util.find_spec(name))
    peers = {}
    if not missing:
        module = importlib.import_module("benchmarks.peers.sporco_coding")
        peers["sporco"] = side(
            lambda steps: lambda: module.code(kernels, picture, weight, steps), version("sporco"), "ConvBPDN, float32"
        )

    def agree(ours: Outcome, peer: Outcome) -> None:
        for name, outcome in (("ours", ours), ("peer", peer)):
            reached = outcome.objective / least() - 1
            assert reached <= accuracy, f"{name}: relative suboptimality {reached:.1e}, wanted {accuracy:g}"

    note = (
        f"picture {size} x {size} without its low frequencies, weight {weight:g} = "
        f"{weight / float(coding.largest_weight(params, y)):.2g} of the largest; fewest steps to a relative "
        f"suboptimality of {accuracy:g}, against a run of {limit} steps"
    )
    name = f"convolutional code {size} x {size}, 16 kernels, to {accuracy:g}"
    return Case(name, "picture", ours, peers, agree, note, missing)


def problem(size: int) -> tuple[np.ndarray, np.ndarray]:
    """16 kernels (filters, 9, 9) that look like learned ones, and a picture: float32.

    Kernels are Gabor functions of 8 directions, two wavelengths. The picture is a part of scikit-image's camera, from 0
    to 1, less its low frequencies (Tikhonov, 5), as SPORCO's examples do; noise where scikit-image is not installed.
    """
    down, across = np.mgrid[-4:5, -4:5]
    kernels = []
    for wavelength in (4.0, 8.0):
        for angle in np.arange(8) * np.pi / 8:
            along = down * np.cos(angle) + across * np.sin(angle)
            wave = np.cos(2 * np.pi * along / wavelength + angle)
            kernel = wave * np.exp(-(down**2 + across**2) / (2 * 2.0**2))
            kernels.append((kernel - kernel.mean()) / np.linalg.norm(kernel - kernel.mean()))
    if importlib.util.find_spec("skimage"):
        from skimage.data import camera

        picture = np.asarray(camera())[128 : 128 + size, 128 : 128 + size] / 255
    else:
        picture = np.random.default_rng(0).random((size, size))
    # (1 + 5 |frequency|²)⁻¹ is what is smooth
    slope = [np.abs(np.exp(2j * np.pi * np.fft.fftfreq(size)) - 1) ** 2] * 2
    smooth = 1 / (1 + 5 * (slope[0][:, None] + slope[1][None, :]))
    high = np.real(np.fft.ifft2(np.fft.fft2(picture) * (1 - smooth)))
    return np.stack(kernels).astype(np.float32), high.astype(np.float32)


def fewest(suboptimality: Callable[[int], float], accuracy: float, limit: int) -> int:
    """The least multiple of `GRANULE` steps with suboptimality ≤ accuracy: doubled until enough, then halved in on.

    Raises AssertionError where `limit` steps are not enough.
    """
    above = GRANULE
    while suboptimality(above) > accuracy:
        above *= 2
        assert above <= limit, f"more than {limit} steps to a relative suboptimality of {accuracy:g}"
    below = above // 2
    while above - below > GRANULE:
        middle = (above + below) // (2 * GRANULE) * GRANULE
        above, below = (middle, below) if suboptimality(middle) <= accuracy else (above, middle)
    return above


def _value(call: Callable) -> Callable[[], np.ndarray]:
    return lambda: call().value
