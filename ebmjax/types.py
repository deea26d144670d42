"""The few records and protocols that every part of the library shares.

Data are NamedTuples, so that they are pytrees: they pass through `jit`, `vmap` and `scan` as they are.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

Scalar = Float[Array | np.ndarray, ""] | np.floating | float | int
"""One real number: a zero-dimensional array or a plain number."""

Beta = Array | np.ndarray | np.floating | float | int
"""An inverse temperature in [0, inf], a scalar; `ebmjax.checks.check_beta` says what is wrong with another."""

Energy = Callable[[Any], Any]
"""A scalar function of the one thing that is not known."""

Proposal = Callable[[Key[Array, ""], Any], Any]
"""`propose(key, position) -> position`, with q(x'|x) = q(x|x')."""

CONVERGED = 0
STEP_LIMIT = 1
DIVERGED = 2
TOO_COARSE = 3
TWO_CYCLE = 4
RESULTS = ("converged", "step limit reached", "diverged", "grid too coarse", "cycle of two states")
"""What a result code means: `RESULTS[int(solution.result)]`."""


class Alphabet(NamedTuple):
    """The two values of a binary unit."""

    low: float
    high: float


SPINS = Alphabet(-1.0, 1.0)
BITS = Alphabet(0.0, 1.0)


class Space(NamedTuple):
    """A set to search, or to integrate over: N points of a normalized measure.

    `points` may be any pytree of arrays with the leading axis N. `logsumexp(log_weights) == 0`, so that sums over the
    space are averages; `log_volume` = log |Z| turns an average back into a sum or an integral.
    """

    points: PyTree[Array]
    log_weights: Float[Array, " points"]
    log_volume: Float[Array, ""]


class InitKernel(Protocol):
    """How a chain begins: what the first step needs to know of a position."""

    def __call__(self, position: Any, rng_key: Key[Array, ""] | None = None) -> Any:
        """The state at a position.

        Args:
            position: any pytree of arrays.
            rng_key: for kernels that draw at the start; those of this library do not use it.

        Returns:
            A state with a field `position`.
        """
        ...


class StepKernel(Protocol):
    """One step of a chain."""

    def __call__(self, rng_key: Key[Array, ""], state: Any) -> tuple[Any, Any]:
        """The next state.

        Args:
            rng_key: typed random key, used for this step alone.
            state: as of `init`, or of the step before.

        Returns:
            `(state, info)`, where info is what a person wants to know of the step.
        """
        ...


class Kernel(NamedTuple):
    """A Markov step: `init(position, rng_key=None) -> state`, `step(rng_key, state) -> (state, info)`.

    `state` is what the next step needs and has a field `position`; `info` is what a person wants to know. The names of
    the arguments are BlackJAX's, so that its loops run these kernels, and its algorithms run in ours.
    """

    init: InitKernel
    step: StepKernel


@runtime_checkable
class AnyKernel(Protocol):
    """A pair of functions `init` and `step` of the protocol of `Kernel`, such as BlackJAX's `SamplingAlgorithm`."""

    @property
    def init(self) -> Callable[..., Any]:
        """As `InitKernel`."""
        ...

    @property
    def step(self) -> Callable[..., tuple[Any, Any]]:
        """As `StepKernel`."""
        ...


class Learner(NamedTuple):
    """A way of learning: `init(key, params) -> state`, `update(key, state, batch) -> (state, metrics)`.

    `state` has a field `params` and holds whatever else has to be remembered from one update to the next.
    """

    init: Callable[[Key[Array, ""], Any], Any]
    update: Callable[[Key[Array, ""], Any, Any], tuple[Any, Any]]


class Solution(NamedTuple):
    """What every minimizer returns.

    `result` is one of `CONVERGED`, `STEP_LIMIT`, `DIVERGED`, `TWO_CYCLE`; a solver never raises inside jit. `gap` is a
    certificate: the energy is at most that far above the least one. It is infinite where a minimizer has none.
    """

    value: PyTree[Array]
    energy: Float[Array, ""]
    steps: Int[Array, ""]
    result: Int[Array, ""]
    gap: Float[Array, ""] | float = math.inf


class Marginal(NamedTuple):
    """A free energy with an estimate of its own error: `result` is `CONVERGED` or `TOO_COARSE`."""

    free_energy: Float[Array, ""]
    error: Float[Array, ""]
    result: Int[Array, ""]
