/* The ellipse: its energy, its free energy at any temperature, and lines of equal values. Tests compare the first two
with the library. */
"use strict";

/** E(y, z) = (y₁ - w₁ cos z)² + (y₂ - w₂ sin z)² at n angles z = 2πk/n. */
live.math.ellipseEnergies = (radii, y, n) => {
  const energies = new Float64Array(n);
  for (let k = 0; k < n; k += 1) {
    const z = (2 * Math.PI * k) / n;
    energies[k] = (y[0] - radii[0] * Math.cos(z)) ** 2 + (y[1] - radii[1] * Math.sin(z)) ** 2;
  }
  return energies;
};

/** F = -1/β log mean exp(-βE), for β from 0 (the mean) to ∞ (the minimum). */
live.math.freeEnergy = (energies, beta) => {
  const [count, least] = [energies.length, energies.reduce((one, other) => Math.min(one, other))];
  if (beta === Infinity) return least;
  if (beta === 0) return energies.reduce((one, other) => one + other) / count;
  let sum = 0;
  for (const energy of energies) sum += Math.expm1(-beta * (energy - least));
  return least - Math.log1p(sum / count) / beta;
};

/** exp(-β(E - min E)): the weights of the angles, in units of the largest. */
live.math.relativeWeights = (energies, beta) => {
  const least = energies.reduce((one, other) => Math.min(one, other));
  return Array.from(energies, (energy) => (energy === least ? 1 : beta === Infinity ? 0 : Math.exp(-beta * (energy - least))));
};

/** F on a grid of the plane, rows from the top; the four quarters are equal. */
live.math.freeEnergyMap = (radii, n, beta, reach, columns, rows) => {
  const values = new Float64Array(rows * columns);
  for (let row = 0; row <= (rows - 1) / 2; row += 1) {
    for (let column = 0; column <= (columns - 1) / 2; column += 1) {
      const y = [reach[0] * (1 - (2 * column) / (columns - 1)), reach[1] * (1 - (2 * row) / (rows - 1))];
      const value = live.math.freeEnergy(live.math.ellipseEnergies(radii, y, n), beta);
      for (const r of [row, rows - 1 - row]) for (const c of [column, columns - 1 - column]) values[r * columns + c] = value;
    }
  }
  return values;
};

/** The segments of the line where the values of a grid are `level`: [x1, y1, x2, y2, …] in steps of the grid. */
live.math.level = (values, rows, columns, level) => {
  const segments = [];
  const cut = (a, b) => (level - a) / (b - a);
  for (let r = 0; r < rows - 1; r += 1) {
    for (let c = 0; c < columns - 1; c += 1) {
      const at = r * columns + c;
      const [a, b, d, e] = [values[at], values[at + 1], values[at + columns], values[at + columns + 1]];
      const ends = [];
      if (a < level !== b < level) ends.push(c + cut(a, b), r);
      if (b < level !== e < level) ends.push(c + 1, r + cut(b, e));
      if (d < level !== e < level) ends.push(c + cut(d, e), r + 1);
      if (a < level !== d < level) ends.push(c, r + cut(a, d));
      for (let k = 0; k + 3 < ends.length; k += 4) segments.push(ends.slice(k, k + 4));
    }
  }
  return segments;
};
