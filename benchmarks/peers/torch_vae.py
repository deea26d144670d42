"""PyTorch's side of a variational autoencoder: tanh layers by autograd and fused Adam, perhaps compiled."""

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

torch.set_num_threads(1)


class Vae:
    """An autoencoder trained on the evidence bound, with one draw for each picture; float32, on the CPU.

    The divergence is in closed form. Weights are (in, out), in the order of the layers, as on our side.
    """

    def __init__(self, encoder: list, decoder: list, rate: float, epsilon: float, compiled: bool):
        """Copies the first weights of encoder and decoder, lists of (kernel, bias)."""
        copied = lambda layers: [tuple(torch.tensor(np.asarray(part)) for part in layer) for layer in layers]
        # transposed once, since `linear` takes (out, in)
        self._encoder = [(kernel.T.contiguous(), bias) for kernel, bias in copied(encoder)]
        self._decoder = [(kernel.T.contiguous(), bias) for kernel, bias in copied(decoder)]
        weights = [part.requires_grad_(True) for layer in (*self._encoder, *self._decoder) for part in layer]
        self._optimizer = torch.optim.Adam(weights, lr=rate, eps=epsilon, fused=True)
        self._loss = torch.compile(self._bound) if compiled else self._bound

    def _bound(self, y: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        mean, log_variance = _dense(self._encoder, y).chunk(2, dim=1)
        z = mean + torch.exp(log_variance / 2) * noise
        cost = functional.binary_cross_entropy_with_logits(_dense(self._decoder, z), y, reduction="sum")
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        return (cost + divergence) / len(y)

    def epoch(self, pictures: torch.Tensor, batch: int, latent: int) -> float:
        """One pass in a new random order; returns the mean loss of its updates."""
        total = torch.zeros(())
        batches = torch.randperm(len(pictures)).split(batch)
        for rows in batches:
            self._optimizer.zero_grad(set_to_none=True)
            value = self._loss(pictures[rows], torch.randn(len(rows), latent))
            value.backward()
            self._optimizer.step()
            total += value.detach()
        return float(total) / len(batches)


def _dense(layers: list, inputs: torch.Tensor) -> torch.Tensor:
    for kernel, bias in layers[:-1]:
        inputs = torch.tanh(functional.linear(inputs, kernel, bias))
    return functional.linear(inputs, *layers[-1])


def trainer(
    encoder: list, decoder: list, rate: float, epsilon: float, batch: int, latent: int, data: np.ndarray, compiled: bool
) -> Callable[[], float]:
    """A callable that trains for one more pass over the pictures, and returns its mean loss."""
    torch.manual_seed(0)
    model = Vae(encoder, decoder, rate, epsilon, compiled)
    pictures = torch.tensor(data)
    return lambda: model.epoch(pictures, batch, latent)
