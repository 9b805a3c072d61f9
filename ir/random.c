/* random.c - the reference of random draws: Philox4x32-10, counter based.
 *
 * A draw is a pure function of where it stands, never of when it is made: the
 * key is the seed mixed with the site (the call path of the draw), the counter
 * is the element, the step and the micro-batch.  So fusing, recomputing and
 * resuming change nothing.  The integer words are exact everywhere; the
 * runtime makes the same draws from code of its own.
 */
#include <Random123/philox.h>
#include <math.h>

#include "ir/ir.h"

/* FNV-1a. */
uint64_t random_site(const char *text) {
  uint64_t hash = 14695981039346656037u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
  return hash;
}

/* The hash goes on over the turn's four bytes, so each turn of a loop has a site of its own. */
uint64_t random_turn(uint64_t site, uint32_t turn) {
  for (int i = 0; i < 4; i++, turn >>= 8) site = (site ^ (turn & 255)) * 1099511628211u;
  return site;
}

double random_draw(uint64_t seed, const char *site, uint64_t step, uint64_t micro, uint64_t element, int distribution) {
  return random_draw_at(seed, random_site(site), step, micro, element, distribution);
}

double random_draw_at(uint64_t seed, uint64_t site, uint64_t step, uint64_t micro, uint64_t element, int distribution) {
  uint64_t mixed = seed ^ site;
  philox4x32_key_t key = {{(uint32_t)mixed, (uint32_t)(mixed >> 32)}};
  philox4x32_ctr_t counter = {{(uint32_t)element, (uint32_t)(element >> 32), (uint32_t)step, (uint32_t)micro}};
  philox4x32_ctr_t word = philox4x32(counter, key);
  const double unit = 1.0 / (1 << 24);
  double first = (word.v[0] >> 8) * unit, second = (word.v[1] >> 8) * unit;
  if (distribution == 0) return first;
  const double two_pi = 6.283185307179586476925;
  return sqrt(-2 * log(first + unit)) * cos(two_pi * second); /* Box-Muller; first + unit is in (0, 1] */
}
