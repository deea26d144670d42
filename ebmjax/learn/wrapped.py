"""States of learners that wrap another learner, as those of `averaged`, `measured` and `keeping_best` do.

Such a state has a field `inner`, the state of the learner inside. Wrappers compose in any order that makes sense:

    learner = gradient(loss, optax.adam(1e-3))
    learner = measured(averaged(learner, 0.99), held_out_loss, every=100)
    learner = stopped_early(keeping_best(learner), patience=5)
    best = state_of(keeping.State, train(key, learner, params, data, 64, 50).state).best
"""

from typing import Any, TypeVar

from ebmjax.checks import ArgumentError

S = TypeVar("S")


def state_of(kind: type[S], state: Any) -> S:
    """The record of one kind in the state of a learner: the state itself, or the outermost of those inside it.

    Args:
        kind: of a wrapper, such as `ebmjax.learn.keeping.State`.
        state: of a learner.

    Raises ValueError where there is none.

    >>> import jax, optax
    >>> from ebmjax.learn import averaging, gradient
    >>> learner = averaging.averaged(gradient.gradient(lambda w, y: w**2, optax.sgd(0.1)), 0.9)
    >>> float(state_of(gradient.State, learner.init(jax.random.key(0), 3.0)).params)
    3.0
    """
    outermost = type(state).__name__
    while not isinstance(state, kind):
        if not hasattr(state, "inner"):
            raise ArgumentError(
                f"state: got a {outermost} without a {kind.__module__.rpartition('.')[2]}.{kind.__name__} inside,"
                " wanted the state of a learner with that wrapper"
            )
        state = state.inner
    return state


def params_of(state: Any) -> Any:
    """`state.params`, the parameters that wrappers measure and keep by default.

    Averaged ones are those of `lambda state: state_of(averaging.State, state).mean`.

    >>> import jax, optax
    >>> from ebmjax.learn.gradient import gradient
    >>> float(params_of(gradient(lambda w, y: w**2, optax.sgd(0.1)).init(jax.random.key(0), 3.0)))
    3.0
    """
    return state.params
