/* A Hopfield network: E(s) = -½ sᵀWs, and the visit of one unit. A test compares both with the library. */
"use strict";

/** The symmetric weights with a zero diagonal, from their upper triangle. */
live.math.network = (upper, units) => {
  const weights = Array.from({ length: units }, () => new Float64Array(units));
  let next = 0;
  for (let i = 0; i < units; i += 1) {
    for (let j = i + 1; j < units; j += 1, next += 1) weights[i][j] = weights[j][i] = upper[next];
  }
  return weights;
};

live.math.field = (weights, spins, unit) => weights[unit].reduce((sum, weight, other) => sum + weight * spins[other], 0);

live.math.networkEnergy = (weights, spins) =>
  spins.reduce((sum, spin, unit) => sum - 0.5 * spin * live.math.field(weights, spins, unit), 0);

/** Set a unit to the sign of its field; a field of zero, up to rounding, keeps it. Returns the change of the energy. */
live.math.visit = (weights, spins, unit) => {
  const field = live.math.field(weights, spins, unit);
  const rounding = 8 * 2 ** -23 * weights[unit].reduce((sum, weight) => sum + Math.abs(weight), 0);
  if (Math.abs(field) <= rounding || Math.sign(field) === spins[unit]) return 0;
  spins[unit] = -spins[unit];
  return -2 * spins[unit] * field;
};
