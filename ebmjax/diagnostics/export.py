"""Draws for ArviZ: its plots and tables, from a run of a kernel.

    to_datatree         for ArviZ 1.x, which wants a DataTree of xarray
    to_inference_data   for ArviZ 0.x, which has a class InferenceData

Both need the extra `arviz`, which is imported when they are called.
"""

from typing import Any

import jax
import numpy as np

from ebmjax.checks import ArgumentError, as_float, check_arrays
from ebmjax.diagnostics.chains import AXES

NAMES = {
    "accepted": "accepted",
    "acceptance": "acceptance_rate",
    "acceptance_rate": "acceptance_rate",
    "diverged": "diverging",
    "energy": "energy",
    "energy_change": "energy_change",
    "energy_error": "energy_error",
    "forbidden": "forbidden",
    "is_accepted": "accepted",
    "is_divergent": "diverging",
    "num_integration_steps": "n_steps",
    "num_trajectory_expansions": "tree_depth",
}
"""What the fields of infos, ours and BlackJAX's, are called in the group `sample_stats` of ArviZ."""

KEPT = [np.dtype(kind) for kind in "?bhilqBHILQfd"]
"""Types of numbers that are handed on as they are."""

WHOLE = "x"
"""The name of positions that are one array without a name."""


def to_datatree(samples: Any, infos: Any = None) -> Any:
    """Draws as a DataTree of xarray, for ArviZ 1.x, with the groups `posterior` and `sample_stats`.

    The first two dimensions of each variable are `chain` and `draw`. The infos of kernels of this library and of
    BlackJAX become the group `sample_stats`, under the names that ArviZ knows, such as `diverging`, `acceptance_rate`,
    `energy`, `n_steps` and `tree_depth`. What else is one number a step keeps its name; larger fields are left out.

    Args:
        samples: positions of many chains, a pytree of arrays (chains, steps, ...), such as `positions` of a `Run` of
            `jax.vmap` over `trajectory`. A dict or a record names its variables, nested names are joined by a dot, and
            one array without a name is called `x`.
        infos: the infos of the same run, or None.

    Returns:
        `xarray.DataTree`.

    Raises:
        ValueError: samples without an array, or with one that has no axes (chains, steps, ...) or other ones than the
            rest; infos of other chains or steps.
        ModuleNotFoundError: ArviZ 1.x is not installed, which needs Python 3.12 or later.

    >>> tree = to_datatree({"z": np.zeros((4, 100))})  # doctest: +SKIP
    >>> tree.posterior["z"].dims  # doctest: +SKIP
    ('chain', 'draw')
    """
    groups = _groups(samples, infos)
    try:
        from arviz_base import from_dict  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'to_datatree needs ArviZ 1.x and Python 3.12 or later: python -m pip install "ebmjax[arviz]"; '
            "for ArviZ 0.x there is to_inference_data"
        ) from error
    return from_dict(groups)


def to_inference_data(samples: Any, infos: Any = None) -> Any:
    """Draws as `arviz.InferenceData`, for ArviZ 0.x; arguments and groups are those of `to_datatree`.

    Raises:
        ValueError: as `to_datatree`.
        ModuleNotFoundError: ArviZ 0.x is not installed.

    >>> data = to_inference_data({"z": np.zeros((4, 100))})  # doctest: +SKIP
    >>> data.posterior["z"].dims  # doctest: +SKIP
    ('chain', 'draw')
    """
    groups = _groups(samples, infos)
    wanted = 'to_inference_data needs ArviZ 0.x: python -m pip install "arviz<1"; for ArviZ 1.x there is to_datatree'
    try:
        import arviz  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(wanted) from error
    if not arviz.__version__.startswith("0."):
        raise ModuleNotFoundError(wanted)
    of_first_generation: Any = arviz.from_dict  # the two differ in their types
    return of_first_generation(**groups)


def _groups(samples, infos):
    """The variables of each group, as NumPy arrays with the axes (chains, steps, ...)."""
    posterior = dict(_named("samples", samples))
    if not posterior:
        raise ArgumentError("samples: got no array, wanted at least one")
    shape = next(iter(posterior.values())).shape[:2]
    fields = dict(_named("infos", infos)) if infos is not None else {}
    if WHOLE in fields:
        raise ArgumentError(
            "infos: got an array, wanted a record or a dict of arrays with the axes (chains, steps, ...)"
        )
    statistics = {
        NAMES.get(name, name): array for name, array in fields.items() if name in NAMES or _is_small(name, array)
    }
    for argument, variables in (("samples", posterior), ("infos", statistics)):
        for name, array in variables.items():
            if array.ndim < 2 or 0 in shape:
                raise ArgumentError(f"{argument}: got shape {array.shape} of {name}, wanted {AXES}")
            if array.shape[:2] != shape:
                wanted = f"{AXES} of {shape[0]} chains and {shape[1]} steps"
                raise ArgumentError(f"{argument}: got shape {array.shape} of {name}, wanted {wanted}")
    return {"posterior": posterior} | ({"sample_stats": statistics} if statistics else {})


def _is_small(name, array):
    """One number a step, at the top of the infos."""
    return array.ndim == 2 and "." not in name


def _named(argument, tree):
    """`(name, array)` of each leaf."""
    check_arrays(argument, tree)
    for path, leaf in jax.tree.leaves_with_path(tree):
        words = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
        # NumPy's numbers stay what they are; halves of JAX become float32, and keys are refused
        kept = getattr(leaf, "dtype", None) in KEPT
        yield ".".join(words) or WHOLE, np.asarray(leaf if kept else as_float(argument, leaf))
