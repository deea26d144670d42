"""Networks that can be pickled, with the activations that they keep."""

import importlib
from typing import Any, NamedTuple

from flax import nnx

from ebmjax.records import record


@record
class _Named(NamedTuple):
    """A function by its name, since jax's own activations are compiled objects, which `pickle` refuses."""

    module: str
    name: str


class Pickled(nnx.Module):
    """A module whose functions are pickled by their names, such as `jax.nn.silu`.

    >>> import pickle, jax
    >>> network = Pickled()
    >>> network.activation = jax.nn.silu
    >>> pickle.loads(pickle.dumps(network)).activation is jax.nn.silu
    True
    """

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, with the names of functions in place of what cannot be pickled."""
        return {name: _by_name(value) for name, value in vars(self).items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The attributes again, with the functions of those names."""
        for name, value in state.items():
            found = getattr(importlib.import_module(value.module), value.name) if isinstance(value, _Named) else value
            object.__setattr__(self, name, found)


def _by_name(value):
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not callable(value) or not isinstance(module, str) or not isinstance(name, str) or "." in name:
        return value
    return _Named(module, name) if getattr(importlib.import_module(module), name, None) is value else value
