// Uniform two-dimensional Ising model, E = -sum of s_i s_j over neighbours, J = 1, periodic: Metropolis, one bit a spin.
//
// The two colours of the checkerboard lie in planes of their own, (rows, columns / 2 * words) words of 64 bits. Site k of
// a row has its vertical neighbours at k in the other plane and its horizontal ones at k and at k - 1 or k + 1, so that
// all neighbours of eight words are three streams and one stream that is shifted by `words`. What a bit stands for:
//
//   chains: the lattice of chain 64 * word + bit; `words` words a site.
//   strips: the strip of `rows` rows that begins at row bit * rows of one lattice of 64 * rows rows; words = 1. Below the
//           last row of a strip stands the first of the next one: the same words, turned by a bit.
//
// A bit that is 1 with probability p comes from BITS random bits, compared with the binary digits of p; p = exp(-4 beta)
// and p * p share them. p is rounded to BITS bits. Random words: xoroshiro128+ (Blackman and Vigna, 2018), 8 lanes of 64
// bits in a register, 4 generators in turn because one alone waits for itself.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#ifndef BITS
#define BITS 24  // a multiple of GENERATORS
#endif
#define GENERATORS 4
#define LANES 8

typedef uint64_t vector __attribute__((vector_size(64)));
typedef uint64_t unaligned __attribute__((vector_size(64), aligned(8)));

typedef struct {
    vector random[GENERATORS][2];
    vector digits[2][BITS];  // of p and of p * p, low digit first: all ones or all zeros
    long rows, count, words, halo, stride;
    int strips;
    uint64_t *plane[2];
} ising;

// At least two of three bits: a | b where c is 1, a & b where it is 0.
static inline vector majority(vector a, vector b, vector c) {
#ifdef __AVX512F__
    return (vector)_mm512_ternarylogic_epi64((__m512i)a, (__m512i)b, (__m512i)c, 0xe8);
#else
    return (a & b) | (c & (a | b));
#endif
}

static inline vector turn(vector x, int bits) { return (x << bits) | (x >> (64 - bits)); }

static inline vector draw(vector *state) {
    const vector a = state[0], b = state[1] ^ a, word = a + state[1];
    state[0] = turn(a, 24) ^ b ^ (b << 16);
    state[1] = turn(b, 37);
    return word;
}

static uint64_t splitmix(uint64_t *seed) {
    uint64_t x = *seed += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static uint64_t *row_of(const ising *model, int colour, long row) {
    return model->plane[colour] + (row + 1) * model->stride + model->halo;
}

// The words beyond the edges of one plane, after it has changed.
static void wrap(const ising *model, int colour) {
    const long rows = model->rows, count = model->count, words = model->words;
    for (long row = 0; row < rows; row++) {
        uint64_t *line = row_of(model, colour, row);
        memcpy(line - words, line + count - words, words * sizeof(uint64_t));
        memcpy(line + count, line, words * sizeof(uint64_t));
    }
    const uint64_t *first = row_of(model, colour, 0), *last = row_of(model, colour, rows - 1);
    uint64_t *above = row_of(model, colour, -1), *below = row_of(model, colour, rows);
    for (long k = 0; k < count; k++) {
        above[k] = model->strips ? last[k] << 1 | last[k] >> 63 : last[k];
        below[k] = model->strips ? first[k] >> 1 | first[k] << 63 : first[k];
    }
}

// Which of its four neighbours the spins of a row are unlike.
typedef struct { const uint64_t *up, *down, *here, *beside; } around;

static around neighbours(const ising *model, int colour, long row) {
    const uint64_t *here = row_of(model, 1 - colour, row);
    const long shift = (row + colour) % 2 ? model->words : -model->words;
    return (around){row_of(model, 1 - colour, row - 1), row_of(model, 1 - colour, row + 1), here, here + shift};
}

static void update(ising *model, int colour) {
    vector random[GENERATORS][2];
    memcpy(random, model->random, sizeof random);
    for (long row = 0; row < model->rows; row++) {
        uint64_t *line = row_of(model, colour, row);
        const around near = neighbours(model, colour, row);
        for (long k = 0; k < model->count; k += LANES) {
            vector once = {0}, twice = {0};  // 1 with probability p, and p * p
#pragma GCC unroll 32
            for (int bit = 0; bit < BITS; bit++) {
                const vector word = draw(random[bit % GENERATORS]);
                once = majority(word, once, model->digits[0][bit]);
                twice = majority(word, twice, model->digits[1][bit]);
            }
            const vector spin = *(vector *)(line + k);
            const vector a = spin ^ *(vector *)(near.up + k), b = spin ^ *(vector *)(near.down + k);
            const vector c = spin ^ *(vector *)(near.here + k), d = spin ^ *(unaligned *)(near.beside + k);
            const vector any = a | b | c | d, two = (a & b) | (c & d) | ((a | b) & (c | d));
            *(vector *)(line + k) = spin ^ (two | (any & once) | twice);
        }
    }
    memcpy(model->random, random, sizeof random);
    wrap(model, colour);
}

// All spins up or, where `hot`, at random. `rows` even, columns / 2 * words a multiple of LANES.
ising *ising_create(long rows, long columns, long words, int strips, int hot, double beta, uint64_t seed) {
    ising *model = aligned_alloc(64, (sizeof(ising) + 63) / 64 * 64);
    const long halo = (words + LANES - 1) / LANES * LANES, count = columns / 2 * words;
    const long stride = count + 2 * halo;
    model->rows = rows, model->count = count, model->words = words, model->strips = strips;
    model->halo = halo, model->stride = stride;
    for (int power = 1; power <= 2; power++) {
        const uint64_t digits = llround(ldexp(exp(-4 * beta * power), BITS));
        for (int bit = 0; bit < BITS; bit++) model->digits[power - 1][bit] = (vector){0} - (digits >> bit & 1);
    }
    uint64_t *words_of = (uint64_t *)model->random;
    for (size_t i = 0; i < sizeof model->random / sizeof(uint64_t); i++) words_of[i] = splitmix(&seed);
    for (int colour = 0; colour < 2; colour++) {
        model->plane[colour] = aligned_alloc(64, (rows + 2) * stride * sizeof(uint64_t));
        for (long i = 0; i < (rows + 2) * stride; i++) model->plane[colour][i] = hot ? splitmix(&seed) : ~0ull;
        wrap(model, colour);
    }
    return model;
}

void ising_run(ising *model, long sweeps) {
    for (long sweep = 0; sweep < sweeps; sweep++) {
        update(model, 0);
        update(model, 1);
    }
}

// Mean energy per spin: every bond has one end in plane 0.
double ising_energy(const ising *model) {
    long unlike = 0;
    for (long row = 0; row < model->rows; row++) {
        const uint64_t *line = row_of(model, 0, row);
        const around near = neighbours(model, 0, row);
        for (long k = 0; k < model->count; k++) {
            unlike += __builtin_popcountll(line[k] ^ near.up[k]) + __builtin_popcountll(line[k] ^ near.down[k]);
            unlike += __builtin_popcountll(line[k] ^ near.here[k]) + __builtin_popcountll(line[k] ^ near.beside[k]);
        }
    }
    return unlike / (64.0 * model->rows * model->count) - 2;
}

// Both planes without their edges: (2, rows, count).
void ising_copy(const ising *model, uint64_t *out) {
    for (int colour = 0; colour < 2; colour++)
        for (long row = 0; row < model->rows; row++, out += model->count)
            memcpy(out, row_of(model, colour, row), model->count * sizeof(uint64_t));
}

void ising_destroy(ising *model) {
    free(model->plane[0]);
    free(model->plane[1]);
    free(model);
}
