"""PyTorch's side of an RBM: CD-1 without autograd, with products and updates in place."""

import numpy as np
import torch

torch.set_num_threads(1)


class Rbm:
    """A restricted Boltzmann machine of binary units, trained by `epoch`; float32, on the CPU."""

    def __init__(self, weights: np.ndarray, visible_bias: np.ndarray, hidden_bias: np.ndarray, seed: int = 0):
        """Copies the first weights (visible, hidden) and biases."""
        self._params = [torch.tensor(part) for part in (weights, visible_bias, hidden_bias)]
        self._random = torch.Generator().manual_seed(seed)

    def epoch(self, images: torch.Tensor, rate: float, batch: int = 100) -> None:
        """One pass over the pictures (count, visible) in a new random order.

        ΔW = rate / batch (v h(v)ᵀ - v' h(v')ᵀ), where v' is v after one Gibbs step and h are probabilities.
        """
        weights, visible_bias, hidden_bias = self._params
        step = rate / batch
        hidden_uniform = torch.empty(batch, weights.shape[1])
        visible_uniform = torch.empty(batch, weights.shape[0])
        with torch.inference_mode():
            for rows in torch.randperm(len(images), generator=self._random).split(batch):
                data = images[rows]
                size = len(rows)
                hidden = torch.addmm(hidden_bias, data, weights).sigmoid_()
                hidden_uniform.uniform_(generator=self._random)
                drawn = (hidden_uniform[:size] < hidden).float()
                model = torch.addmm(visible_bias, drawn, weights.T).sigmoid_()
                visible_uniform.uniform_(generator=self._random)
                model = (visible_uniform[:size] < model).float()
                again = torch.addmm(hidden_bias, model, weights).sigmoid_()
                weights.addmm_(data.T, hidden, alpha=step).addmm_(model.T, again, alpha=-step)
                visible_bias.add_(data.sub_(model).sum(0), alpha=step)
                hidden_bias.add_(hidden.sub_(again).sum(0), alpha=step)

    def params(self) -> tuple[np.ndarray, ...]:
        """Weights, visible bias and hidden bias."""
        return tuple(part.numpy() for part in self._params)


def fit(first: tuple, rate: float, batch: int, images: np.ndarray, epochs: int) -> tuple[np.ndarray, ...]:
    """Weights, visible bias and hidden bias after training from the parameters `first`."""
    model = Rbm(*(np.asarray(part) for part in first))
    pictures = torch.tensor(images)
    for _ in range(epochs):
        model.epoch(pictures, rate, batch)
    return model.params()
