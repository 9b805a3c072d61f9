/* array.c - arrays as files hold them, and their values as other types.
 *
 * A value converts when the other type can hold it: f64 rounds to f32 (a
 * number too large for f32 is refused), integers must be exact and in range.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static const struct {
  const char *name;
  size_t size;
  bool is_integer;
} wides[] = {
    [MT_WIDE_F32] = {"f32", 4, false},  [MT_WIDE_F64] = {"f64", 8, false}, [MT_WIDE_BF16] = {"bf16", 2, false},
    [MT_WIDE_I64] = {"i64", 8, true},   [MT_WIDE_I32] = {"i32", 4, true},  [MT_WIDE_U8] = {"u8", 1, true},
    [MT_WIDE_BOOL] = {"bool", 1, true},
};
static const struct {
  const char *name;
  size_t size;
} types[] = {
    [MT_F32] = {"f32", 4}, [MT_F64] = {"f64", 8}, [MT_BF16] = {"bf16", 2},
    [MT_I32] = {"i32", 4}, [MT_U8] = {"u8", 1},   [MT_BOOL] = {"bool", 1},
};

size_t mt_wide_size(MtWide type) { return wides[type].size; }
size_t mt_type_size(MtType type) { return types[type].size; }

int64_t mt_array_count(const MtArray *array) {
  int64_t count = 1;
  for (int i = 0; i < array->rank; i++) count *= array->shape[i];
  return count;
}

void mt_array_free(MtArray *array) {
  free(array->name);
  free(array->data);
  memset(array, 0, sizeof *array);
}

/* Every supported value fits a double but large i64, which only an i32 could want, and refuses. */
static double value_at(const MtArray *array, int64_t i) {
  const char *at = (const char *)array->data + (size_t)i * wides[array->type].size;
  float f32;
  double f64;
  int64_t i64;
  int32_t i32;
  uint16_t half;
  uint32_t bits;
  switch (array->type) {
  case MT_WIDE_F32: return memcpy(&f32, at, 4), (double)f32;
  case MT_WIDE_F64: return memcpy(&f64, at, 8), f64;
  case MT_WIDE_BF16: memcpy(&half, at, 2), bits = (uint32_t)half << 16; return memcpy(&f32, &bits, 4), (double)f32;
  case MT_WIDE_I64: return memcpy(&i64, at, 8), (double)i64;
  case MT_WIDE_I32: return memcpy(&i32, at, 4), (double)i32;
  case MT_WIDE_U8: return (double)*(const unsigned char *)at;
  case MT_WIDE_BOOL: return *at ? 1 : 0;
  }
  return NAN;
}

static bool store(MtType to, void *out, int64_t i, double value) {
  switch (to) {
  case MT_F32: ((float *)out)[i] = (float)value; return isfinite((float)value) || !isfinite(value);
  case MT_F64: ((double *)out)[i] = value; return true;
  case MT_BF16: {
    float single = (float)value;
    uint32_t bits;
    memcpy(&bits, &single, 4);
    if (single == single) bits += 0x7fff + (bits >> 16 & 1); /* round half to even */
    ((uint16_t *)out)[i] = (uint16_t)(bits >> 16);
    return (bits & 0x7f800000) != 0x7f800000 || !isfinite(value); /* it may have been rounded up to infinity */
  }
  case MT_I32: {
    bool fits = value >= INT32_MIN && value <= INT32_MAX && value == floor(value);
    ((int32_t *)out)[i] = fits ? (int32_t)value : 0;
    return fits;
  }
  case MT_U8:
  case MT_BOOL: {
    bool fits = value >= 0 && value <= (to == MT_U8 ? 255 : 1) && value == floor(value);
    ((unsigned char *)out)[i] = fits ? (unsigned char)value : 0;
    return fits;
  }
  }
  return false;
}

/* "[2, 3, 0]" for element i. */
static const char *element_name(const MtArray *array, int64_t i, char *out, size_t room) {
  int64_t index[MT_MAX_RANK];
  for (int a = array->rank - 1; a >= 0; a--) {
    index[a] = i % array->shape[a];
    i /= array->shape[a];
  }
  size_t used = 0;
  out[0] = 0;
  for (int a = 0; a < array->rank; a++) /* room for MT_MAX_RANK numbers */
    used += (size_t)snprintf(out + used, room - used, a ? ", %lld" : "%lld", (long long)index[a]);
  return out;
}

bool mt_array_convert(const MtArray *array, MtType to, void *out, const char *what, MtError *error) {
  int64_t count = mt_array_count(array);
  if (!wides[array->type].is_integer && (to == MT_I32 || to == MT_U8 || to == MT_BOOL))
    return mt_error(error, "%s: the file holds %s, the model asks for %s; store integers", what,
                    wides[array->type].name, types[to].name);
  if (array->type == MT_WIDE_F32 && to == MT_F32) {
    memcpy(out, array->data, (size_t)count * 4);
    return true;
  }
  for (int64_t i = 0; i < count; i++) {
    if (store(to, out, i, value_at(array, i))) continue;
    char where[256];
    return mt_error(error, "%s: element [%s] is %.10g, which %s cannot hold", what,
                    element_name(array, i, where, sizeof where), value_at(array, i), types[to].name);
  }
  return true;
}
