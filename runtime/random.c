/* random.c - the draws the trainer makes itself; those of a model's step are
 * in mtrt_math.h.
 *
 * Everything is a pure function of seeds and places.  So a run that stops
 * anywhere and is resumed sees the same rows in the same order, and two
 * targets start from the same parameters.
 */
#include "runtime/mtrt_math.h"

#include "runtime/random.h"

uint64_t mt_hash(const char *text) {
  uint64_t hash = 14695981039346656037u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
  return hash;
}

int64_t mt_tensor_count(const MtTensor *tensor) {
  int64_t count = 1;
  for (int i = 0; i < tensor->rank; i++) count *= tensor->shape[i];
  return count;
}

/* Draws of the trainer stand apart from those of any step by their micro-batch, which no step reaches. */
enum { OF_INIT = 0x7fffffff, OF_ORDER = 0x7ffffffe, OF_SAMPLE = 0x7ffffffd };

void mt_init_tensor(const MtTensor *tensor, uint64_t seed, float *out) {
  uint64_t site = mt_hash(tensor->name);
  int64_t count = mt_tensor_count(tensor);
  for (int64_t i = 0; i < count; i++) {
    philox4x32_ctr_t words = mt_words(seed, site, (uint64_t)i, 0, OF_INIT);
    switch (tensor->init) {
    case MT_CONSTANT: out[i] = (float)tensor->a; break;
    case MT_UNIFORM: out[i] = (float)(tensor->a + (tensor->b - tensor->a) * (double)mt_word_uniform(words.v[0])); break;
    case MT_NORMAL: out[i] = (float)(tensor->a + tensor->b * mt_words_normal(words)); break;
    }
  }
}

/* A whole number below n, from 64 random bits (their product's upper half). */
static int64_t below(int64_t n, philox4x32_ctr_t words) {
  uint64_t high = (uint64_t)words.v[0] * (uint64_t)n, low = (uint64_t)words.v[1] * (uint64_t)n;
  return (int64_t)((high + (low >> 32)) >> 32); /* n < 2^31: nothing overflows */
}

void mt_shuffle(int32_t *order, int64_t rows, uint64_t seed, uint64_t shuffle_seed, int64_t epoch) {
  uint64_t site = mt_hash("shuffled") ^ shuffle_seed * 0x9e3779b97f4a7c15u;
  for (int64_t i = 0; i < rows; i++) order[i] = (int32_t)i;
  for (int64_t i = rows - 1; i > 0; i--) { /* Fisher and Yates */
    int64_t j = below(i + 1, mt_words(seed, site, (uint64_t)i, (uint32_t)epoch, OF_ORDER));
    int32_t swap = order[i];
    order[i] = order[j];
    order[j] = swap;
  }
}

double mt_sample_draw(uint64_t seed, int64_t i) {
  philox4x32_ctr_t words = mt_words(seed, mt_hash("sample"), (uint64_t)i, 0, OF_SAMPLE);
  return (double)((uint64_t)words.v[0] << 21 | words.v[1] >> 11) * 0x1p-53;
}
