/* test_guide.c - docs/guide.md does what it says.
 *
 * A block ```mt NAME.mt is a program: as fmt lays it out, compiling without warnings; ```mt NAME.mt wrong is one that
 * the compiler refuses.  A block ```console is what a reader types and sees: `$ ` begins a command, `...` stands for
 * lines left out.  The commands of a lesson are run in order, in a folder with its programs and the data.  What mtc
 * prints is compared to the letter, what a trainer prints but for its numbers; about these there are lines "Expect:
 * `loss` below 0.02." that hold for the last one printed.  MTC_REGOLD=1 rewrites what is compared to the letter, where
 * nothing is left out.
 */
#include <check.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "tests/shell.h"

#define GUIDE SOURCE_DIR "/docs/guide.md"

enum { N_LESSONS = 10, MOST_BLOCKS = 128 };

typedef struct Block {
  int lesson;
  char info[64], name[64]; /* what stands behind the ```, and the second word of it */
  const char *text, *end;  /* in the guide */
} Block;

static char *guide;
static Block blocks[MOST_BLOCKS];
static int n_blocks;

static const char *next_line(const char *at) {
  const char *end = strchr(at, '\n');
  return end ? end + 1 : at + strlen(at);
}

static void read_guide(void) {
  guide = read_text(GUIDE);
  ck_assert_ptr_nonnull(guide);
  Block *open = NULL;
  int lesson = 0;
  for (const char *at = guide; *at; at = next_line(at)) {
    if (!open && !strncmp(at, "## ", 3)) lesson = atoi(at + 3);
    if (strncmp(at, "```", 3)) continue;
    if (open) {
      open->end = at;
      open = NULL;
    } else {
      ck_assert_int_lt(n_blocks, MOST_BLOCKS);
      open = &blocks[n_blocks++];
      *open = (Block){.lesson = lesson, .text = next_line(at)};
      snprintf(open->info, sizeof open->info, "%.*s", (int)strcspn(at + 3, "\n"), at + 3);
      sscanf(open->info, "%*s %63s", open->name);
    }
  }
  ck_assert_msg(!open && lesson == N_LESSONS, "%d lessons, and a block is %s", lesson, open ? "open" : "closed");
}

/* "line.mt" of a program's block, else NULL. */
static const char *program_of(const Block *b) { return strncmp(b->info, "mt ", 3) ? NULL : b->name; }

static bool is_wrong(const Block *b) { return strstr(b->info, " wrong") != NULL; }

static void put(const char *path, const char *text, size_t length) {
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(text, 1, length, file), length);
  ck_assert_int_eq(fclose(file), 0);
}

/* The folder of a reader at a lesson's begin; bin/mtc builds for the CPU whatever there is. */
static const char *reader_at(int lesson) {
  const char *folder = scratch_folder();
  free(shell_ok("cd %s && ln -s " SOURCE_DIR "/samples/data data && mkdir bin && cat >bin/mtc <<'END' && chmod +x bin/mtc\n"
                "#!/bin/sh\ncommand=$1\nshift\ncase $command in\nrun | build) exec " MTC
                " $command --target=c \"$@\" ;;\n*) exec " MTC " $command \"$@\" ;;\nesac\nEND", folder));
  for (int i = 0; i < n_blocks; i++) {
    char path[256];
    if (blocks[i].lesson != lesson || !program_of(&blocks[i])) continue;
    snprintf(path, sizeof path, "%s/%s", folder, program_of(&blocks[i]));
    put(path, blocks[i].text, (size_t)(blocks[i].end - blocks[i].text));
  }
  return folder;
}

#define AS_READER "cd %s && export PATH=$PWD/bin:$PATH XDG_CACHE_HOME=$PWD OMP_NUM_THREADS=1 && "

/* ---- the programs -------------------------------------------------------------------------- */

START_TEST(each_lesson_has_a_program) {
  int programs[N_LESSONS + 1] = {0}, consoles[N_LESSONS + 1] = {0};
  for (int i = 0; i < n_blocks; i++) {
    const Block *b = &blocks[i];
    programs[b->lesson] += program_of(b) && !is_wrong(b);
    consoles[b->lesson] += !strcmp(b->info, "console");
    ck_assert_msg(strcmp(b->info, "console") || !strncmp(b->text, "$ ", 2), "a console without a command: %.80s", b->text);
  }
  for (int lesson = 1; lesson <= N_LESSONS; lesson++)
    ck_assert_msg(programs[lesson] && consoles[lesson], "lesson %d lacks a program or what it prints", lesson);
}
END_TEST

START_TEST(programs_are_laid_out_as_fmt_does) {
  const char *folder = reader_at(_i);
  free(shell_ok(AS_READER "for p in *.mt; do mtc fmt $p -o laid-out && diff $p laid-out || exit 1; done", folder));
}
END_TEST

static void compile_with(const char *folder, const char *suffix, const char *compiler) {
  free(shell_ok(AS_READER "for p in *.mt; do mtc check --Werror $p >said 2>&1 || continue; mtc $p -o model.%s && %s model.%s "
                "$(mtc --print=cflags) -o model.o || exit 1; done", folder, suffix, compiler, suffix));
}

START_TEST(programs_compile_to_c_without_warnings) {
  compile_with(reader_at(_i), "c", "cc -std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -Wno-unknown-pragmas -c");
}
END_TEST

/* nvcc takes long: the lesson that shows CUDA, and the GPT. */
START_TEST(programs_compile_to_cuda_without_warnings) {
  bool now = has_nvcc() && (_i == 5 || _i == 10);
  compile_with(reader_at(_i), "cu", now ? "nvcc -arch=sm_90 -Werror all-warnings -Xcompiler -Wall -c" : "true");
}
END_TEST

/* Those that should, and no other. */
START_TEST(programs_are_right_or_wrong) {
  for (int i = 0; i < n_blocks; i++) {
    if (!program_of(&blocks[i])) continue;
    Shell said = shell(AS_READER "mtc check --Werror %s", reader_at(blocks[i].lesson), program_of(&blocks[i]));
    ck_assert_msg(said.status == is_wrong(&blocks[i]), "%s: exit status %d\n%s", blocks[i].info, said.status, said.output);
    free(said.output);
  }
}
END_TEST

/* ---- the consoles --------------------------------------------------------------------------- */

/* A line but for what differs from run to run or machine to machine: numbers, the processor, a best so far. */
static void plain(char *out, size_t room, const char *line, size_t length) {
  size_t n = 0;
  for (size_t i = 0; i < length && n + 2 < room; i++) {
    if (!strncmp(line + i, "  best", 6)) break;
    if (!strncmp(line + i, " CPU thread", 11)) i += strcspn(line + i, ":\n");
    bool begins = isdigit((unsigned char)line[i]) || (line[i] == '-' && isdigit((unsigned char)line[i + 1]));
    if (begins) {
      i += strspn(line + i, "0123456789.,:e+-") - 1;
      if (!strncmp(line + i + 1, " min", 4)) i += 2; /* a long run's minutes end as seconds do */
      out[n++] = '#';
    } else if (line[i] != ' ' || n == 0 || out[n - 1] != ' ') {
      out[n++] = line[i];
    }
  }
  out[n] = 0;
}

static bool same_line(const char *a, const char *b, bool exact) {
  size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
  char x[512], y[512];
  if (exact) return n == m && !strncmp(a, b, n);
  plain(x, sizeof x, a, n);
  plain(y, sizeof y, b, m);
  return !strcmp(x, y);
}

static bool is_gap(const char *line) { return !strncmp(line, "...\n", 4); }

/* Does what was printed read as the lines of the guide up to `end`?  A gap is as many lines as it takes. */
static bool reads_as(const char *wanted, const char *end, const char *printed, bool exact) {
  if (wanted >= end) return !*printed;
  if (!is_gap(wanted)) return *printed && same_line(wanted, printed, exact) && reads_as(next_line(wanted), end, next_line(printed), exact);
  for (;; printed = next_line(printed)) {
    if (reads_as(next_line(wanted), end, printed, exact)) return true;
    if (!*printed) return false;
  }
}

static bool has_gap(const char *at, const char *end) {
  for (; at < end; at = next_line(at))
    if (is_gap(at)) return true;
  return false;
}

/* The first such lines of the guide give way to `text`. */
static void rewrite(const char *command, const char *old, size_t length, const char *text) {
  char *now = read_text(GUIDE);
  char *at = strstr(now, command);
  ck_assert_msg(at != NULL, "%s", command);
  at += strlen(command);
  ck_assert(!strncmp(at, old, length));
  Text out = {0};
  text_add_bytes(&out, now, (size_t)(at - now));
  text_add(&out, "%s%s", text, at + length);
  put(GUIDE, out.data, out.length);
  text_free(&out);
  free(now);
}

/* One command and the lines under it; what it prints is added to `log`.  Where the next one begins, or the block ends. */
static const char *play(const char *folder, const char *line, Text *log) {
  const char *output = next_line(line), *stop = output;
  while (strncmp(stop, "$ ", 2) && strncmp(stop, "```", 3)) stop = next_line(stop);
  char command[512], typed[520];
  snprintf(command, sizeof command, "%.*s", (int)(output - line - 3), line + 2);
  char *printed = shell_ok(AS_READER "{ %s\n} || test $? = 1", folder, command);
  bool exact = strncmp(command, "mtc run", 7) && strncmp(command, "./", 2);
  text_add(log, "%s", printed);
  if (!reads_as(output, stop, printed, exact)) {
    bool anew = getenv("MTC_REGOLD") && exact && !has_gap(output, stop);
    ck_assert_msg(anew, "docs/guide.md does not have what `%s` prints (MTC_REGOLD=1 writes what has no gaps):\n%s", command, printed);
    snprintf(typed, sizeof typed, "$ %s\n", command);
    rewrite(typed, output, (size_t)(stop - output), printed);
  }
  free(printed);
  return stop;
}

/* "`loss` below 0.02", "`slope` above 2.9 and below 3.1": of the last `loss` and `slope` printed so far. */
static void check_expectation(const char *line, const char *log) {
  char name[64] = "", word[16];
  double bound;
  int n_bounds = 0;
  for (const char *at = line; *at && *at != '\n'; at++) {
    if (*at == '`' && at[1] != ' ' && sscanf(at, "`%60[a-z]`", name) == 1) at += strlen(name) + 1;
    if (sscanf(at, " %15[a-z] %lf", word, &bound) != 2 || (strcmp(word, "above") && strcmp(word, "below"))) continue;
    char key[80];
    double value = 0;
    const char *last = NULL;
    snprintf(key, sizeof key, "%s ", name);
    for (const char *found = log; (found = strstr(found, key)); found++)
      if (found == log || isspace((unsigned char)found[-1])) last = found;
    ck_assert_msg(last && sscanf(last + strlen(key), "%lf", &value) == 1, "no %s in:\n%s", name, log);
    ck_assert_msg(!strcmp(word, "above") ? value > bound : value < bound, "%s is %g, not %s %g\n%s", name, value, word, bound, log);
    at = strstr(at, word) + strlen(word);
    n_bounds++;
  }
  ck_assert_msg(n_bounds > 0, "nothing is expected in: %.80s", line);
}

START_TEST(a_lesson_prints_what_it_says) {
  const char *folder = reader_at(_i);
  char title[16];
  Text log = {0};
  int expected = 0;
  snprintf(title, sizeof title, "\n## %d. ", _i);
  const char *at = next_line(strstr(guide, title) + 1), *next = strstr(at, "\n## "), *end = next ? next : at + strlen(at);
  while (at < end) {
    bool console = !strncmp(at, "```console\n", 11), expects = !strncmp(at, "Expect: ", 8);
    if (expects) check_expectation(at, log.data);
    expected += expects;
    at = next_line(at);
    while (console && strncmp(at, "```", 3)) at = play(folder, at, &log);
  }
  ck_assert_int_gt(expected, 0);
  text_free(&log);
}
END_TEST

Suite *guide_suite(void) {
  Suite *suite = suite_create("guide");
  TCase *programs = tcase_create("programs");
  tcase_add_unchecked_fixture(programs, read_guide, NULL);
  tcase_set_timeout(programs, 240);
  tcase_add_test(programs, each_lesson_has_a_program);
  tcase_add_test(programs, programs_are_right_or_wrong);
  tcase_add_loop_test(programs, programs_are_laid_out_as_fmt_does, 1, N_LESSONS + 1);
  tcase_add_loop_test(programs, programs_compile_to_c_without_warnings, 1, N_LESSONS + 1);
  tcase_add_loop_test(programs, programs_compile_to_cuda_without_warnings, 1, N_LESSONS + 1);
  suite_add_tcase(suite, programs);
  TCase *lessons = tcase_create("lessons");
  tcase_add_unchecked_fixture(lessons, read_guide, NULL);
  tcase_set_timeout(lessons, 240);
  tcase_add_loop_test(lessons, a_lesson_prints_what_it_says, 1, N_LESSONS + 1);
  suite_add_tcase(suite, lessons);
  return suite;
}
