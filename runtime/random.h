/* random.h - what the trainer draws at random: first parameters, the order of rows. */
#ifndef MTRT_RANDOM_H
#define MTRT_RANDOM_H

#include "runtime/mtrt.h"

/* FNV-1a: the site of a draw from its path in the model. */
uint64_t mt_hash(const char *text);
/* First values of a parameter or state: a function of seed, name and element only. */
void mt_init_tensor(const MtTensor *tensor, uint64_t seed, float *out);
/* A permutation of 0 .. rows - 1: a function of both seeds and the epoch only. */
void mt_shuffle(int32_t *order, int64_t rows, uint64_t seed, uint64_t shuffle_seed, int64_t epoch);
/* In [0, 1), for token i of a sampled text. */
double mt_sample_draw(uint64_t seed, int64_t i);
int64_t mt_tensor_count(const MtTensor *tensor);

#endif
