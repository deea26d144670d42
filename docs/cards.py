"""The gallery: a card for each experiment that has a picture in the documentation, grouped as in the catalogue.

A card of a recorded run (`docs/records`) has its headline figures, and the command that repeats it.
"""

import importlib.util
import json
from pathlib import Path

import recorded

HERE = Path(__file__).parent
PICTURES = {
    "ellipse_inference": ("lecture_ellipse_inference_cold_map", "The cold free energy of an ellipse over the plane"),
    "ellipse_training": ("lecture_ellipse_training_arrows", "Arrows from the manifold to the samples that pull it"),
    "horn_data": ("lecture_horn_data_samples", "Samples of a horn"),
    "horn": ("lecture_horn_horns", "A horn before and after training"),
    "horn_generalized": ("horn_generalized", "Cross-sections of a learned horn, beside the true ellipse"),
    "latent_collapse": ("latent_collapse", "Free energies over the plane, with regularizers and without"),
    "horn_sweep": ("horns", "Horns learned hot, warm and cold"),
    "hopfield_recall": ("hopfield_recall", "Digits recalled from noise by three rules"),
    "hopfield_capacity": ("hopfield_capacity", "Overlap against load for 200 to 2000 units"),
    "hopfield_spurious": ("lecture_hopfield_spurious_basins", "Shares of the basins of stored and spurious patterns"),
    "boltzmann_annealing": ("annealing", "Energy and success against sweeps"),
    "phase_diagram": ("phase_diagram", "Thermodynamics of Ising lattices against beta"),
    "free_energy_league": ("free_energy_league", "Spread of the errors of eight estimators on seven problems"),
    "boltzmann_learning": ("lecture_boltzmann_learning_divergence", "Divergence from the law of the data in learning"),
    "sampler_walk": ("sampler_walk", "Paths of five samplers over five wells"),
    "rbm": ("rbm_likelihood", "Exact likelihoods of CD-1, CD-10 and persistent chains"),
    "rbm_likelihood": ("rbm_likelihood_methods", "Exact test likelihoods of ten ways of training"),
    "dbm": ("dbm", "Digits drawn by a deep Boltzmann machine"),
    "label_completion": ("label_completion", "Digits drawn for each label"),
    "natural_patches": ("natural_patches", "Atoms of a dictionary, most of them Gabor functions"),
    "sparse_mnist": ("sparse_mnist", "Digits built up from strokes"),
    "few_labels": ("few_labels", "Test error against the number of labels"),
    "lista": ("lista", "Error against the number of steps for eight methods"),
    "convolutional_filters": ("convolutional_filters", "Convolutional kernels of grey pictures"),
    "convolutional_color": ("convolutional_color", "Sparse maps of a coloured picture"),
    "vae": ("vae_map", "Decoded digits on a grid of codes"),
    "neural_density": ("neural_density", "Four densities learned in five ways"),
    "composition": ("composition", "Products, mixtures and negations of learned energies"),
    "neural_digits": ("neural_digits", "Chains from noise to digits"),
    "fuzzy_balls": ("fuzzy_balls", "Codes with their noise, under weak and strong springs"),
}
"""The picture of each experiment in `docs/pictures`, and what it shows."""

FIGURES, LONGEST = 2, 40
"""How many headline figures a card has, and the most characters of one."""


def gallery():
    """The text of all cards, in Markdown: a heading and a grid for each room."""
    experiments = [line for name, line in catalogue().EXPERIMENTS.items() if name in PICTURES]
    lines = []
    for room in dict.fromkeys(line.room for line in experiments):
        lines += [f"## {room.capitalize()}", "", "::::{grid} 1 2 2 2", ":gutter: 3", ":class-container: gallery", ""]
        for line in experiments:
            if line.room == room:
                lines += card(line)
        lines += ["::::", ""]
    return "\n".join(lines)


def card(experiment):
    """The lines of one card."""
    picture, alt = PICTURES[experiment.name]
    path = recorded.RECORDS / f"{experiment.name}.json"
    record = json.loads(path.read_text()) if path.exists() else None
    lines = [f":::{{grid-item-card}} `{experiment.name}`", f":img-top: pictures/{picture}.png", f":img-alt: {alt}", ""]
    lines += [experiment.title, ""]
    if record is not None:
        own = {name: recorded.shown(value) for name, value in record.items() if name not in recorded.CONDITIONS}
        short = [f"{recorded.said(name)}: **{value}**" for name, value in own.items() if len(value) <= LONGEST]
        lines += [f"- {figure}" for figure in short[:FIGURES]]
        lines += ["- a quick run"] * record["quick"] + [""]
    command = record["command"] if record is not None else f"python -m experiments {experiment.name}"
    return [*lines, f"`{command}`", ":::", ""]


def catalogue():
    """The module of the catalogue, by its file: the documentation is built without what the experiments need."""
    path = HERE.parent / "experiments/application/catalogue.py"
    spec = importlib.util.spec_from_file_location("catalogue", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
