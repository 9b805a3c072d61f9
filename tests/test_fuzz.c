/* test_fuzz.c - the readers of outside bytes, on every input of fuzz/corpus.
 *
 * The corpus holds what fuzzing found to be different, and what once went
 * wrong.  Each input is read here as it is, then cut and changed in a few
 * places; then fuzzers built with sanitizers search on from it for 30 seconds
 * each, from seed 1.  `make fuzz TIME=` searches for longer.
 */
#include <check.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/targets.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

static const struct {
  const char *name;
  int (*target)(const uint8_t *data, size_t size);
} targets[] = {
#define TARGET(name) {#name, fuzz_##name},
#include "tests/fuzz/targets.def"
#undef TARGET
};
enum { N_TARGETS = sizeof targets / sizeof targets[0] };

/* As it is; its first and second half and two thirds; with a byte changed here and there. */
static void read_input(int (*target)(const uint8_t *data, size_t size), const Bytes *input) {
  uint8_t *bytes = (uint8_t *)input->at;
  size_t n = input->length;
  target(bytes, n);
  target(bytes, n / 2);
  target(bytes, n * 2 / 3);
  target(bytes + n / 2, n - n / 2);
  for (size_t i = 0; i < 4 && n > 0; i++) {
    size_t at = (i * 2654435761u + n * 40503u) % n;
    bytes[at] ^= 1 << i * 2;
    target(bytes, n);
    bytes[at] ^= 1 << i * 2;
  }
}

START_TEST(corpus_is_read) {
  char folder[300], path[600];
  int inputs = 0;
  snprintf(folder, sizeof folder, "%s/fuzz/corpus/%s", TESTS_DIR, targets[_i].name);
  DIR *list = opendir(folder);
  ck_assert_msg(list != NULL, "%s is missing", folder);
  for (struct dirent *entry; (entry = readdir(list)); inputs++) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
    Bytes input = read_bytes(path);
    read_input(targets[_i].target, &input);
    free(input.at);
  }
  closedir(list);
  ck_assert_msg(inputs > 10, "%s holds %d inputs", folder, inputs);
}
END_TEST

START_TEST(a_search_finds_nothing) {
  char *said = shell_ok("cmake --preset fuzz -B " BUILD_DIR "/fuzz >/dev/null && "
                        "cmake --build " BUILD_DIR "/fuzz --target fuzzers -j $(nproc) -- -s >/dev/null && "
                        "SEED=1 tests/fuzz/run " BUILD_DIR "/fuzz 30");
  int clean = 0;
  for (const char *at = said; (at = strstr(at, ": nothing found\n")); at++) clean++;
  ck_assert_msg(clean == N_TARGETS, "%s", said);
  free(said);
}
END_TEST

Suite *fuzz_suite(void) {
  Suite *suite = suite_create("fuzz");
  TCase *tests = tcase_create("fuzz");
  tcase_set_timeout(tests, 60);
  tcase_add_loop_test(tests, corpus_is_read, 0, N_TARGETS);
  suite_add_tcase(suite, tests);
  TCase *search = tcase_create("search");
  tcase_set_timeout(search, 1800);
  tcase_add_test(search, a_search_finds_nothing);
  suite_add_tcase(suite, search);
  return suite;
}
