"""The few records and protocols that every part of the library shares.

Data are NamedTuples, so that they are pytrees: they pass through `jit`, `vmap` and `scan` as they are.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, Num, PyTree

from ebmjax.records import record

Scalar = Num[Array | np.ndarray, ""] | np.number | float | int
"""One real number: a zero-dimensional array or a plain number."""

Numbers = Any
"""Real numbers that a user hands in: a JAX or NumPy array of any dtype, a number, or nested lists of numbers.

`ebmjax.checks.as_float` converts them, or refuses them by name. `Annotated[Numbers, "visible hidden"]` says the shape.
"""

Beta = Array | np.ndarray | np.number | float | int
"""An inverse temperature in [0, inf], a scalar; `ebmjax.checks.check_beta` says what is wrong with another."""


@runtime_checkable
class Energy(Protocol):
    """A scalar function of the one thing that is not known; `functools.partial` fixes what is."""

    def __call__(self, unknown: Any, /) -> Any:
        """The energy of one unknown, any pytree of arrays: a scalar, in any unit; +inf forbids the state."""
        ...


@runtime_checkable
class ModelEnergy(Protocol):
    """An energy, or a free energy, whose parameters are still open: what losses and learners take."""

    def __call__(self, params: Any, unknown: Any, /) -> Any:
        """The energy of one unknown or one sample, a scalar."""
        ...


@runtime_checkable
class Proposal(Protocol):
    """A symmetric proposal of Metropolis: q(x'|x) = q(x|x')."""

    def __call__(self, key: Key[Array, ""], position: Any, /) -> Any:
        """A position that the chain may move to, of the form of the old one."""
        ...


@runtime_checkable
class KernelAtBeta(Protocol):
    """What annealing and tempering build inside a scan or a vmap: the kernel of one temperature."""

    def __call__(self, beta: Any, /) -> "AnyKernel":
        """The kernel at this inverse temperature, which is traced."""
        ...


CONVERGED = 0
STEP_LIMIT = 1
DIVERGED = 2
TOO_COARSE = 3
TWO_CYCLE = 4
TOO_FEW_TEMPERATURES = 5
NO_OVERLAP = 6
NOT_MIXED = 7
RESULTS = (
    "converged",
    "step limit reached",
    "diverged",
    "grid too coarse",
    "cycle of two states",
    "too few temperatures",
    "no overlap",
    "not mixed",
)
"""What a result code means, in a few words: `RESULTS[int(solution.result)]`; `describe` adds what to do about it."""

_ADVICE = (
    "",
    "allow more steps, start nearer, or ask for a larger tolerance",
    "an energy or a gradient was not finite: take a smaller step, start elsewhere, or check the energy there",
    "take more points, or `ebmjax.marginalize.refine`, which integrates each peak",
    "update one unit at a time, which always ends in a fixed point",
    "take more temperatures, or more steps at each of them",
    "the laws have too few states in common: put others between them, or draw more samples",
    "the draws of different chains or halves disagree: run longer, or with a kernel that moves further",
)


@record
class Alphabet(NamedTuple):
    """The two values of a binary unit."""

    low: float
    high: float


SPINS = Alphabet(-1.0, 1.0)
BITS = Alphabet(0.0, 1.0)


@record
class Space(NamedTuple):
    """A set to search, or to integrate over: N points of a normalized measure.

    `points` may be any pytree of arrays with the leading axis N. `logsumexp(log_weights) == 0`, so that sums over the
    space are averages; `log_volume` = log |Z| turns an average back into a sum or an integral.
    """

    points: PyTree[Array]
    log_weights: Float[Array, " points"]
    log_volume: Float[Array, ""]
    ends: tuple[PyTree[Array], PyTree[Array]] | None = None
    """The lowest and the highest unknown of a bounded set, each of the form of one point, infinite where it has no end.

    None for a set without ends, such as a circle, or of separate states.
    """


@runtime_checkable
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


@runtime_checkable
class StepKernel(Protocol):
    """One step of a chain."""

    def __call__(self, rng_key: Key[Array, ""], state: Any) -> tuple[Any, Any]:
        """The next state.

        Args:
            rng_key: typed random key, used for this step alone.
            state: as of `init`, or of the step before.

        Returns:
            `(state, info)`, where info is what a person wants to know of the step, or None.
        """
        ...


@record
class Kernel(NamedTuple):
    """A Markov step: `init(position, rng_key=None) -> state`, `step(rng_key, state) -> (state, info)`.

    `state` is what the next step needs and has a field `position`; `info` is what a person wants to know, or None. The
    names of the arguments are BlackJAX's, so that its loops run these kernels, and its algorithms run in ours.
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


@runtime_checkable
class InitLearner(Protocol):
    """How learning begins."""

    def __call__(self, key: Key[Array, ""], params: Any, /) -> Any:
        """The state before the first update; it has a field `params`, which holds these parameters."""
        ...


@runtime_checkable
class UpdateLearner(Protocol):
    """One update of the parameters."""

    def __call__(self, key: Key[Array, ""], state: Any, batch: Any, /) -> tuple[Any, Any]:
        """The next state, and metrics of the batch, a pytree of scalars."""
        ...


@record
class Learner(NamedTuple):
    """A way of learning: `init(key, params) -> state`, `update(key, state, batch) -> (state, metrics)`.

    `state` has a field `params` and holds whatever else has to be remembered from one update to the next.
    """

    init: InitLearner
    update: UpdateLearner


@record
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


@record
class Marginal(NamedTuple):
    """A free energy with an estimate of its own error: `result` is `CONVERGED` or `TOO_COARSE`."""

    free_energy: Float[Array, ""]
    error: Float[Array, ""]
    result: Int[Array, ""]


@record
class Estimate(NamedTuple):
    """An estimate of log Z, and of how far to trust it: what every estimator of a partition function returns.

    Z is the sum over all states, or the integral over all points, of exp(-beta E). All fields but `result` are in nats.
    F_beta = (log|Z| - log Z) / beta, with the logarithm of the volume of the space, is the library's free energy.
    """

    log_partition: Float[Array, "..."]
    """log Z."""
    standard_error: Float[Array, "..."]
    """The standard error of log Z; zero where it is exact, NaN where it cannot be estimated."""
    effective_samples: Float[Array, "..."]
    """About how many independent draws from exp(-beta E)/Z itself would be as good; infinite where log Z is exact."""
    lower: Float[Array, "..."]
    """A lower bound of log Z; -inf where the method has none. Where it is drawn, it is an estimate that is too low in
    the mean, less 3 of its standard errors: see `ebmjax.numerics.below`."""
    upper: Float[Array, "..."]
    """An upper bound of log Z; inf where the method has none. Where it is drawn, it is an estimate that is too high in
    the mean, and 3 of its standard errors more."""
    result: Int[Array, "..."]
    """`CONVERGED`, `TOO_FEW_TEMPERATURES`, `NO_OVERLAP`, `NOT_MIXED`, or another result code; see `describe`."""


def result_of(finite: Bool[Array, "..."] | bool, finished: Bool[Array, "..."] | bool) -> Int[Array, "..."]:
    """The result code of an iteration: DIVERGED where it is not finite, CONVERGED where it finished, else STEP_LIMIT.

    >>> [int(result_of(finite, finished)) for finite, finished in ((True, True), (True, False), (False, True))]
    [0, 1, 2]
    """
    return jnp.where(finite, jnp.where(finished, CONVERGED, STEP_LIMIT), DIVERGED).astype(jnp.int32)


def describe(result: Int[Array, ""] | int) -> str:
    """What a result code means, and what to do about it.

    Raises IndexError for a number that is no result code, ValueError for what is no number.

    >>> describe(STEP_LIMIT)
    'step limit reached: allow more steps, start nearer, or ask for a larger tolerance'
    """
    if isinstance(result, str):
        raise ValueError(f"result: got {result!r}, wanted a result code")
    meaning, advice = RESULTS[int(result)], _ADVICE[int(result)]
    return f"{meaning}: {advice}" if advice else meaning
