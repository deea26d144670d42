/* One Gibbs sweep of a square Ising lattice at J = 1, without a field. A test compares it with the library. */
"use strict";

/** Visit one colour of the checkerboard, then the other; P(+1) = σ(2βh), h the sum of the four neighbours. */
live.math.sweep = (spins, side, beta, uniform) => {
  const up = [-4, -2, 0, 2, 4].map((field) => 1 / (1 + Math.exp(-2 * beta * field)));
  for (const colour of [0, 1]) {
    for (let row = 0; row < side; row += 1) {
      const [above, below] = [((row + side - 1) % side) * side, ((row + 1) % side) * side];
      for (let column = (row + colour) % 2; column < side; column += 2) {
        const [left, right] = [(column + side - 1) % side, (column + 1) % side];
        const field = spins[above + column] + spins[below + column] + spins[row * side + left] + spins[row * side + right];
        spins[row * side + column] = uniform() < up[field / 2 + 2] ? 1 : -1;
      }
    }
  }
};

live.math.magnetization = (spins) => Math.abs(spins.reduce((sum, spin) => sum + spin, 0)) / spins.length;
