// Multicanonical walks of the two-dimensional Ising model, E = -sum of s_i s_j over neighbours, J = 1, periodic: one
// spin after another, drawn from 1/g(E) by the heat bath, with the energy of every fourth visit counted.
//
// It is the same walk as that of ebmjax.marginalize.density_of_states: walkers one after the other, each with spins of
// one byte, weights in a table of log g of the levels -2n, -2n + 4, ..., 2n. Between the two values of a spin the level
// changes by -2 ... 2, so that a table of five probabilities for each level replaces exponentials. Random numbers:
// xoroshiro128+ (Blackman and Vigna, 2018), the upper 32 bits.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

static inline uint64_t turned(uint64_t x, int by) { return x << by | x >> (64 - by); }

static inline uint32_t drawn(uint64_t *state) {
    uint64_t a = state[0], b = state[1], sum = a + b;
    b ^= a;
    state[0] = turned(a, 24) ^ b ^ b << 16;
    state[1] = turned(b, 37);
    return (uint32_t)(sum >> 32);
}

// spins: (walkers, side, side) of +1 and -1; log_density and counts: (side * side + 1,)
void walk(int8_t *spins, long walkers, long side, const double *log_density, long sweeps, uint64_t seed,
          uint64_t *counts) {
    long sites = side * side, levels = sites + 1;
    uint32_t *turn = malloc(5 * levels * sizeof *turn);
    for (long level = 0; level < levels; level++)
        for (int by = -2; by <= 2; by++) {
            long other = level + by;
            double p = other < 0 || other >= levels ? 0 : 1 / (1 + exp(log_density[other] - log_density[level]));
            turn[5 * level + by + 2] = p * 4294967295.0;
        }
    uint64_t state[2] = {seed * 0x9E3779B97F4A7C15ull + 1, ~seed * 0xBF58476D1CE4E5B9ull + 1};
    for (int warm = 0; warm < 20; warm++) drawn(state);
    for (long walker = 0; walker < walkers; walker++) {
        int8_t *s = spins + walker * sites;
        long energy = 0;
        for (long row = 0; row < side; row++)
            for (long column = 0; column < side; column++)
                energy -= s[row * side + column] *
                          (s[(row + 1) % side * side + column] + s[row * side + (column + 1) % side]);
        long level = (energy + 2 * sites) / 4;
        for (long sweep = 0; sweep < sweeps; sweep++)
            for (long row = 0, site = 0; row < side; row++) {
                int8_t *above = s + (row ? row - 1 : side - 1) * side, *below = s + (row < side - 1 ? row + 1 : 0) * side;
                int8_t *here = s + row * side;
                for (long column = 0; column < side; column++, site++) {
                    if (site % 4 == 0) counts[level]++;
                    int around = above[column] + below[column] + here[column ? column - 1 : side - 1] +
                                 here[column < side - 1 ? column + 1 : 0];
                    int by = here[column] * around / 2;
                    int flip = drawn(state) < turn[5 * level + by + 2];
                    level += flip ? by : 0;
                    here[column] = flip ? -here[column] : here[column];
                }
            }
    }
    free(turn);
}
