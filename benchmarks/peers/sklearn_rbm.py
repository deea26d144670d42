"""scikit-learn's side of training a restricted Boltzmann machine."""

import numpy as np
from sklearn.neural_network import BernoulliRBM


def fit(images: np.ndarray, hidden: int, rate: float, epochs: int, batch: int = 100) -> tuple[np.ndarray, ...]:
    """`BernoulliRBM.fit`, which is persistent contrastive divergence (Tieleman, 2008) instead of CD-1.

    An update has the same work: one Gibbs step of a batch, and two products for the gradient. But the Gibbs step starts
    at the end of the last one instead of at the data. It runs in the dtype of its input.

    Returns:
        weights (visible, hidden), visible bias, hidden bias.
    """
    model = BernoulliRBM(hidden, learning_rate=rate, batch_size=batch, n_iter=epochs, random_state=0).fit(images)
    return model.components_.T, model.intercept_visible_, model.intercept_hidden_
