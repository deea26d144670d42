"""scikit-learn's side of learning a restricted Boltzmann machine."""

import numpy as np
from sklearn.neural_network import BernoulliRBM


def fit(images: np.ndarray, hidden: int, rate: float, epochs: int, batch: int = 100) -> tuple[np.ndarray, ...]:
    """`BernoulliRBM.fit`, which is not CD-1 but persistent contrastive divergence (Tieleman, 2008).

    The work of an update is the same: one Gibbs step of a batch, two products for the gradient. What differs is where
    the step begins, at the last one's end instead of at the data. It runs in the dtype of its input, by default
    float64.

    Returns:
        weights (visible, hidden), visible bias, hidden bias.
    """
    model = BernoulliRBM(hidden, learning_rate=rate, batch_size=batch, n_iter=epochs, random_state=0).fit(images)
    return model.components_.T, model.intercept_visible_, model.intercept_hidden_
