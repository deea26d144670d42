"""The running mean of parameters: against the weighted sum of their past."""

import jax
import jax.numpy as jnp
import pytest

from ebmjax.learn.averaging import State, averaged
from ebmjax.types import Learner


def test_the_mean_of_the_parameters_is_the_weighted_sum_of_their_past():
    counting = Learner(
        lambda key, params: State(params, None, None),
        lambda key, state, batch: (state._replace(params=state.params + 1), "told"),
    )
    learner, key = averaged(counting, 0.75), jax.random.key(0)
    state = learner.init(key, jnp.array(10.0))
    for _ in range(3):
        state, told = learner.update(key, state, None)
    assert told == "told"
    assert float(state.params) == 13
    assert float(state.mean) == pytest.approx(0.75**3 * 10 + 0.25 * (0.75**2 * 11 + 0.75 * 12 + 13))


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_is_a_share(decay):
    with pytest.raises(ValueError, match="decay: got"):
        averaged(Learner(lambda key, params: params, lambda key, state, batch: (state, None)), decay)
