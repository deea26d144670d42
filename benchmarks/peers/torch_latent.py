"""PyTorch's side of the group `latent`."""

import math

import numpy as np
import torch

torch.set_num_threads(1)


def free_energy(y: np.ndarray, points: np.ndarray, betas: np.ndarray, chunk: int) -> np.ndarray:
    """F_beta (betas, samples) by `torch.logsumexp`, for `chunk` rows of y at a time."""
    places, inverse = torch.tensor(points), torch.tensor(betas)
    log_size, chunks = math.log(len(points)), []
    with torch.inference_mode():
        for part in torch.tensor(y).split(chunk):
            energy = (part[:, None] - places).square().sum(-1)
            scaled = energy * -inverse[:, None, None]
            chunks.append((torch.logsumexp(scaled, -1) - log_size) / -inverse[:, None])
        return torch.cat(chunks, 1).numpy()


def train_horn(
    weights: list[np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    batch_size: int,
    updates: int,
    rate: float,
    detached_search: bool = False,
) -> float:
    """Train a horn by the usual loop: E at 48 angles, its minimum, backward, fused Adam; shuffled in every epoch.

    Args:
        weights: kernels (in, out) and biases of the layers 1 → 8 → 8 → 2, in turn.
        x, y: the data.
        batch_size: samples in an update.
        updates: number of updates.
        rate: learning rate.
        detached_search: whether the angles are searched without gradient, and only the best one is differentiated.

    Returns:
        the final mean of F_inf over all samples, at the 48 angles.
    """
    params = [torch.tensor(weight, requires_grad=True) for weight in weights]
    angles = torch.arange(48) * (2 * math.pi / 48)
    circle = torch.stack([angles.cos(), angles.sin()], 1)
    inputs, targets = torch.tensor(x)[:, None], torch.tensor(y)
    optimizer = torch.optim.Adam(params, lr=rate, fused=True)

    def radii(x):
        hidden = torch.relu(torch.addmm(params[1], x, params[0]))
        hidden = torch.relu(torch.addmm(params[3], hidden, params[2]))
        return torch.addmm(params[5], hidden, params[4])

    def energies(f, y):
        return (y[:, None] - f[:, None] * circle).square().sum(-1)

    def loss(x, y):
        f = radii(x)
        if not detached_search:
            return energies(f, y).min(1).values.mean()
        with torch.no_grad():
            best = circle[energies(f, y).argmin(1)]
        return (y - f * best).square().sum(1).mean()

    done = 0
    while done < updates:
        order = torch.randperm(len(x))[: len(x) // batch_size * batch_size]
        batches = zip(inputs[order].split(batch_size), targets[order].split(batch_size), strict=True)
        for batch_x, batch_y in batches:
            optimizer.zero_grad(set_to_none=True)
            loss(batch_x, batch_y).backward()
            optimizer.step()
            done += 1
    with torch.no_grad():
        return float(energies(radii(inputs), targets).min(1).values.mean())
