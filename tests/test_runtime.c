/* test_runtime.c - the runtime's parts: random draws, math functions, products
 * of matrices, optimizers, the CPU device. */
#include "runtime/mtrt_math.h"

#include <check.h>
#include <jansson.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "runtime/backend.h"
#include "runtime/gemm.h"
#include "runtime/random.h"
#include "tests/shell.h"

/* ---- random ----------------------------------------------------------------- */

/* From Random123's own known answers (kat_vectors, philox4x32 10). */
static const struct { uint32_t counter[4], key[2], answer[4];
} philox[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(philox_gives_the_known_answers) {
  const uint32_t *c = philox[_i].counter, *k = philox[_i].key;
  uint64_t key = k[0] | (uint64_t)k[1] << 32, site = 0x123456789abcdefu;
  philox4x32_ctr_t words = mt_words(key ^ site, site, c[0] | (uint64_t)c[1] << 32, c[2], c[3]);
  for (int i = 0; i < 4; i++) ck_assert_uint_eq(words.v[i], philox[_i].answer[i]);
}
END_TEST

enum { DRAWS = 1 << 16 };

START_TEST(draws_have_the_moments_of_their_distributions) {
  MtScalars s = {.seed = 5, .step = 3};
  double sum[3] = {0}, normal[5] = {0};
  for (uint64_t i = 0; i < DRAWS; i++) {
    double u = (double)mt_uniform(&s, mt_hash("here"), i), n = (double)mt_normal(&s, mt_hash("there"), i);
    ck_assert(u >= 0 && u < 1);
    sum[1] += u / DRAWS;
    sum[2] += u * u / DRAWS;
    for (int p = 1; p <= 4; p++) normal[p] += pow(n, p) / DRAWS;
  }
  ck_assert_double_eq_tol(sum[1], 0.5, 5 * sqrt(1.0 / 12 / DRAWS));
  ck_assert_double_eq_tol(sum[2], 1.0 / 3, 5 * sqrt(4.0 / 45 / DRAWS));
  ck_assert_double_eq_tol(normal[1], 0, 5 * sqrt(1.0 / DRAWS));
  ck_assert_double_eq_tol(normal[2], 1, 5 * sqrt(2.0 / DRAWS));
  ck_assert_double_eq_tol(normal[3], 0, 5 * sqrt(15.0 / DRAWS));
  ck_assert_double_eq_tol(normal[4], 3, 5 * sqrt(96.0 / DRAWS));
}
END_TEST

START_TEST(a_draw_depends_on_every_part_of_its_place) {
  const MtScalars base = {.seed = 1, .step = 2, .micro = 3};
  MtScalars other[3] = {base, base, base};
  other[0].seed++, other[1].step++, other[2].micro++;
  float first = mt_uniform(&base, 10, 20);
  ck_assert(first == mt_uniform(&base, 10, 20));
  for (int i = 0; i < 3; i++) ck_assert(first != mt_uniform(&other[i], 10, 20));
  ck_assert(first != mt_uniform(&base, 11, 20) && first != mt_uniform(&base, 10, 21) &&
            first != mt_uniform(&base, 10, 20 + (UINT64_C(1) << 32)));
}
END_TEST

START_TEST(parameters_start_where_their_row_says) {
  enum { COUNT = 4096 };
  static float x[COUNT], again[COUNT];
  MtTensor t = {"net.w", 2, {64, 64}, 0, MT_UNIFORM, -2, 3, "", NULL};
  double mean = 0;
  mt_init_tensor(&t, 9, x);
  for (int i = 0; i < COUNT; i++) {
    ck_assert(x[i] >= -2 && x[i] < 3);
    mean += (double)x[i] / COUNT;
  }
  ck_assert_double_eq_tol(mean, 0.5, 5 * 5 / sqrt(12.0 * COUNT));
  mt_init_tensor(&t, 9, again);
  ck_assert_mem_eq(x, again, sizeof x);
  mt_init_tensor(&t, 10, again);
  ck_assert_mem_ne(x, again, sizeof x);
  t.init = MT_CONSTANT, t.a = 0.25;
  mt_init_tensor(&t, 9, x);
  ck_assert(x[0] == 0.25f && x[COUNT - 1] == 0.25f);
}
END_TEST

START_TEST(an_order_is_a_permutation_of_its_own_for_each_epoch_and_seed) {
  static const int64_t sizes[] = {1, 2, 7, 64, 1437, 10000};
  int32_t order[4][10000];
  for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
    int64_t n = sizes[k];
    mt_shuffle(order[0], n, 1, 2, 0);
    mt_shuffle(order[1], n, 1, 2, 1);
    mt_shuffle(order[2], n, 2, 2, 0);
    mt_shuffle(order[3], n, 1, 3, 0);
    for (int o = 0; o < 4; o++) {
      char seen[10000] = {0};
      for (int64_t i = 0; i < n; i++) {
        ck_assert(order[o][i] >= 0 && order[o][i] < n && !seen[order[o][i]]);
        seen[order[o][i]] = 1;
      }
      if (o && n > 10) ck_assert_mem_ne(order[0], order[o], (size_t)n * 4);
    }
    mt_shuffle(order[1], n, 1, 2, 0);
    ck_assert_mem_eq(order[0], order[1], (size_t)n * 4);
  }
}
END_TEST

START_TEST(every_permutation_is_about_as_likely) {
  int count[24] = {0};
  for (int epoch = 0; epoch < 24000; epoch++) {
    int32_t p[4];
    mt_shuffle(p, 4, 3, 0, epoch);
    int rank = 0;
    for (int i = 0; i < 4; i++) {
      int below = 0;
      for (int j = i + 1; j < 4; j++) below += p[j] < p[i];
      rank = rank * (4 - i) + below;
    }
    count[rank]++;
  }
  for (int i = 0; i < 24; i++)
    ck_assert_msg(abs(count[i] - 1000) < 160, "permutation %d came %d times of 24000", i, count[i]);
}
END_TEST

/* ---- functions ---------------------------------------------------------------- */

START_TEST(nan_wins_maxima_and_minima) {
  float n = NAN;
  ck_assert(isnan(mt_maximum(n, 1.0f)) && isnan(mt_maximum(1.0f, n)) && isnan(mt_minimum(n, 1.0f)) &&
            isnan(mt_minimum(1.0f, n)));
  ck_assert(mt_maximum(1.0f, 2.0f) == 2 && mt_minimum(1.0f, 2.0f) == 1 && mt_maximum(-INFINITY, -1.0) == -1);
  ck_assert(mt_maximum(3, -4) == 3 && mt_minimum(INT64_C(5000000000), INT64_C(6000000000)) == 5000000000);
  ck_assert_uint_eq(sizeof mt_maximum(1.0f, 1.0f), sizeof(float));
  ck_assert_uint_eq(sizeof mt_maximum(1.0f, 1), sizeof(float));
  ck_assert_uint_eq(sizeof mt_maximum(1.0, 1.0f), sizeof(double));
}
END_TEST

/* What Python prints for a // b and a % b. */
static const struct { int a, b, quotient, rest;
} whole[] = {{7, 2, 3, 1}, {-7, 2, -4, 1}, {7, -2, -4, -1}, {-7, -2, 3, -1},
             {6, 3, 2, 0}, {-6, 3, -2, 0}, {0, 5, 0, 0},    {INT32_MIN + 1, -1, INT32_MAX, 0}};

START_TEST(division_floors_and_the_remainder_has_the_divisors_sign) {
  for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
    int a = whole[i].a, b = whole[i].b;
    ck_assert_int_eq(mt_floordiv(a, b), whole[i].quotient);
    ck_assert_int_eq(mt_mod(a, b), whole[i].rest);
    ck_assert(mt_floordiv((double)a, (double)b) == whole[i].quotient && mt_mod((double)a, (double)b) == whole[i].rest);
    if (abs(a) < 1000)
      ck_assert(mt_floordiv((float)a, (float)b) == (float)whole[i].quotient &&
                mt_mod((float)a, (float)b) == (float)whole[i].rest);
  }
  ck_assert(mt_floordiv(1.0, 0.1) == 9 && mt_floordiv(-0.5f, 2.0f) == -1 && isinf(mt_floordiv(1.0f, 0.0f)) &&
            isnan(mt_mod(1.0f, 0.0f)));
  ck_assert(mt_floordiv(5, 0) == 0 && mt_mod(5, 0) == 0 && mt_mod(INT32_MIN, -1) == 0);
}
END_TEST

enum { POINTS = 4000 };
static float points[POINTS];

static void fill_points(double low, double high) {
  static const float edges[] = {0.0f,   -0.0f, 1,      -1,    INFINITY, -INFINITY, NAN,  1e-40f,
                                1e-30f, 3e38f, -3e38f, 88.7f, -87.3f,   -104,      1e-8f};
  for (int i = 0; i < POINTS; i++) points[i] = (float)(low + (high - low) * i / POINTS);
  for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) points[i * 100] = edges[i];
}

static double ulps(float found, double exact) {
  float rounded = (float)exact;
  if (isnan(found) || isnan(rounded) || isinf(found) || isinf(rounded))
    return (isnan(found) && isnan(rounded)) || found == rounded ? 0 : 1e9;
  double step = nextafterf(fabsf(rounded), INFINITY) - fabsf(rounded);
  return fabs((double)found - exact) / step;
}

#define VECTOR_TEST(f, low, high, limit)                                                                               \
  START_TEST(f##_in_vectors_is_within_##limit##_ulp) {                                                                 \
    static float y[POINTS];                                                                                            \
    fill_points(low, high);                                                                                            \
    for (int i = 0; i < POINTS; i++) y[i] = f(points[i]); /* gcc makes vectors of it */                                \
    for (int i = 0; i < POINTS; i++) {                                                                                 \
      double exact = f((double)points[i]);                                                                             \
      ck_assert_msg(ulps(y[i], exact) <= limit, #f "(%.9g) = %.9g, exactly %.17g", (double)points[i], (double)y[i],    \
                    exact);                                                                                            \
    }                                                                                                                  \
  }                                                                                                                    \
  END_TEST

VECTOR_TEST(exp, -90, 88, 4)
VECTOR_TEST(log, 0, 100, 4)
VECTOR_TEST(tanh, -6, 6, 8)
VECTOR_TEST(erf, -4, 4, 8)
VECTOR_TEST(expm1, -5, 5, 4)
VECTOR_TEST(log1p, -1, 50, 4)
VECTOR_TEST(sin, -30, 30, 4)
VECTOR_TEST(cos, -30, 30, 4)
VECTOR_TEST(sqrt, -1, 50, 4)

/* The loops above are worth little if gcc calls the functions one by one. */
START_TEST(loops_call_vector_functions) {
  static const char *const names[] = {"exp", "log", "tanh", "erf", "expm1", "log1p", "sin", "cos"};
  const char *folder = scratch_folder(), *name = names[_i];
  if (system("gcc -dM -E - </dev/null 2>/dev/null | grep -q __x86_64__")) return;
  free(shell_ok(
      "echo '#include \"runtime/mtrt_math.h\"\nvoid g(float *y, float *x, int n) {\n#pragma omp simd\nfor (int i = 0; "
      "i < n; i++) y[i] = %s(x[i]); }' >%s/loop.c && "
      "gcc -std=c11 -D_GNU_SOURCE -I. -O3 -fopenmp -S %s/loop.c -o %s/loop.s && grep -q '_ZGVbN4v_%sf' %s/loop.s",
      name, folder, folder, folder, name, folder));
}
END_TEST

/* ---- products ------------------------------------------------------------------- */

static double element(int i) { return (double)((i * 7919 + 13) % 1009) / 1009 - 0.4; }

static double at(const void *x, int size, int64_t i) {
  return size == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void *matrix(int size, int64_t count, double (*value)(int)) {
  void *x = calloc((size_t)count + 1, (size_t)size);
  for (int64_t i = 0; i < count; i++) {
    if (size == 8) ((double *)x)[i] = value((int)i);
    else ((float *)x)[i] = (float)value((int)i);
  }
  return x;
}

static double not_a_number(int i) { return (void)i, NAN; }

/* With room behind each row, in which nothing may be written. */
static void check_product(int size, MtTranspose t, int64_t m, int64_t n, int64_t k) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  int64_t lda = (ta ? m : k) + 3, ldb = (tb ? k : n) + 1, ldc = n + 2;
  void *a = matrix(size, (ta ? k : m) * lda, element), *b = matrix(size, (tb ? n : k) * ldb, element),
       *c = matrix(size, m * ldc, not_a_number);
  mt_cpu_gemm((MtGemmTypes){size, size}, t, m, n, k, a, lda, b, ldb, c, ldc);
  double eps = size == 8 ? 2.3e-16 : 1.2e-7;
  for (int64_t i = 0; i < m; i++) {
    for (int64_t j = 0; j < n; j++) {
      double sum = 0, all = 0;
      for (int64_t p = 0; p < k; p++) {
        double term = at(a, size, ta ? p * lda + i : i * lda + p) * at(b, size, tb ? j * ldb + p : p * ldb + j);
        sum += term;
        all += fabs(term);
      }
      double found = at(c, size, i * ldc + j);
      ck_assert_msg(fabs(found - sum) <= 4 * eps * sqrt((double)k + 1) * all + 1e-300,
                    "%d bytes, %d, %dx%dx%d at (%d, %d): %.17g, not %.17g", size, (int)t, (int)m, (int)n, (int)k,
                    (int)i, (int)j, found, sum);
    }
    ck_assert(isnan(at(c, size, i * ldc + n)) && isnan(at(c, size, i * ldc + n + 1)));
  }
  free(a);
  free(b);
  free(c);
}

START_TEST(products_of_odd_sizes_are_right) {
  static const int64_t sizes[][3] = {{1, 1, 1},   {1, 7, 3},      {2, 1, 5},    {5, 16, 9},    {6, 64, 8},
                                     {7, 65, 17}, {12, 32, 33},   {13, 31, 40}, {64, 10, 128}, {64, 128, 64},
                                     {97, 66, 5}, {33, 129, 385}, {3, 2, 800},  {100, 300, 1}, {0, 4, 4},
                                     {4, 0, 4},   {4, 4, 0}};
  mt_cpu_gemm_limit(16 << _i / 4);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
    for (int size = 4; size <= 8; size += 4)
      check_product(size, (MtTranspose)(_i % 4), sizes[i][0], sizes[i][1], sizes[i][2]);
}
END_TEST

START_TEST(products_have_the_same_bits_with_any_number_of_threads) {
  enum { M = 130, N = 200, K = 420 };
  void *a = matrix(4, M * K, element), *b = matrix(4, K * N, element);
  static float c[4][M * N];
  for (int threads = 1; threads <= 4; threads++) {
    omp_set_num_threads(threads);
    mt_cpu_gemm((MtGemmTypes){4, 4}, MT_NN, M, N, K, a, K, b, N, c[threads - 1], N);
    ck_assert_mem_eq(c[0], c[threads - 1], sizeof c[0]);
  }
  free(a);
  free(b);
}
END_TEST

/* ---- the CPU device ------------------------------------------------------------------ */

static MtRun run;
static MtScalars scalars;

static void open_cpu(void) {
  run = (MtRun){.backend = &mt_cpu, .real_size = 4, .budget = -1, .scalars = &scalars};
  scalars = (MtScalars){.grad_scale = 1, .lr_scale = 1};
  ck_assert(mt_cpu.open(&run, false));
}

static void close_cpu(void) { mt_cpu.close(&run); }

START_TEST(batched_products_step_through_their_operands) {
  float a[2][2][3] = {{{1, 2, 3}, {4, 5, 6}}, {{1, 0, 0}, {0, 1, 0}}}, b[3][2] = {{1, 2}, {3, 4}, {5, 6}}, c[2][2][2];
  mt_gemm_batched(&run, MT_NN, 2, 2, 2, 3, a, 3, 6, b, 2, 0, c, 2, 4);
  const float expected[2][2][2] = {{{22, 28}, {49, 64}}, {{1, 2}, {3, 4}}};
  ck_assert_mem_eq(c, expected, sizeof c);
  float t[2][2];
  mt_gemm(&run, MT_NT, 2, 2, 3, a[0], a[0], t);
  ck_assert(t[0][0] == 14 && t[0][1] == 32 && t[1][0] == 32 && t[1][1] == 77);
}
END_TEST

START_TEST(large_batched_products_are_shared_by_threads) {
  enum { BATCH = 7, SIZE = 90 };
  float *a = matrix(4, BATCH * SIZE * SIZE, element), *b = matrix(4, BATCH * SIZE * SIZE, element);
  static float one[SIZE * SIZE], all[BATCH][SIZE * SIZE];
  for (int threads = 1; threads <= 3; threads++) {
    omp_set_num_threads(threads);
    memset(all, 0, sizeof all);
    mt_gemm_batched(&run, MT_NT, BATCH, SIZE, SIZE, SIZE, a, SIZE, SIZE * SIZE, b, SIZE, SIZE * SIZE, all, SIZE,
                    SIZE * SIZE);
    for (int i = 0; i < BATCH; i++) {
      mt_cpu_gemm((MtGemmTypes){4, 4}, MT_NT, SIZE, SIZE, SIZE, a + i * SIZE * SIZE, SIZE, b + i * SIZE * SIZE, SIZE, one, SIZE);
      ck_assert_mem_eq(one, all[i], sizeof one);
    }
  }
  free(a);
  free(b);
}
END_TEST

START_TEST(memory_is_zeroed_aligned_and_counted) {
  char *x = mt_cpu.alloc(&run, 1000), *y = mt_cpu.alloc(&run, 10);
  ck_assert_uint_eq((uintptr_t)x % 64, 0);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(x[i], 0);
  size_t peak = mt_cpu.peak(&run);
  ck_assert(peak >= 1010 && peak < 1400);
  mt_cpu.release(&run, x);
  mt_cpu.release(&run, y);
  x = mt_cpu.alloc(&run, 500);
  ck_assert_uint_eq(mt_cpu.peak(&run), peak);
  mt_cpu.release(&run, x);
  ck_assert_ptr_null(mt_cpu.alloc(&run, SIZE_MAX - 10));
  ck_assert_ptr_nonnull(strstr(run.error, "cannot allocate"));
}
END_TEST

START_TEST(rows_are_fetched_by_order_and_position) {
  const int16_t set[5][3] = {{0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}, {12, 13, 14}};
  const int32_t order[5] = {4, 2, 0, 1, 3};
  int16_t batch[2][3];
  scalars.position = 1;
  mt_cpu.fetch(&run, batch, set, order, 2, sizeof batch[0]);
  ck_assert_mem_eq(batch[0], set[2], sizeof batch[0]);
  ck_assert_mem_eq(batch[1], set[0], sizeof batch[0]);
}
END_TEST

START_TEST(sums_are_weighted_and_nan_wins) {
  double sum[3] = {1, 5, -5};
  const float x[3] = {2, 3, 4};
  mt_cpu.accumulate(&run, sum, x, 1, '+', 10);
  mt_cpu.accumulate(&run, sum + 1, x + 1, 1, '<', 1);
  mt_cpu.accumulate(&run, sum + 2, x + 2, 1, '>', 1);
  ck_assert(sum[0] == 21 && sum[1] == 3 && sum[2] == 4);
  const float none = NAN;
  mt_cpu.accumulate(&run, sum + 2, &none, 1, '>', 1);
  mt_cpu.accumulate(&run, sum + 2, x, 1, '>', 1);
  ck_assert(isnan(sum[2]));
  float narrow[3];
  mt_cpu.narrow(&run, narrow, sum, 2);
  ck_assert(narrow[0] == 21 && narrow[1] == 3);
  mt_cpu.add_scaled(&run, narrow, x, 2, 0.5);
  ck_assert(narrow[0] == 22 && narrow[1] == 4.5f);
}
END_TEST

START_TEST(the_guard_stops_at_any_value_that_is_not_finite) {
  enum { COUNT = 100000 };
  static float grads[COUNT];
  static const float bad[] = {NAN, INFINITY, -INFINITY};
  static const int places[] = {0, 1, 8191, 8192, COUNT - 1};
  float loss = 3e38f;
  run.grads = grads;
  mt_cpu.guard(&run, &loss, 0, COUNT);
  ck_assert_int_eq(scalars.stop, 0);
  for (int p = 0; p < 5; p++)
    for (int b = 0; b < 3; b++)
      for (int64_t count = places[p] < 100 ? 100 : COUNT; count <= COUNT; count += COUNT - 100) {
        grads[places[p]] = bad[b];
        scalars.stop = 0;
        mt_cpu.guard(&run, &loss, 0, count);
        ck_assert_int_eq(scalars.stop, 1);
        grads[places[p]] = 0;
      }
  scalars.stop = 0;
  loss = NAN;
  mt_cpu.guard(&run, &loss, 0, COUNT);
  ck_assert_int_eq(scalars.stop, 1);
  scalars.step = 4;
  mt_cpu.advance(&run, 1, 10);
  ck_assert(scalars.step == 4 && scalars.position == 0);
}
END_TEST

START_TEST(a_budget_lets_so_many_kernels_run) {
  for (int budget = 0; budget < 4; budget++) {
    int went = 0;
    run.budget = budget;
    for (int i = 0; i < 10; i++) went += mt_go(&run);
    ck_assert_int_eq(went, budget);
  }
  run.budget = -1;
  for (int i = 0; i < 10; i++) ck_assert(mt_go(&run));
}
END_TEST

START_TEST(steps_and_micro_batches_are_counted) {
  scalars.grad_scale = 0.5;
  mt_cpu.advance(&run, 0, 8);
  mt_cpu.advance(&run, 0, 8);
  ck_assert(scalars.step == 0 && scalars.micro == 2 && scalars.position == 16 && scalars.grad_scale == 1);
  mt_cpu.advance(&run, 1, 3);
  ck_assert(scalars.step == 1 && scalars.micro == 0 && scalars.position == 19);
}
END_TEST

/* ---- optimizers ------------------------------------------------------------------------- */

static void clip_by(const double *g, int n, double limit, double expected) {
  float grads[4];
  for (int i = 0; i < n; i++) grads[i] = (float)g[i];
  run.grads = grads;
  scalars.grad_scale = 1;
  mt_clip_gradients(&run, 0, n, limit);
  ck_assert_msg(scalars.grad_scale == expected || fabs(scalars.grad_scale - expected) < 1e-12, "%.17g, not %.17g",
                scalars.grad_scale, expected);
}

START_TEST(clipping_is_that_of_clip_grad_norm) {
  clip_by((double[]){3, 4}, 2, 1, 1 / (5 + 1e-6));
  clip_by((double[]){3, 4}, 2, 10, 1);
  clip_by((double[]){1, 0}, 2, 1, 1 / (1 + 1e-6));
  float grads[2] = {NAN, 1};
  run.grads = grads;
  mt_clip_gradients(&run, 0, 2, 1);
  ck_assert(isnan(scalars.grad_scale));
}
END_TEST

START_TEST(clipping_adds_in_the_same_order_with_any_number_of_threads) {
  enum { COUNT = 200001 };
  float *g = matrix(4, COUNT, element);
  double scale[4];
  run.grads = g;
  for (int threads = 1; threads <= 4; threads++) {
    omp_set_num_threads(threads);
    scalars.grad_scale = 1;
    mt_clip_gradients(&run, 0, COUNT, 1);
    scale[threads - 1] = scalars.grad_scale;
    ck_assert(scale[threads - 1] == scale[0]);
  }
  double sum = 0;
  for (int i = 0; i < COUNT; i++) sum += (double)g[i] * (double)g[i];
  ck_assert_double_eq_tol(scale[0], 1 / (sqrt(sum) + 1e-6), 1e-12);
  free(g);
}
END_TEST

#define NAMED(name) {#name, mt_##name},
static const struct {
  const char *name;
  void (*run)(MtRun *run, int group, int64_t begin, int64_t count);
} updates[] = {MT_OPTIMIZERS(NAMED)};
enum { STORED = 4, COPIES = 20000 }; /* each stored element, many times over: threads and vector tails too */

static void set(void *x, int size, int64_t i, double value) {
  if (size == 8) ((double *)x)[i] = value;
  else ((float *)x)[i] = (float)value;
}

static void follow(json_t *item, int size, int64_t copies, double tolerance) {
  const char *name = json_string_value(json_object_get(item, "optimizer"));
  int64_t n = STORED * copies;
  void *p = calloc((size_t)n, (size_t)size), *g = calloc((size_t)n, (size_t)size),
       *slots[3] = {calloc((size_t)n, (size_t)size), calloc((size_t)n, (size_t)size), calloc((size_t)n, (size_t)size)};
  const Optimizer *o = optimizer_find(name);
  int which = 0;
  while (strcmp(updates[which].name, name)) which++;
  run.real_size = size;
  run.params = p, run.grads = g, run.slots[0] = slots[0], run.slots[1] = slots[1], run.slots[2] = slots[2];
  scalars.step = 0;
  for (int i = 0; i < MAX_HYPER && o->hyper[i]; i++) {
    json_t *given = json_object_get(json_object_get(item, "options"), o->hyper[i]);
    scalars.hyper[2][i] = given ? json_number_value(given) : o->fallback[i];
  }
  for (int64_t i = 0; i < n; i++)
    set(p, size, i, json_number_value(json_array_get(json_object_get(item, "start"), (size_t)i % STORED)));
  json_t *steps = json_object_get(item, "steps");
  ck_assert_uint_eq(json_array_size(steps), 10);
  for (size_t t = 0; t < json_array_size(steps); t++) {
    json_t *step = json_array_get(steps, t);
    scalars.grad_scale = 0.25;
    scalars.done = scalars.step;
    for (int64_t i = 0; i < n; i++)
      set(g, size, i, 4 * json_number_value(json_array_get(json_object_get(step, "g"), (size_t)i % STORED)));
    updates[which].run(&run, 2, 0, n);
    mt_cpu.advance(&run, 1, 0);
    for (int64_t i = 0; i < n; i++) {
      double exact = json_number_value(json_array_get(json_object_get(step, "p"), (size_t)i % STORED)),
             found = at(p, size, i);
      ck_assert_msg(fabs(found - exact) <= tolerance * (1 + fabs(exact)), "%s, step %d, element %d: %.17g, not %.17g",
                    name, (int)t, (int)i, found, exact);
    }
  }
  free(p);
  free(g);
  free(slots[0]);
  free(slots[1]);
}

START_TEST(optimizers_follow_pytorch) {
  json_error_t error;
  json_t *items = json_load_file(TESTS_DIR "/pytorch/optimizers.json", 0, &error), *item;
  size_t i;
  ck_assert_msg(items != NULL, "%s", error.text);
  ck_assert_uint_ge(json_array_size(items), 38);
  json_array_foreach(items, i, item) {
    follow(item, 8, 1, 1e-13);
    follow(item, 4, 1, 2e-6);
    if (i % 6 == 1) follow(item, 4, COPIES, 2e-6);
  }
  json_decref(items);
}
END_TEST

START_TEST(a_stopped_run_updates_nothing) {
  float p[3] = {1, 2, 3}, g[3] = {1, 1, 1}, m[3] = {0}, v[3] = {0};
  run.params = p, run.grads = g, run.slots[0] = m, run.slots[1] = v;
  scalars.stop = 1;
  scalars.hyper[0][0] = 0.1;
  mt_adamw(&run, 0, 0, 3);
  mt_sgd(&run, 0, 0, 3);
  ck_assert(p[0] == 1 && p[1] == 2 && p[2] == 3 && m[0] == 0);
  scalars.stop = 0;
  mt_sgd(&run, 0, 1, 1);
  ck_assert(p[0] == 1 && p[1] == 2 - 0.1f && p[2] == 3);
}
END_TEST

Suite *runtime_suite(void) {
  Suite *suite = suite_create("runtime");
  TCase *draws = tcase_create("random");
  tcase_add_loop_test(draws, philox_gives_the_known_answers, 0, 3);
  tcase_add_test(draws, draws_have_the_moments_of_their_distributions);
  tcase_add_test(draws, a_draw_depends_on_every_part_of_its_place);
  tcase_add_test(draws, parameters_start_where_their_row_says);
  tcase_add_test(draws, an_order_is_a_permutation_of_its_own_for_each_epoch_and_seed);
  tcase_add_test(draws, every_permutation_is_about_as_likely);
  suite_add_tcase(suite, draws);
  TCase *math = tcase_create("functions");
  tcase_add_test(math, nan_wins_maxima_and_minima);
  tcase_add_test(math, division_floors_and_the_remainder_has_the_divisors_sign);
  tcase_add_test(math, exp_in_vectors_is_within_4_ulp);
  tcase_add_test(math, log_in_vectors_is_within_4_ulp);
  tcase_add_test(math, tanh_in_vectors_is_within_8_ulp);
  tcase_add_test(math, erf_in_vectors_is_within_8_ulp);
  tcase_add_test(math, expm1_in_vectors_is_within_4_ulp);
  tcase_add_test(math, log1p_in_vectors_is_within_4_ulp);
  tcase_add_test(math, sin_in_vectors_is_within_4_ulp);
  tcase_add_test(math, cos_in_vectors_is_within_4_ulp);
  tcase_add_test(math, sqrt_in_vectors_is_within_4_ulp);
  tcase_add_loop_test(math, loops_call_vector_functions, 0, 8);
  suite_add_tcase(suite, math);
  TCase *products = tcase_create("products");
  tcase_set_timeout(products, 60);
  tcase_add_loop_test(products, products_of_odd_sizes_are_right, 0, 12); /* transposes times widths of vectors */
  tcase_add_test(products, products_have_the_same_bits_with_any_number_of_threads);
  suite_add_tcase(suite, products);
  TCase *cpu = tcase_create("cpu");
  tcase_set_timeout(cpu, 60);
  tcase_add_checked_fixture(cpu, open_cpu, close_cpu);
  tcase_add_test(cpu, batched_products_step_through_their_operands);
  tcase_add_test(cpu, large_batched_products_are_shared_by_threads);
  tcase_add_test(cpu, memory_is_zeroed_aligned_and_counted);
  tcase_add_test(cpu, rows_are_fetched_by_order_and_position);
  tcase_add_test(cpu, sums_are_weighted_and_nan_wins);
  tcase_add_test(cpu, the_guard_stops_at_any_value_that_is_not_finite);
  tcase_add_test(cpu, a_budget_lets_so_many_kernels_run);
  tcase_add_test(cpu, steps_and_micro_batches_are_counted);
  tcase_add_test(cpu, clipping_is_that_of_clip_grad_norm);
  tcase_add_test(cpu, clipping_adds_in_the_same_order_with_any_number_of_threads);
  tcase_add_test(cpu, optimizers_follow_pytorch);
  tcase_add_test(cpu, a_stopped_run_updates_nothing);
  suite_add_tcase(suite, cpu);
  return suite;
}
