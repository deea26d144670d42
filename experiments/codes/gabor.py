"""Part of the experiment `natural_patches`: least-squares fits of Gabor functions to pictures of atoms.

    g(x, y) = A exp(-u²/2σ_u² - v²/2σ_v²) cos(2πfu + φ)

u is the coordinate along the direction of the wave and v the one across it, both from the centre, in pixels. Amplitude
and phase enter linearly, as the factors of a cosine and a sine, so the search is over the other six numbers only
(variable projection). It starts from the best points of a grid, and the best of its ends is returned.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ebmjax.checks import ArgumentError, check_count
from ebmjax.loops import iterate
from ebmjax.types import Scalar

DIRECTIONS, FREQUENCIES, CENTRES = 8, 6, 7  # sizes of the grid; CENTRES rows and CENTRES columns
ASPECTS = ((0.6, 0.6), (0.6, 1.2))  # widths along and across the wave on the grid, in half wavelengths
FINEST = 0.6
"""The highest frequency of a fit, in cycles per pixel. A grid of pixels can show 0.5 along an axis and 0.71 along a
diagonal."""


class Gabor(NamedTuple):
    """One Gabor function, or many where the fields are arrays."""

    row: Scalar | Float[Array, "..."]
    """Row of the centre: pixels downwards from the middle of the first pixel."""
    column: Scalar | Float[Array, "..."]
    """Column of the centre: pixels to the right of the middle of the first pixel."""
    direction: Scalar | Float[Array, "..."]
    """Direction of the wave, across its stripes, in [0, π): 0 is to the right, π/2 upwards."""
    frequency: Scalar | Float[Array, "..."]
    """Frequency of the wave, in cycles per pixel."""
    phase: Scalar | Float[Array, "..."]
    """Phase at the centre, in radians, in [-π, π]: 0 and π are even functions, ±π/2 odd ones."""
    along: Scalar | Float[Array, "..."]
    """σ_u, in pixels: the width along the wave, across the stripes."""
    across: Scalar | Float[Array, "..."]
    """σ_v, in pixels: the width across the wave, along the stripes."""
    amplitude: Scalar | Float[Array, "..."]
    """A > 0, in the units of the picture."""


class Fit(NamedTuple):
    """Fitted Gabor functions and their relative squared errors."""

    gabor: Gabor
    residual: Float[Array, "..."]
    """‖a - g‖² / ‖a‖², in [0, 1]."""


class _Shape(NamedTuple):
    """The six numbers that enter nonlinearly."""

    row: Array
    column: Array
    direction: Array
    log_frequency: Array
    log_along: Array
    log_across: Array


def draw(gabor: Gabor, rows: int, columns: int) -> Float[Array, "rows columns"]:
    """One Gabor function as a picture.

    >>> draw(Gabor(1.0, 1.0, 0.0, 0.25, 0.0, 2.0, 2.0, 3.0), 3, 3)[1].round(2).tolist()
    [-0.0, 3.0, -0.0]
    """
    u, v = _coordinates(gabor.row, gabor.column, gabor.direction, rows, columns)
    envelope = jnp.exp(-((u / gabor.along) ** 2 + (v / gabor.across) ** 2) / 2)
    return jnp.asarray(gabor.amplitude) * envelope * jnp.cos(2 * math.pi * gabor.frequency * u + gabor.phase)


def peak_frequency(gabor: Gabor) -> Float[Array, "..."]:
    """The frequency at which the spectrum of a Gabor function is largest, along its wave, in cycles per pixel.

    Where the envelope contains several periods this is the frequency of the wave. A bar or an edge may be fitted by any
    small `frequency`; there the peak depends on the width.

    >>> edge = Gabor(0.0, 0.0, 0.0, 0.001, math.pi / 2, 2.0, 2.0, 1.0)  # u exp(-u²/2σ²), so 1/2πσ
    >>> round(float(peak_frequency(edge)), 3), round(1 / (4 * math.pi), 3)
    (0.08, 0.08)
    """
    frequency, along, phase = (jnp.asarray(leaf)[..., None] for leaf in (gabor.frequency, gabor.along, gabor.phase))
    grid = jnp.linspace(0.0, 0.8, 801).reshape(*[1] * (phase.ndim - 1), 801)
    near, far = (jnp.exp(-2 * jnp.square(math.pi * along * (grid - sign * frequency))) for sign in (1.0, -1.0))
    # |e^{iφ} near + e^{-iφ} far|²
    power = jnp.square(near) + jnp.square(far) + 2 * near * far * jnp.cos(2 * phase)
    return grid.ravel()[jnp.argmax(power, axis=-1)]


def fit(atoms: Float[Array, "atoms rows columns"], starts: int = 6, steps: int = 40) -> Fit:
    """The Gabor function nearest to each atom, by the Levenberg-Marquardt method from several starts.

    The centre may lie outside of the picture by up to half its length. The frequency is between a quarter of a cycle in
    the picture and `FINEST`, the widths are between 0.4 pixels and the length of the picture. An atom that is not a
    Gabor function has a large residual. Where a width is at its bound, as for a grating, the true width is not known.

    Args:
        atoms: pictures in any units, none of them zero, with at least 4 × 4 pixels.
        starts: number of starts for each atom. They are points of the grid, each the best one of its direction and
            frequency.
        steps: steps of the method from each start.

    Raises:
        ValueError: pictures that are too small, zero or not finite; starts or steps below 1, or too many starts.
    """
    _, rows, columns = atoms.shape
    if min(rows, columns) < 4:
        raise ArgumentError(f"atoms: got {rows} x {columns} pixels, wanted at least 4 x 4")
    if not 1 <= starts <= DIRECTIONS * FREQUENCIES:
        raise ArgumentError(f"starts: got {starts}, wanted 1 to {DIRECTIONS * FREQUENCIES}")
    check_count("steps", steps)
    power = jnp.sum(jnp.square(atoms), axis=(1, 2))
    if not np.asarray((power > 0) & (power < jnp.inf)).all():
        raise ArgumentError("atoms: got one that is zero or not finite, wanted finite pictures that are not zero")
    unit = atoms / jnp.sqrt(power)[:, None, None]
    fitted = jax.jit(_fit, static_argnums=(1, 2))(unit, starts, steps)
    return fitted._replace(gabor=fitted.gabor._replace(amplitude=fitted.gabor.amplitude * jnp.sqrt(power)))


def _fit(atoms: Float[Array, "atoms rows columns"], starts: int, steps: int) -> Fit:
    _, rows, columns = atoms.shape
    grid = _grid(rows, columns)  # leaves (waves, places)
    explained = _explained(grid, atoms)  # (atoms, waves, places)
    place = jnp.argmax(explained, axis=2)
    best = jnp.max(explained, axis=2)
    _, waves = jax.lax.top_k(best, starts)  # (atoms, starts)
    places = jnp.take_along_axis(place, waves, axis=1)
    first = jax.tree.map(lambda leaf: leaf[waves, places], grid)

    def one(atom, first):
        ends, costs = jax.vmap(lambda start: _descend(atom, start, steps))(first)
        winner = jnp.argmin(costs)
        return _finished(atom, jax.tree.map(lambda leaf: leaf[winner], ends))

    return jax.vmap(one)(atoms, first)


def _coordinates(row, column, direction, rows, columns):
    down, right = jnp.arange(float(rows))[:, None] - row, jnp.arange(float(columns))[None, :] - column
    # rows count downwards, angles upwards
    u = right * jnp.cos(direction) - down * jnp.sin(direction)
    v = right * jnp.sin(direction) + down * jnp.cos(direction)
    return u, v


def _waves(shape: _Shape, rows: int, columns: int) -> Float[Array, "2 rows columns"]:
    """The cosine and the sine, both times the envelope."""
    u, v = _coordinates(shape.row, shape.column, shape.direction, rows, columns)
    envelope = jnp.exp(-((u * jnp.exp(-shape.log_along)) ** 2 + (v * jnp.exp(-shape.log_across)) ** 2) / 2)
    angle = 2 * math.pi * jnp.exp(shape.log_frequency) * u
    return jnp.stack([envelope * jnp.cos(angle), envelope * jnp.sin(angle)])


def _projected(atom: Float[Array, "rows columns"], shape: _Shape):
    """The nearest picture of this shape, and its amplitudes of cosine and sine."""
    waves = _waves(shape, *atom.shape)
    gram, dot = jnp.einsum("iab,jab->ij", waves, waves), jnp.einsum("iab,ab->i", waves, atom)
    # the sine of a slow wave is nearly zero: the ridge keeps its amplitude finite
    gram = gram + (1e-5 * jnp.trace(gram) + 1e-12) * jnp.eye(2)
    determinant = gram[0, 0] * gram[1, 1] - gram[0, 1] ** 2
    cosine = (gram[1, 1] * dot[0] - gram[0, 1] * dot[1]) / determinant
    sine = (gram[0, 0] * dot[1] - gram[0, 1] * dot[0]) / determinant
    return cosine * waves[0] + sine * waves[1], cosine, sine


def _bounds(rows: int, columns: int) -> tuple[_Shape, _Shape]:
    longest = float(max(rows, columns))
    low = (-longest / 2, -longest / 2, -jnp.inf, math.log(0.25 / longest), math.log(0.4), math.log(0.4))
    high = (rows - 1 + longest / 2, columns - 1 + longest / 2, jnp.inf, math.log(FINEST), *[math.log(longest)] * 2)
    return _Shape(*map(jnp.asarray, low)), _Shape(*map(jnp.asarray, high))


def _descend(atom: Float[Array, "rows columns"], start: _Shape, steps: int) -> tuple[_Shape, Scalar]:
    low, high = (jnp.stack(bound) for bound in _bounds(*atom.shape))
    difference = lambda values: (atom - _projected(atom, _Shape(*values))[0]).ravel()
    cost = lambda values: jnp.sum(jnp.square(difference(values)))

    def step(state):
        values, now, damping = state
        residual, jacobian = difference(values), jax.jacfwd(difference)(values)
        hessian, slope = jacobian.T @ jacobian, jacobian.T @ residual
        scale = jnp.diag(hessian) + 1e-6
        move = jax.scipy.linalg.solve(hessian + jnp.diag(damping * scale), slope, assume_a="pos")
        tried = jnp.clip(values - move, low, high)
        after = cost(tried)
        better = after < now
        damping = jnp.clip(jnp.where(better, damping / 3, damping * 4), 1e-6, 1e6)
        return jnp.where(better, tried, values), jnp.where(better, after, now), damping

    values = jnp.clip(jnp.stack(start), low, high)
    state = (values, cost(values), jnp.array(0.01))
    values, least, _ = iterate(step, state, steps)
    return _Shape(*values), least


def _finished(atom: Float[Array, "rows columns"], shape: _Shape) -> Fit:
    picture, cosine, sine = _projected(atom, shape)
    residual = jnp.sum(jnp.square(atom - picture))
    # A cos(ωu + φ) = A cos φ cos ωu - A sin φ sin ωu
    phase = jnp.arctan2(-sine, cosine)
    turns = jnp.floor(shape.direction / math.pi)
    # a rotation by π changes the sign of u
    phase = jnp.where(jnp.mod(turns, 2.0) == 1, -phase, phase)
    widths = jnp.exp(shape.log_along), jnp.exp(shape.log_across)
    direction = shape.direction - turns * math.pi
    amplitude = jnp.hypot(cosine, sine)
    frequency = jnp.exp(shape.log_frequency)
    return Fit(Gabor(shape.row, shape.column, direction, frequency, phase, *widths, amplitude), residual)


def _grid(rows: int, columns: int) -> _Shape:
    """Starts: waves of every direction and frequency, with every centre and aspect. Leaves are (waves, places)."""
    directions = np.arange(DIRECTIONS) * math.pi / DIRECTIONS
    frequencies = np.geomspace(0.5 / max(rows, columns), 0.45, FREQUENCIES)
    middle = [np.linspace(0.1, 0.9, CENTRES) * (length - 1) for length in (rows, columns)]
    direction, frequency = (axis.ravel() for axis in np.meshgrid(directions, frequencies, indexing="ij"))
    row, column, aspect = (axis.ravel() for axis in np.meshgrid(*middle, np.arange(len(ASPECTS)), indexing="ij"))
    half = 0.5 / frequency[:, None]
    widths = half[..., None] * np.array(ASPECTS)[aspect.astype(int)][None]
    log_widths = np.log(np.clip(widths, 0.5, max(rows, columns) / 2))
    whole = np.zeros((len(direction), len(row)))
    leaves = (row[None] + whole, column[None] + whole, direction[:, None] + whole, np.log(frequency)[:, None] + whole)
    return _Shape(*(jnp.asarray(leaf, jnp.float32) for leaf in (*leaves, log_widths[..., 0], log_widths[..., 1])))


def _explained(grid: _Shape, atoms: Float[Array, "atoms rows columns"]) -> Float[Array, "atoms waves places"]:
    """The share of each unit-length atom's power that each shape of the grid explains at its best amplitudes."""
    flat = atoms.reshape(len(atoms), -1)

    def one_wave(shapes):  # leaves (places,)
        cosine, sine = jax.vmap(lambda shape: _waves(shape, *atoms.shape[1:]).reshape(2, -1), out_axes=1)(shapes)
        cosine = cosine / (jnp.linalg.norm(cosine, axis=1, keepdims=True) + 1e-9)
        sine = sine - jnp.sum(sine * cosine, axis=1, keepdims=True) * cosine
        length = jnp.linalg.norm(sine, axis=1, keepdims=True)
        sine = jnp.where(length > 1e-3, sine / jnp.maximum(length, 1e-3), 0)
        return jnp.square(flat @ cosine.T) + jnp.square(flat @ sine.T)  # (atoms, places)

    return jnp.moveaxis(jax.lax.map(one_wave, grid), 0, 1)
