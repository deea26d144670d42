"""Convolutional sparse coding: a picture as the sum of kernels, each convolved with a sparse map.

    E(y, z) = ½‖y - Σ_i K_i * Z_i‖² + R(z)

The map Z_i has a non-zero entry wherever a copy of the kernel K_i (of unit norm) is placed: its amplitude. All channels
of a coloured picture share the maps. Two functions of one signature treat the border of a picture:

    periodic    periodic boundary; the maps are as large as the picture
    valid       no boundary condition: the maps are larger by the kernel's size less one

Both multiply in the Fourier domain. On CPU that is 6 times as fast as XLA's own convolution of 16 maps of 256 × 256
with kernels of 9 × 9. The arrays there, for F filters, C channels (1 for grey) and maps of (R, S):

    K   (F, rows, columns[, C])     kernels           K̂   (C, F, R, S/2 + 1)     `spectra(params, (R, S))`
    z   (F, R, S)                   maps              ẑ   (F, R, S/2 + 1)        `jnp.fft.rfft2(z)`
    y   (R, S[, C]) if periodic     picture           ŷ   (C, R, S/2 + 1)        `synthesis(K̂, ẑ)`: a sum over F alone

so that each frequency is a problem of its own, with F unknowns and C equations (S/2 is rounded down).

Zeiler et al. (2010), "Deconvolutional networks"; Wohlberg (2016), "Efficient algorithms for convolutional sparse
representations".
"""

from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key

from ebmjax.checks import (
    ArgumentError,
    as_float,
    check_callable,
    check_count,
    check_key,
    check_record,
    check_shape,
    is_static,
)
from ebmjax.compiled import compiled
from ebmjax.energies.regularizers import Regularizer, check_regularizer
from ebmjax.numerics import unit_of
from ebmjax.records import record
from ebmjax.types import Numbers, Scalar

Kernels = Annotated[Numbers, "filters rows columns [channels]"]
Maps = Annotated[Numbers, "filters map_rows map_columns"]
Picture = Annotated[Numbers, "rows columns [channels]"]


@record
class Params(NamedTuple):
    """Kernels of unit norm, in units of y / z: grey, or with a last axis of channels."""

    kernels: Kernels


@runtime_checkable
class Reconstruction(Protocol):
    """A linear function of the maps, which says how the border is treated: `periodic` or `valid`."""

    def __call__(self, params: Params, z: Maps, /) -> Picture:
        """The picture Σ_i K_i * Z_i."""
        ...


def init(key: Key[Array, ""], filters: int, shape: tuple[int, ...]) -> Params:
    """Random kernels of shape (rows, columns), or (rows, columns, channels) for coloured pictures.

    Raises ValueError for sizes below 1, or a shape of another length than 2 or 3.

    >>> init(jax.random.key(0), 4, (9, 9, 3)).kernels.shape
    (4, 9, 9, 3)
    """
    check_key("key", key)
    check_count("filters", filters)
    if len(shape) not in (2, 3) or min(shape) < 1:
        raise ArgumentError(f"shape: got {shape}, wanted (rows, columns) or (rows, columns, channels), each at least 1")
    return normalized(Params(jax.random.normal(key, (filters, *shape))))


def from_data(
    key: Key[Array, ""],
    pictures: Float[Array, "samples rows columns"] | Float[Array, "samples rows columns channels"],
    filters: int,
    size: tuple[int, int],
) -> Params:
    """Kernels of shape (rows, columns[, channels]) that are random pieces of pictures, less the mean of each channel.

    Raises ValueError for pictures smaller than the kernels or of another number of axes, or for filters or sizes
    below 1.

    >>> from_data(jax.random.key(0), jax.random.normal(jax.random.key(1), (2, 16, 16)), 4, (9, 9)).kernels.shape
    (4, 9, 9)
    """
    check_key("key", key)
    check_count("filters", filters)
    pictures = as_float("pictures", pictures)
    if pictures.ndim not in (3, 4) or min(size) < 1 or any(np.less(pictures.shape[1:3], size)):
        raise ArgumentError(f"size: got {size}, wanted at least 1 and at most the pictures' {jnp.shape(pictures)[1:3]}")
    corners = [
        jax.random.randint(part, (filters,), 0, room)
        for part, room in zip(
            jax.random.split(key, 3),
            (len(pictures), pictures.shape[1] - size[0] + 1, pictures.shape[2] - size[1] + 1),
            strict=True,
        )
    ]

    def piece(which, row, column):
        corner = (which, row, column, *(jnp.zeros_like(row) for _ in pictures.shape[3:]))
        cut = jax.lax.dynamic_slice(pictures, corner, (1, *size, *pictures.shape[3:]))[0]
        return cut - jnp.mean(cut, axis=(0, 1), keepdims=True)

    return normalized(Params(jax.vmap(piece)(*corners)))


def as_params(params: Params) -> Params:
    """The parameters with kernels of floats, whatever numbers they were made of.

    Raises ValueError for anything but a `Params`, and for kernels of another number of axes.

    >>> as_params(Params(np.ones((1, 3, 3), np.uint8))).kernels.dtype
    dtype('float32')
    """
    check_record("params", params, Params)
    kernels = as_float("kernels", params.kernels)
    if kernels.ndim not in (3, 4) or 0 in kernels.shape:
        raise ArgumentError(
            f"kernels: got shape {kernels.shape}, wanted (filters, rows, columns) or (filters, rows, columns, channels)"
        )
    return Params(kernels)


def check_params(params: Params) -> None:
    """Raise ValueError for kernels of another number of axes, and for static ones that are zero or not finite.

    >>> check_params(Params(jnp.zeros((1, 3, 3))))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: kernels: got a kernel of zeros (0), wanted kernels of unit norm
    """
    kernels = as_params(params).kernels
    if is_static(kernels):
        for index, kernel in enumerate(np.asarray(kernels)):
            if not np.isfinite(kernel).all():
                raise ArgumentError(
                    f"kernels: got a kernel with {kernel[~np.isfinite(kernel)][0]} ({index}), wanted finite numbers"
                )
            if not kernel.any():
                raise ArgumentError(f"kernels: got a kernel of zeros ({index}), wanted kernels of unit norm")


def check_picture(params: Params, y: Picture) -> None:
    """Raise ValueError for a picture that does not fit the kernels, or a static one with a number that is not finite.

    A picture does not fit where it is smaller than the kernels, or has another number of channels.

    >>> check_picture(Params(jnp.ones((1, 3, 3))), jnp.ones((2, 8)))
    Traceback (most recent call last):
    ebmjax.checks.ArgumentError: y: got shape (2, 8), wanted at least 3 by 3, the size of the kernels
    """
    y = as_float("y", y)
    _check_fit(as_params(params), y)
    if is_static(y) and not np.isfinite(np.asarray(y)).all():
        raise ArgumentError("y: got a number that is not finite, wanted finite numbers")


def normalized(params: Params) -> Params:
    """Every kernel scaled to unit norm over all of its entries; a kernel of zeros does not change.

    >>> normalized(Params(jnp.array([[[0.0, 4.0]]]))).kernels.tolist()
    [[[0.0, 1.0]]]
    """
    kernels = as_params(params).kernels
    axes = tuple(range(1, kernels.ndim))
    scaled = kernels / jnp.expand_dims(jax.vmap(unit_of)(kernels), axes)
    norms = jnp.sqrt(jnp.sum(jnp.square(scaled), axis=axes, keepdims=True))
    return Params(scaled / jnp.where(norms > 0, norms, 1))


def periodic(params: Params, z: Maps) -> Picture:
    """Σ_i K_i * Z_i with a periodic boundary: y(p) = Σ_i Σ_a K_i(a) Z_i(p - a), a picture as large as the maps.

    Raises ValueError where the numbers of kernels and maps differ, or a map is smaller than the kernels.

    >>> shift = Params(jnp.array([[[0.0, 1.0]]]))
    >>> periodic(shift, jnp.array([[[1.0, 2.0, 3.0]]])).round(4).tolist()
    [[3.0, 1.0, 2.0]]
    """
    params, z = as_params(params), as_float("z", z)
    _check_maps(params, z)
    spectrum = synthesis(spectra(params, z.shape[1:]), jnp.fft.rfft2(z))
    picture = jnp.fft.irfft2(spectrum, z.shape[1:])
    return jnp.moveaxis(picture, 0, -1) if params.kernels.ndim == 4 else picture[0]


def valid(params: Params, z: Maps) -> Picture:
    """Σ_i K_i * Z_i where kernels and maps overlap in full: the picture has map size - kernel size + 1 pixels a side.

    Raises ValueError where the numbers of kernels and maps differ, or a map is smaller than the kernels.

    >>> difference = Params(jnp.array([[[1.0, -1.0]]]))
    >>> valid(difference, jnp.array([[[1.0, 2.0, 4.0]]])).round(4).tolist()
    [[1.0, 2.0]]
    """
    params = as_params(params)
    rows, columns = params.kernels.shape[1:3]
    # the periodic boundary reaches only the first rows - 1 rows and columns - 1 columns
    return periodic(params, z)[rows - 1 :, columns - 1 :]


def zeros(params: Params, y: Picture, reconstruction: Reconstruction = periodic) -> Maps:
    """Maps of zeros for a picture, where a solver starts. Raises ValueError for one that does not fit the kernels.

    >>> zeros(Params(jnp.ones((4, 3, 3))), jnp.ones((8, 8)), valid).shape
    (4, 10, 10)
    """
    check_callable("reconstruction", reconstruction)
    params, y = as_params(params), as_float("y", y)
    _check_fit(params, y)
    check_callable("reconstruction", reconstruction)
    filters, (rows, columns) = len(params.kernels), y.shape[:2]
    same = jax.ShapeDtypeStruct((filters, rows, columns), y.dtype)
    less_rows, less_columns = jax.eval_shape(reconstruction, params, same).shape[:2]
    return jnp.zeros((filters, 2 * rows - less_rows, 2 * columns - less_columns), y.dtype)


def misfit(params: Params, y: Picture, z: Maps, reconstruction: Reconstruction = periodic) -> Scalar:
    """½‖y - Σ_i K_i * Z_i‖²: the smooth term of the energy, in squared units of y.

    Raises ValueError for a picture or maps that do not fit the kernels or each other.

    >>> params = Params(jnp.ones((1, 1, 1)))
    >>> float(misfit(params, jnp.array([[1.0, 2.0]]), jnp.zeros((1, 1, 2))))
    2.5
    """
    params, y = as_params(params), as_float("y", y)
    _check_fit(params, y)
    picture = reconstruction(params, as_float("z", z))
    check_shape("y", y, picture.shape)
    return jnp.sum(jnp.square(y - picture)) / 2


def energy(
    params: Params, regularizer: Regularizer, y: Picture, z: Maps, reconstruction: Reconstruction = periodic
) -> Scalar:
    """E(y, z) = ½‖y - Σ_i K_i * Z_i‖² + R(z) of one picture and its maps. Raises ValueError as `misfit`.

    >>> from ebmjax.energies.regularizers import l1
    >>> params = Params(jnp.ones((1, 1, 1)))
    >>> round(float(energy(params, l1(0.5), jnp.array([[1.0, 2.0]]), jnp.array([[[0.0, 1.0]]]))), 4)
    1.5
    """
    check_regularizer(regularizer)
    return misfit(params, y, z, reconstruction) + regularizer.value(as_float("z", z))


def analysis(params: Params, y: Picture, reconstruction: Reconstruction = periodic) -> Maps:
    """Kᵀy, the adjoint of the reconstruction: the correlation of the picture with each kernel at each place.

    Raises ValueError for a picture that does not fit the kernels.

    >>> shift = Params(jnp.array([[[0.0, 1.0]]]))
    >>> analysis(shift, jnp.array([[3.0, 1.0, 2.0]])).round(4).tolist()
    [[[1.0, 2.0, 3.0]]]
    """
    params, y = as_params(params), as_float("y", y)
    return _analysis(params, y, zeros(params, y, reconstruction), reconstruction)


@compiled
def _analysis(params, y, blank, reconstruction):
    return jax.linear_transpose(lambda z: reconstruction(params, z), blank)(y)[0]


def largest_weight(params: Params, y: Picture, reconstruction: Reconstruction = periodic) -> Scalar:
    """λ_max = ‖Kᵀy‖_∞: with an L1 norm of this weight or more, the best maps are zero.

    Raises ValueError for a picture that does not fit the kernels.

    >>> round(float(largest_weight(Params(jnp.ones((1, 1, 1))), jnp.array([[1.0, -2.0]]))), 4)
    2.0
    """
    return jnp.max(jnp.abs(analysis(params, y, reconstruction)))


def lipschitz(params: Params, map_shape: tuple[int, ...]) -> Scalar:
    """An upper bound L of the Lipschitz constant of the misfit's gradient, for maps of shape (rows, columns).

    It is the largest eigenvalue, over all frequencies, of the channels × channels matrix Σ_i K̂_i K̂_iᴴ. For one channel
    that is max Σ_i |K̂_i|²; for C channels the bound is at most C^(1/16) times the eigenvalue. The eigenvalue is exact
    for `periodic`; for `valid`, which has fewer pixels, it is a bound. Raises ValueError for maps smaller than the
    kernels.

    >>> round(float(lipschitz(Params(jnp.array([[[0.6, 0.8]]])), (1, 8))), 3)
    1.96
    """
    params = as_params(params)
    _check_size(params, map_shape)
    unit = unit_of(params.kernels)
    at = spectra(Params(params.kernels / unit), map_shape)
    gram = jnp.sum(at[:, None] * jnp.conj(at)[None], axis=2)
    trace = jnp.sum(jnp.square(jnp.abs(at)), axis=(0, 1))
    if len(at) == 1:
        return jnp.max(trace) * unit * unit
    scaled = gram / jnp.where(trace > 0, trace, 1).astype(gram.dtype)[None, None]
    for _ in range(4):  # the trace of the sixteenth power is the sum of the sixteenth powers of the eigenvalues
        scaled = jnp.sum(scaled[:, :, None] * scaled[None], axis=1)
    sixteenth = sum(jnp.real(scaled[channel, channel]) for channel in range(len(at)))
    return jnp.max(trace * jnp.maximum(sixteenth, 0) ** (1 / 16)) * unit * unit


def spectra(params: Params, map_shape: tuple[int, ...]) -> Complex[Array, "channels filters rows frequencies"]:
    """K̂, the real Fourier transforms of the kernels on a grid of `map_shape` = (rows, columns).

    There are columns // 2 + 1 frequencies, and one channel for grey kernels.

    >>> spectra(Params(jnp.ones((4, 3, 3))), (8, 8)).shape
    (1, 4, 8, 5)
    """
    kernels = as_params(params).kernels
    kernels = kernels if kernels.ndim == 4 else kernels[..., None]
    rows, columns = map_shape
    return jnp.fft.rfft2(jnp.moveaxis(kernels, -1, 0), (rows, columns))


def synthesis(
    at: Complex[Array, "channels filters rows frequencies"], z: Complex[Array, "filters rows frequencies"]
) -> Complex[Array, "channels rows frequencies"]:
    """ŷ = Σ_i K̂_i Ẑ_i, the periodic reconstruction in the Fourier domain.

    >>> synthesis(jnp.ones((1, 2, 1, 1), complex), jnp.ones((2, 1, 1), complex)).tolist()
    [[[(2+0j)]]]
    """
    return jnp.sum(at * z[None], axis=1)


def _check_fit(params, y):
    channels = params.kernels.shape[3:]
    if jnp.ndim(y) != 2 + len(channels) or jnp.shape(y)[2:] != channels:
        wanted = f"(rows, columns, {channels[0]})" if channels else "(rows, columns), as the kernels are grey"
        raise ArgumentError(f"y: got shape {jnp.shape(y)}, wanted {wanted}")
    rows, columns = params.kernels.shape[1:3]
    if y.shape[0] < rows or y.shape[1] < columns:
        raise ArgumentError(
            f"y: got shape {jnp.shape(y)}, wanted at least {rows} by {columns}, the size of the kernels"
        )


def _check_maps(params, z):
    if jnp.ndim(z) != 3 or len(z) != len(params.kernels):
        raise ArgumentError(f"z: got shape {jnp.shape(z)}, wanted ({len(params.kernels)}, rows, columns)")
    _check_size(params, z.shape[1:])


def _check_size(params, map_shape):
    rows, columns = params.kernels.shape[1:3]
    if len(map_shape) != 2 or map_shape[0] < rows or map_shape[1] < columns:
        raise ArgumentError(f"maps: got shape {tuple(map_shape)}, wanted at least {rows} by {columns}, as the kernels")
