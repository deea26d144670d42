"""Numbers as a person reads them."""

import math
from typing import Any

import jax
import numpy as np

_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any) -> str:
    """A number, or a list of them, in four significant digits; strings stay as they are.

    >>> number(0.00253817), number(451.28), number(float("inf")), number([1.0, 2.5]), number(3.2e-7)
    ('0.002538', '451.3', '∞', '1, 2.5', '3.2 × 10⁻⁷')
    """
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        # Infinities come back from JSON as strings.
        return {"inf": "∞", "-inf": "−∞"}.get(value, value)
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return _real(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {number(item)}" for key, item in value.items())
    if len(value) > 8 and all(isinstance(item, int | float) for item in value):
        return f"{len(value)} values from {number(min(value))} to {number(max(value))}"
    separator = "; " if any(isinstance(item, list | tuple) for item in value) else ", "
    shown = [number(item) for item in value[:8]]
    return separator.join(shown) + (" …" if len(value) > 8 else "")


def scalars(tree: Any) -> str:
    """The finite single numbers of a pytree by their names, in 60 characters at most, for the end of a bar.

    >>> scalars({"energy": np.float32(0.25), "codes": np.zeros(3), "density": np.float32(np.nan)})
    'energy 0.25'
    """
    paths = jax.tree_util.tree_flatten_with_path(jax.tree.map(np.asarray, tree))[0]
    named = [(jax.tree_util.keystr(path[-1:], simple=True), leaf) for path, leaf in paths if leaf.ndim == 0]
    return ", ".join(f"{name} {leaf:.4g}".strip() for name, leaf in named if np.isfinite(leaf))[:60]


def _real(value: float) -> str:
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        text = f"{value:.4g}"
    elif 1e4 <= abs(value) < 1e7:
        text = f"{value:,.0f}"
    else:
        mantissa, exponent = f"{value:.3e}".split("e")
        text = f"{float(mantissa):g} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return text.replace("-", "−", 1) if text.startswith("-") else text
