"""PyTorch's side of LISTA: K layers by autograd and fused Adam, compiled where there is a C++ compiler."""

from collections.abc import Callable

import numpy as np
import torch

torch.set_num_threads(1)


class Lista:
    """LISTA trained on known codes; float32, on the CPU.

    The loss is the mean of ½‖z_K - z*‖² over the batch, as on our side. Rows are samples.
    """

    def __init__(self, weights: tuple, layers: int, rate: float, compiled: bool):
        """`weights`: W_e (atoms, observed), S (atoms, atoms), θ (atoms), shared or with a leading axis of layers."""
        self._own = np.ndim(weights[0]) == 3
        # transposed once, so that products need no transposition
        parts = [torch.tensor(np.asarray(part)) for part in weights]
        self._weights = [part.mT.contiguous() if part.ndim > 1 + self._own else part for part in parts]
        for part in self._weights:
            part.requires_grad_(True)
        self._layers = layers
        self._optimizer = torch.optim.Adam(self._weights, lr=rate, fused=True)
        self._loss = torch.compile(self._error) if compiled else self._error

    def _error(self, y: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        encoder, lateral, threshold = self._weights
        shared = y @ encoder if not self._own else None
        z = None
        for k in range(self._layers):
            drive = shared if shared is not None else y @ encoder[k]
            S, theta = (lateral[k], threshold[k]) if self._own else (lateral, threshold)
            # before the first layer z is zero
            u = drive if z is None else torch.addmm(drive, z, S)
            z = u - torch.clamp(u, -theta, theta)
        return 0.5 * (z - codes).square().sum(1).mean()

    def steps(self, y: torch.Tensor, codes: torch.Tensor, batch: int) -> float:
        """Make one update from each batch in turn, and return the last loss."""
        value = torch.zeros(())
        for rows, truth in zip(y.split(batch), codes.split(batch), strict=True):
            self._optimizer.zero_grad(set_to_none=True)
            value = self._loss(rows, truth)
            value.backward()
            self._optimizer.step()
        return float(value.detach())


def trainer(
    weights: tuple, layers: int, rate: float, batch: int, y: np.ndarray, codes: np.ndarray, compiled: bool
) -> Callable[[], float]:
    """A callable that trains for one more pass over all batches, and returns the last loss."""
    model = Lista(weights, layers, rate, compiled)
    rows, truth = torch.tensor(y), torch.tensor(codes)
    return lambda: model.steps(rows, truth, batch)


def can_compile() -> bool:
    """Whether torch.compile works here: it needs a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1))
    except Exception:  # its tool chain raises errors of many types
        return False
    return True
