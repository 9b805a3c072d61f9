/* test_sample.c - `sample`: text drawn from a model, by the chances that its scores give.
 *
 * The model is a table, row a the scores of what comes behind a.  Its rows are
 * set so that after an `a` comes `b` three times of four and `c` once, and
 * after those an `a` always; so what is drawn can be counted.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "runtime/storage.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

enum { V = 128 };

static const char model[] = "dim B = 2, T = 4, V = 128\n"
                            "%s\n"
                            "module Table()(x: i32[B, T]) -> [B, T, V] {\n"
                            "  param table: [V, V] = zeros\n"
                            "  return table[x]\n"
                            "}\n"
                            "let net = Table()\n"
                            "predict p in { x: i32[B, T] } -> net(p.x)%s\n";

static char folder[128];

static void write_table(void) {
  static float table[V][V];
  char path[160];
  MtArchive archive = {0};
  MtError error = {""};
  for (int a = 0; a < V; a++)
    for (int b = 0; b < V; b++) table[a][b] = -INFINITY;
  for (int a = 0; a < V; a++) table[a]['a'] = 2;
  table['a']['a'] = -INFINITY;
  table['a']['b'] = logf(3) - 1;
  table['a']['c'] = -1;
  snprintf(path, sizeof path, "%s/table.safetensors", folder);
  ck_assert(mt_archive_add(&archive, "table", MT_WIDE_F32, 2, (int64_t[]){V, V}, table));
  ck_assert_msg(mt_write_safetensors(path, NULL, &archive, &error), "%s", error.text);
  mt_archive_free(&archive);
}

static void build(const char *data, const char *result) {
  char text[800], path[160];
  snprintf(text, sizeof text, model, data, result);
  snprintf(path, sizeof path, "%s/m.mt", folder);
  write_bytes(path, text, strlen(text));
  free(shell_ok("cd %s && " MTC " build m.mt --target=c -o m", folder));
}

static void set_up(void) {
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  write_table();
}

#define SAMPLE "cd %s && OMP_NUM_THREADS=1 ./m sample -q --init table.safetensors "

/* How often `b` comes behind an `a`, of 1000. */
static int count_b(const char *options) {
  char *text = shell_ok(SAMPLE "--prompt a --length 2000 %s", folder, options);
  int b = 0;
  ck_assert_uint_eq(strlen(text), 2002); /* the prompt, and a line end */
  for (int i = 0; i < 2000; i += 2) {
    ck_assert_msg(text[i] == 'a' && (text[i + 1] == 'b' || text[i + 1] == 'c'), "%s", text);
    b += text[i + 1] == 'b';
  }
  free(text);
  return b;
}

/* Within five deviations of the binomial. */
static void ck_share(int found, double p) {
  ck_assert_msg(fabs(found - 1000 * p) < 5 * sqrt(1000 * p * (1 - p)) + 0.5, "%d of 1000, at a chance of %g", found, p);
}

START_TEST(tokens_are_drawn_by_their_chances) {
  build("", "");
  ck_share(count_b(""), 0.75);
  ck_share(count_b("--seed 9"), 0.75);
  ck_share(count_b("--temperature 0.5"), 0.9);
  ck_share(count_b("--temperature 2"), sqrt(3) / (1 + sqrt(3)));
  ck_share(count_b("--temperature 1000"), 0.5);
  ck_share(count_b("--top-k 2"), 0.75);
  ck_assert_int_eq(count_b("--top-k 1"), 1000);
  ck_assert_int_eq(count_b("--temperature 0"), 1000);
  ck_assert_int_eq(count_b("--temperature 0 --top-k 2 --seed 3"), 1000);
}
END_TEST

START_TEST(a_seed_is_a_text) {
  build("", "");
  free(shell_ok(SAMPLE "--length 300 >a && ./m sample -q --init table.safetensors --length 300 >b && cmp a b && "
                "./m sample -q --init table.safetensors --length 100 >c && head -c 101 a >a.head && head -c 101 c | cmp - a.head && "
                "./m sample -q --init table.safetensors --length 300 --seed 1 >d && ! cmp -s a d",
                folder));
}
END_TEST

/* Draws lie in [0, 1), evenly. */
START_TEST(draws_are_uniform) {
  double sum = 0, squares = 0;
  for (int i = 0; i < 100000; i++) {
    double u = mt_sample_draw(7, i);
    ck_assert(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  ck_assert(fabs(sum / 100000 - 0.5) < 0.005 && fabs(squares / 100000 - 1 / 3.0) < 0.005);
  ck_assert(mt_sample_draw(7, 1) != mt_sample_draw(7, 2) && mt_sample_draw(7, 1) != mt_sample_draw(8, 1));
}
END_TEST

START_TEST(text_and_tokens_are_printed) {
  build("", "");
  char *output = shell_ok("cd %s && ./m sample --init table.safetensors --prompt 'a\"b' --length 3 --top-k 1 --json", folder);
  ck_assert_str_eq(output, "{\"prompt\":3,\"text\":\"a\\\"baba\"}\n");
  free(output);
  output = shell_ok("cd %s && ./m sample --init table.safetensors --prompt xa --length 1 --top-k 1", folder);
  ck_assert_str_eq(output, "weights: table.safetensors\nxab\n");
  free(output);
  build("data d = tokens(\"t.bin\") -> { x: i32[B, T] }", "");
  output = shell_ok(SAMPLE "--prompt '1, 97' --length 3 --top-k 1", folder);
  ck_assert_str_eq(output, "1 97 98 97 98\n");
  free(output);
  output = shell_ok(SAMPLE "--prompt '97' --length 2 --top-k 1 --json", folder);
  ck_assert_str_eq(output, "{\"prompt\":1,\"tokens\":[97,98,97]}\n");
  free(output);
}
END_TEST

/* One score a window: the model has to be given a whole one. */
START_TEST(a_model_of_the_last_place_needs_a_window) {
  build("", "[:, T - 1]");
  Shell said = shell(SAMPLE "--prompt abc --length 3", folder);
  ck_assert_str_eq(said.output, "m: --prompt: this model looks at 4 tokens at once, the prompt has 3\n");
  free(said.output);
  char *output = shell_ok(SAMPLE "--prompt abca --length 3 --top-k 1", folder);
  ck_assert_str_eq(output, "abcabab\n");
  free(output);
}
END_TEST

static const struct {
  const char *options;
  int status;
  const char *message;
} refusals[] = {
    {"--init table.safetensors --prompt caf\xc3\xa9", 1, "m: --prompt: the byte 195 is out of range: the model knows 0 to 127\n"},
    {"--prompt a", 1, "m: there are no trained weights in m.run: train first, or name a file with --init\n"},
    {"--prompt ''", 2, "m: --prompt: the text is empty\n`m --help` lists commands and options\n"},
    {"--temperature -1", 2, "m: --temperature: expected a number from 0, found `-1`\n`m --help` lists commands and options\n"},
    {"--temperature nan", 2, "m: --temperature: expected a number from 0, found `nan`\n`m --help` lists commands and options\n"},
    {"--top-k 0", 2, "m: --top-k: expected a whole number from 1, found `0`\n`m --help` lists commands and options\n"},
    {"--length 0", 2, "m: --length: expected a whole number from 1, found `0`\n`m --help` lists commands and options\n"},
};
enum { N_REFUSALS = sizeof refusals / sizeof refusals[0] };

START_TEST(what_cannot_be_is_told) {
  build("", "");
  for (int i = 0; i < N_REFUSALS; i++) {
    Shell said = shell("cd %s && ./m sample %s", folder, refusals[i].options);
    ck_assert_msg(said.status == refusals[i].status && !strcmp(said.output, refusals[i].message), "%s: %d, %s",
                  refusals[i].options, said.status, said.output);
    free(said.output);
  }
  build("", " * 1e38 * 1e38");
  Shell said = shell(SAMPLE "--prompt a", folder);
  ck_assert_str_eq(said.output, "m: the score of token 98 is not finite behind 1 tokens\n");
  free(said.output);
}
END_TEST

START_TEST(other_models_say_that_they_cannot) {
  char path[160];
  static const char other[] = "dim B = 2\npredict p in { x: f32[B, 3] } -> p.x\n";
  snprintf(path, sizeof path, "%s/m.mt", folder);
  write_bytes(path, other, sizeof other - 1);
  Shell said = shell("cd %s && " MTC " build m.mt --target=c -o m && ./m sample", folder);
  ck_assert_str_eq(said.output, "m: sample: m.mt has neither `sample net(d.x)` nor a `predict` from a window of tokens to scores "
                                "of the next\n`m --help` lists commands and options\n");
  ck_assert_int_eq(said.status, 2);
  free(said.output);
}
END_TEST

/* The emitted CUDA, run by the emulator: scores are its own, the draws the same. */
START_TEST(cuda_draws_the_same_text) {
  build("", "");
  free(shell_ok(MTC " %s/m.mt -o %s/m.cu && for schedule in 1 2; do MTC_SCHEDULE=$schedule tests/emulator/run %s/m.cu sample -q "
                "--init %s/table.safetensors --prompt a --length 200 >%s/cuda.$schedule || exit 1; done && cd %s && "
                "./m sample -q --init table.safetensors --prompt a --length 200 >c && cmp c cuda.1 && cmp c cuda.2",
                folder, folder, folder, folder, folder, folder));
}
END_TEST

/* Every so often what the model writes by now, from the first token of its data on; then the same of the trained one. */
START_TEST(training_shows_what_it_writes) {
  static const char text[] = "dim B = 4, T = 4, V = 128\n"
                             "data d0 = bytes(\"t.txt\", window: T, stride: 1) -> { x: i32[B, T], y: i32[B, T] }\n"
                             "use nn\n"
                             "module Table()(x: i32[B, T]) -> [B, T, V] {\n"
                             "  param table: [V, V] = zeros\n"
                             "  return table[x]\n"
                             "}\n"
                             "let net = Table()\n"
                             "train d in d0 for 60 steps {\n"
                             "  update net minimize cross_entropy(net(d.x), d.y) using adam(0.5)\n"
                             "  every 30 steps { sample net(d.x) }\n"
                             "}\n";
  char path[160];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  write_bytes(path, text, sizeof text - 1);
  snprintf(path, sizeof path, "%s/t.txt", folder);
  write_bytes(path, "abcdabcdabcdabcdabcd", 20);
  free(shell_ok("cd %s && " MTC " build m.mt --target=c -o m && " MTC " m.mt -o m.cu", folder));
  char *output = shell_ok("cd %s && OMP_NUM_THREADS=1 ./m --json | grep text", folder);
  ck_assert_msg(strstr(output, "{\"step\":30,\"text\":\"abcdabcdabcd") == output && strstr(output, "{\"step\":60,\"text\":\"abcdabcdabcd"),
                "%s", output);
  free(output);
  output = shell_ok("cd %s && OMP_NUM_THREADS=1 ./m sample --prompt b --length 9 -q && ./m -q --save-dir other && cmp m.run/net.safetensors "
                    "other/net.safetensors", folder);
  ck_assert_str_eq(output, "bcdabcdabc\n");
  free(output);
  output = shell_ok("tests/emulator/run %s/m.cu --json --save-dir %s/cuda --data-dir %s | grep text", folder, folder, folder);
  ck_assert_msg(strstr(output, "{\"step\":30,\"text\":\"abcdabcdabcd") == output && strstr(output, "{\"step\":60,\"text\":\"abcdabcdabcd"),
                "%s", output);
  free(output);
}
END_TEST

Suite *sample_suite(void) {
  Suite *suite = suite_create("sample");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 120);
  tcase_add_checked_fixture(all, set_up, NULL);
  tcase_add_test(all, tokens_are_drawn_by_their_chances);
  tcase_add_test(all, a_seed_is_a_text);
  tcase_add_test(all, draws_are_uniform);
  tcase_add_test(all, text_and_tokens_are_printed);
  tcase_add_test(all, a_model_of_the_last_place_needs_a_window);
  tcase_add_test(all, what_cannot_be_is_told);
  tcase_add_test(all, other_models_say_that_they_cannot);
  tcase_add_test(all, cuda_draws_the_same_text);
  tcase_add_test(all, training_shows_what_it_writes);
  suite_add_tcase(suite, all);
  return suite;
}
