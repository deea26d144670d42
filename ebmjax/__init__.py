"""Energy-based models in JAX: minimize, marginalize at any temperature, sample, learn."""

from ebmjax import energies, inference, learning, losses, problems, random_bits
from ebmjax.inference.marginalize.free_energy import free_energy, log_partition, posterior
from ebmjax.inference.marginalize.refine import refine
from ebmjax.inference.marginalize.spaces import binary_cube, circle, gauss_hermite, interval, product, spin_cube
from ebmjax.learning.gradient import gradient
from ebmjax.learning.train import train
from ebmjax.temperature import softargmax, softargmin, softmax, softmin

__version__ = "0.1.0"

__all__ = [
    "binary_cube",
    "circle",
    "energies",
    "free_energy",
    "gauss_hermite",
    "gradient",
    "inference",
    "interval",
    "learning",
    "log_partition",
    "losses",
    "posterior",
    "problems",
    "product",
    "random_bits",
    "refine",
    "softargmax",
    "softargmin",
    "softmax",
    "softmin",
    "spin_cube",
    "train",
]
