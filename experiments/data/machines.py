"""A user's own restricted Boltzmann machine and data, read from NumPy files."""

import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from ebmjax.checks import ArgumentError
from ebmjax.energies import restricted_boltzmann as rbm
from experiments.data import archives

NAMES = ("W", "a", "b")


def read(path: Path | str) -> rbm.Params:
    """Read a machine from an .npz file: `W` (visible, hidden), `a` (visible,) and `b` (hidden,).

    Raises:
        ArgumentError: one line that says what is wrong with the file, and what was wanted.
    """
    path = Path(os.path.expanduser(path))
    wanted = "an .npz file with the arrays W (visible, hidden), a (visible,) and b (hidden,)"
    arrays = archives.read(path, wanted)
    if not set(NAMES) <= set(arrays):
        got = f"the arrays {', '.join(sorted(arrays))}" if "" not in arrays else "one array"
        raise ArgumentError(f"{path}: got {got}, wanted {wanted}")
    weights, visible, hidden = (_numbers(path, name, arrays[name]) for name in NAMES)
    if weights.ndim != 2 or visible.shape != weights.shape[:1] or hidden.shape != weights.shape[1:]:
        shapes = f"W {weights.shape}, a {visible.shape}, b {hidden.shape}"
        turned = weights.ndim == 2 and (visible.shape, hidden.shape) == (weights.shape[1:], weights.shape[:1])
        hint = "; W seems to be transposed" if turned else ""
        raise ArgumentError(f"{path}: got the shapes {shapes}, wanted (visible, hidden), (visible,), (hidden,){hint}")
    return rbm.Params(jnp.asarray(weights), jnp.asarray(visible), jnp.asarray(hidden))


def read_states(path: Path | str, visible: int) -> Float32[np.ndarray, "samples visible"]:
    """Read visible states of zeros and ones, (samples, visible), from an .npy file or an .npz file of one array.

    Raises:
        ArgumentError: as in `read`.
    """
    path = Path(os.path.expanduser(path))
    wanted = f"an .npy file, or an .npz file of one array, with zeros and ones in the shape (samples, {visible})"
    arrays = archives.read(path, wanted)
    if len(arrays) != 1:
        raise ArgumentError(f"{path}: got the arrays {', '.join(sorted(arrays))}, wanted {wanted}")
    ((name, states),) = arrays.items()
    states = _numbers(path, name or "an array", states)
    if states.ndim > 2:
        states = states.reshape(len(states), -1)
    if states.ndim != 2 or states.shape[1] != visible or not len(states):
        raise ArgumentError(f"{path}: got the shape {states.shape}, wanted {wanted}")
    other = states[(states != 0) & (states != 1)]
    if other.size:
        raise ArgumentError(f"{path}: got a unit of {other[0]:g}, wanted {wanted}")
    return states


def _numbers(path, name, array):
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise ArgumentError(f"{path}: got {name} with the dtype {array.dtype}, wanted real numbers")
    numbers = np.asarray(array, np.float32)
    if not np.all(np.isfinite(numbers)):
        raise ArgumentError(f"{path}: got {name} with a number that is not finite, wanted finite numbers")
    return numbers
