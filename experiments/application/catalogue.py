"""The catalogue: all experiments that `python -m experiments` can run, in the order of `list` and `all`."""

from typing import NamedTuple


class Experiment(NamedTuple):
    """One line of the catalogue."""

    name: str
    """What the user types, and the name of the experiment's module."""
    room: str
    """The folder of `experiments/` that holds the module."""
    title: str
    """One line that says what the experiment shows."""
    small_loops: bool = False
    """Whether it codes patches one by one, in small loops that XLA should compile to one kernel (see `cli`)."""
    needs_data: bool = False
    """Whether it needs a file of the user's: such an experiment is not part of `all`."""

    @property
    def module_name(self) -> str:
        """The dotted name of the module.

        >>> EXPERIMENTS["horn_sweep"].module_name
        'experiments.horn.horn_sweep'
        """
        return f"experiments.{self.room}.{self.name}"


FLAGSHIP = "horn_sweep"
"""The experiment that runs when the command line names none."""

_LINES = (
    Experiment("ellipse_inference", "ellipse", "Free energies of an ellipse, from low to high temperature"),
    Experiment(
        "ellipse_training",
        "ellipse",
        "Training an ellipse at zero temperature, by marginalization, and with contrasting samples",
    ),
    Experiment("horn_data", "horn", "The training set of the horn"),
    Experiment("horn", "horn", "The horn before and after training"),
    Experiment("horn_generalized", "horn", "A horn whose network has to learn the circle too"),
    Experiment(
        "latent_collapse",
        "ellipse",
        "A latent variable with too many dimensions makes every energy zero; regularizers that prevent it",
    ),
    Experiment("horn_sweep", "horn", "Horns trained at 16 temperatures, from 16 seeds each, by one compiled program"),
    Experiment("coins", "ellipse", "Ellipses fitted to the contours of coins in a photograph"),
    Experiment("hopfield_recall", "spins", "Pictures of digits recalled by Hopfield networks under three rules"),
    Experiment("hopfield_capacity", "spins", "How many patterns a Hopfield network can store: loads, sizes and rules"),
    Experiment(
        "hopfield_spurious",
        "spins",
        "All attractors of small Hopfield networks, and how learning removes the spurious ones",
    ),
    Experiment("boltzmann_annealing", "spins", "Spin glasses cooled at once, slowly, and by parallel tempering"),
    Experiment(
        "phase_diagram",
        "spins",
        "Ising and Potts lattices and a spin glass at every temperature, against exact results",
    ),
    Experiment(
        "free_energy_league",
        "spins",
        "Eight estimators of log Z on seven problems with exact answers: errors, and who says that it failed",
    ),
    Experiment(
        "boltzmann_learning",
        "spins",
        "Boltzmann machines trained by the exact likelihood, from samples, and by methods that need neither",
    ),
    Experiment(
        "sampler_walk",
        "networks",
        "Five samplers on an energy with five wells: paths, acceptance, effective samples per second",
    ),
    Experiment(
        "sampler_league",
        "samplers",
        "Samplers, ours and BlackJAX's, on fourteen laws whose moments are known: effective samples, and who fails",
    ),
    Experiment(
        "spin_league",
        "samplers",
        "Samplers of spins, bits and Potts states on nine laws whose means are known: effective samples, and who fails",
    ),
    Experiment(
        "ground_states",
        "samplers",
        "Annealing and tempering look for the known ground states of cuts and planted glasses: time to solution",
    ),
    Experiment(
        "rbm",
        "spins",
        "Restricted Boltzmann machines trained by CD-1, CD-k and persistent chains, with their exact likelihood",
    ),
    Experiment(
        "dbm", "spins", "A deep Boltzmann machine of pictures: pretrained layer by layer, then trained as a whole"
    ),
    Experiment(
        "label_completion", "spins", "One machine of pictures and labels generates, classifies and completes digits"
    ),
    Experiment(
        "natural_patches",
        "codes",
        "A dictionary learned from patches of natural pictures, and Gabor functions fitted to its atoms",
        small_loops=True,
    ),
    Experiment(
        "million_patches",
        "codes",
        "Sparse codes of a million patches of natural pictures in little memory",
        small_loops=True,
    ),
    Experiment(
        "sparse_mnist",
        "codes",
        "Digits as sums of strokes: sparse codes, and how the weight of sparsity changes them",
        small_loops=True,
    ),
    Experiment(
        "few_labels",
        "codes",
        "Classifiers with few labels: do features that were learned without labels help?",
        small_loops=True,
    ),
    Experiment(
        "lista",
        "codes",
        "Learned sparse inference: LISTA and its successors against ISTA, FISTA and coordinate descent",
    ),
    Experiment(
        "convolutional_filters",
        "codes",
        "Convolutional kernels of natural pictures: sets of 1, 4, 8 and 16, with encoders",
    ),
    Experiment("convolutional_color", "codes", "Coloured kernels of natural pictures, and their sparse maps"),
    Experiment(
        "vae", "networks", "Variational autoencoders: pictures, bounds, and log-likelihoods by importance sampling"
    ),
    Experiment(
        "neural_density",
        "networks",
        "A network as an energy: densities of the plane, learned by losses that do not need Z",
    ),
    Experiment(
        "composition",
        "networks",
        "Learned energies combined by and, or, not and interpolation, against exact densities",
    ),
    Experiment(
        "neural_digits",
        "networks",
        "Langevin chains of a neural energy generate and complete digits, and the energy separates them from clothes",
    ),
    Experiment(
        "fuzzy_balls",
        "networks",
        "Codes of a variational autoencoder as fuzzy balls: what noise, spring and size control do to them",
    ),
    Experiment(
        "rbm_likelihood",
        "spins",
        "How likely held-out pictures are to machines trained in five ways, with log Z from both sides",
    ),
    Experiment("dbm_likelihood", "spins", "A bound on the likelihood of a deep machine, and how loose it is"),
    Experiment(
        "log_partition",
        "spins",
        "log Z of your own restricted Boltzmann machine, from both sides (--rbm FILE.npz)",
        needs_data=True,
    ),
    Experiment("fit", "ellipse", "An ellipse or a horn fitted to your own points (--data FILE.csv)", needs_data=True),
)

EXPERIMENTS: dict[str, Experiment] = {line.name: line for line in _LINES}
"""The experiments by their names."""
