/* test_finite.c - which value is blamed when a step is spoilt: the first that became NaN or overflowed, and not an
 * infinity that is meant.  Every operation is stored (-O0), so that each could be named; the fourteenth row of the data,
 * in the fourth step, is the bad one, or the second, in the first.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

/* The train block from line 15 on, after z = net(d.x), [B, H]; what row 13 or 1 holds in x[0]; and what is said of it. */
typedef struct Spoilt {
  const char *what, *body, *bad;
  int row;
  const char *said;
} Spoilt;

#define MASK "let s = where(d.m > 0, z, log(0.0))\n"
#define SOFT "let p = softmax(s, over: -1)\nlet soft = mean(p * p)\n"
#define ROOT "let rest = sqrt(d.x[:, 0])\nlet loss = soft + mean(rest)\n"
#define CTC "let soft = ctc(log_softmax(reshape(z, [B, 3, 2]), over: -1), d.y, where(iota(B) < 4, 3, 0), where(iota(B) < 4, 2, 0), blank: 1)\n"

static const Spoilt spoilt[] = {
    {"a mask of -inf, and a root below 0", MASK SOFT ROOT, "-1", 13, "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 3\n"},
    {"the same in the first step", MASK SOFT ROOT, "-1", 1, "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 0\n"},
    {"a mask that is added, log(0)", "let s = z + log(d.m)\n" SOFT ROOT, "-1", 13,
     "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 3\n"},
    {"the same in the first step", "let s = z + log(d.m)\n" SOFT ROOT, "-1", 1,
     "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 0\n"},
    {"a mask that is added, and an overflow", "let s = z + log(d.m)\n" SOFT "let rest = exp(d.x[:, 0])\nlet loss = soft + mean(rest)\n",
     "1000", 13, "m.mt:18: rest.exp is not finite (inf at row 1) at step 3\n"},
    {"-inf in the file", "let s = z + d.f\n" SOFT ROOT, "-1", 13, "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 3\n"},
    {"the same in the first step", "let s = z + d.f\n" SOFT ROOT, "-1", 1, "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 0\n"},
    {"-inf that other batches have too, and none goes well", MASK SOFT "let rest = log(0 * d.x[:, 0])\nlet loss = soft + mean(rest)\n", "1", 1,
     "m.mt:18: rest.log is not finite (-inf at row 0) at step 0\n"},
    {"-inf of what the weights make", "let u = log(relu(stop(z)))\nlet soft = mean(where(u > -1e9, u, 0.0) * 0.0 + z)\n\n" ROOT, "-1", 13,
     "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 3\n"},
    {"a mask, and an overflow", MASK SOFT "let rest = exp(d.x[:, 0])\nlet loss = soft + mean(rest)\n", "1000", 13,
     "m.mt:18: rest.exp is not finite (inf at row 1) at step 3\n"},
    {"an overflow the other way in what is masked", "let s = where(d.m > 0, z + d.x[:, :1], log(0.0)) * 1e37\n" SOFT "\nlet loss = soft\n",
     "1000", 13, "m.mt:15: s.mul is not finite (inf at row 1) at step 3\n"},
    {"-inf that no step before had", MASK SOFT "let rest = log(d.x[:, 0])\nlet loss = soft + mean(rest)\n", "0", 13,
     "m.mt:18: rest.log is not finite (-inf at row 1) at step 3\n"},
    {"paths of which some do not fit, and a root below 0", CTC "\n\n" ROOT, "-1", 13,
     "m.mt:18: rest.sqrt is not finite (nan at row 1) at step 3\n"},
    {"signs that fit into no path", "let fit = where(d.x[:, 0] < 0, 1, 3)\n"
     "let loss = ctc(log_softmax(reshape(z, [B, 3, 2]), over: -1), d.y, fit, where(fit > 0, 2, 2), blank: 1)\n", "-1", 13,
     "is not finite (inf at element 0) at step 3\n"},
    {"an overflow behind a pool, whose border is -inf", "let s = max_pool1d(reshape(z + d.x[:, :1], [B, 1, H]), 3, stride: 1, padding: 1) * 1e37\n"
     "let loss = mean(s * 1e-37)\n", "-1000", 13, "m.mt:15: s.mul is not finite (-inf at row 1) at step 3\n"},
    {"a row that is seen by none", "let s = where(d.m * (d.x[:, :1] + 1) > 0, z, log(0.0))\n" SOFT "\nlet loss = soft\n", "-1", 13,
     "m.mt:16: p.softmax.sub is not finite (nan at row 1) at step 3\n"},
};
enum { N_SPOILT = sizeof spoilt / sizeof *spoilt, ROWS = 16 };

static const char *write_model(const Spoilt *m) {
  const char *folder = scratch_folder();
  char path[600];
  snprintf(path, sizeof path, "%s/rows.csv", folder);
  FILE *csv = fopen(path, "w");
  ck_assert_ptr_nonnull(csv);
  for (int r = 0; r < ROWS; r++) {
    char good[32];
    snprintf(good, sizeof good, "%g", 0.25 + r % 5 * 0.125);
    fprintf(csv, "%s,%g,%g,1,0,1,1,0,1,0,%s,0,0,0,0,0,0\n", r == m->row ? m->bad : good, r % 7 * 0.25 - 0.5, r % 3 * 0.5 - 0.5,
            strstr(m->body, "d.f") ? "-inf" : "0");
  }
  ck_assert_int_eq(fclose(csv), 0);
  snprintf(path, sizeof path, "%s/m.mt", folder);
  FILE *model = fopen(path, "w");
  ck_assert_ptr_nonnull(model);
  fprintf(model, "use nn\ndim B = 4, P = 3, H = 6\n"
                 "data rows = csv(\"rows.csv\") -> { x: f32[B, P], m: f32[B, H], f: f32[B, H], y: i32[B, 2] }\n"
                 "module Net()(x: [n, P]) -> [n, H] {\n  return x |> fc: Linear(H)\n}\nlet net = Net()\n\n\n\n\n\n"
                 "train d in rows for 8 steps {\nlet z = net(d.x)\n%supdate net minimize loss using sgd(lr: 0.1)\nlog loss\n}\n", m->body);
  ck_assert_int_eq(fclose(model), 0);
  return folder;
}

START_TEST(the_value_at_fault_is_named) {
  const Spoilt *m = &spoilt[_i];
  Shell said = shell("cd %s && " MTC " m.mt -O0 -o m.c && cc -std=gnu11 -fopenmp -O0 $(" MTC " --print=cflags) m.c $(" MTC " --print=libs) -o m && "
                     "./m --no-shuffle --quiet", write_model(m));
  ck_assert_msg(said.status == 1 && strstr(said.output, m->said), "%s: not %s but\n%.2000s", m->what, m->said, said.output);
  free(said.output);
}
END_TEST

/* Fewer values are stored then, and the one that is named may stand behind the fault; but no mask is to blame. */
START_TEST(after_all_passes_no_mask_is_blamed) {
  const Spoilt *m = &spoilt[_i];
  Shell said = shell("cd %s && " MTC " m.mt -o m.c && cc -std=gnu11 -fopenmp -O0 $(" MTC " --print=cflags) m.c $(" MTC " --print=libs) -o m && "
                     "./m --no-shuffle --quiet", write_model(m));
  const char *told = strstr(said.output, " is not finite (");
  bool is_minus = told && strstr(told, "(-inf"), may_be = strstr(m->said, "(-inf") != NULL;
  ck_assert_msg(said.status == 1 && told && strstr(told, m->row == 1 ? "at step 0\n" : "at step 3\n") && (may_be || !is_minus),
                "%s: %.2000s", m->what, said.output);
  free(said.output);
}
END_TEST

START_TEST(the_emulated_gpu_names_the_same) {
  const Spoilt *m = &spoilt[4];
  Shell said = shell("cd %s && " MTC " m.mt -O0 -o m.cu && MTC=" MTC " " TESTS_DIR "/emulator/run m.cu --no-shuffle --quiet --data-dir $PWD "
                     "--save-dir $PWD/out", write_model(m));
  ck_assert_msg(said.status == 1 && strstr(said.output, m->said), "%s: not %s but\n%.2000s", m->what, m->said, said.output);
  free(said.output);
}
END_TEST

Suite *finite_suite(void) {
  Suite *suite = suite_create("finite");
  TCase *tcase = tcase_create("finite");
  tcase_set_timeout(tcase, 60);
  tcase_add_loop_test(tcase, the_value_at_fault_is_named, 0, N_SPOILT);
  tcase_add_loop_test(tcase, after_all_passes_no_mask_is_blamed, 0, N_SPOILT);
  tcase_add_test(tcase, the_emulated_gpu_names_the_same);
  suite_add_tcase(suite, tcase);
  return suite;
}
