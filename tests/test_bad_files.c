/* test_bad_files.c - a trainer meets every file of the catalogue (bad_files.h).
 *
 * One trainer is compiled and built for the suite; its model reads csv, npy,
 * npz, idx, text and tokens.  Each row gets a folder with good files, one of them made bad,
 * and a run that must end with status 1 and exactly the row's message, and
 * leave every file as it was and none besides.
 */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/bad_files.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

/* `lead` bytes of magic and length, a header, then zeros; `first` (8 bytes) begins them. */
static Bytes with_header(const char *lead, size_t n, const BadFile *row) {
  Bytes b = {calloc(1, n + row->length + (size_t)row->number + 8), n + row->length + (size_t)row->number};
  ck_assert_ptr_nonnull(b.at);
  memcpy(b.at, lead, n);
  memcpy(b.at + n, row->bytes, row->length);
  if (row->other) memcpy(b.at + n + row->length, row->other, 8);
  return b;
}

static Bytes npy(const BadFile *row) {
  char lead[10] = {'\x93', 'N', 'U', 'M', 'P', 'Y', 1, 0, (char)(row->length & 255), (char)(row->length >> 8)};
  return with_header(lead, sizeof lead, row);
}

static Bytes tensors(const BadFile *row) {
  char lead[8] = {(char)(row->length & 255), (char)(row->length >> 8)};
  return with_header(lead, sizeof lead, row);
}

/* ---- archives ---- */

static void write_gzip(const BadFile *row) {
  char path[64];
  unlink(row->file);
  snprintf(path, sizeof path, "%s.gz", row->file);
  gzFile file = gzopen(path, "wb");
  ck_assert(file && gzwrite(file, row->bytes, (unsigned)row->length) == (int)row->length && gzclose(file) == Z_OK);
  Bytes all = read_bytes(path);
  write_bytes(path, all.at, all.length - (size_t)row->number);
  free(all.at);
}

/* ---- making one bad ---- */

static size_t place(const Bytes *b, long number) {
  size_t at = number < 0 ? b->length - (size_t)-number : (size_t)number;
  ck_assert_msg(at <= b->length, "the good file has %zu bytes", b->length);
  return at;
}

/* The first `from` in the header becomes `to`; offsets of the data stay, the header's length follows. */
static void edit_header(Bytes *b, const char *from, size_t n, const char *to) {
  char *at = memmem(b->at + 8, b->length - 8, from, n);
  ck_assert_msg(at != NULL, "`%s` is not in the header:\n%.3000s", from, b->at + 8);
  size_t m = strlen(to), header = (unsigned char)b->at[0] | (size_t)(unsigned char)b->at[1] << 8;
  memmove(at + m, at + n, b->length - (size_t)(at - b->at) - n);
  memcpy(at, to, m);
  b->length += m - n;
  header += m - n;
  b->at[0] = (char)(header & 255);
  b->at[1] = (char)(header >> 8);
}

static void change(const BadFile *row, Bytes *b) {
  switch (row->form) {
  case BAD_CUT: b->length = place(b, row->number); break;
  case BAD_FLIP: b->at[place(b, row->number)] ^= 0x20; break;
  case BAD_LONGER: memcpy(b->at + b->length, row->bytes, row->length), b->length += row->length; break;
  case BAD_EDIT: edit_header(b, row->bytes, row->length, row->other); break;
  default: memcpy(b->at + place(b, row->number), row->bytes, row->length); break;
  }
}

static void make_bad(const BadFile *row) {
  Bytes b = {NULL, 0};
  switch (row->form) {
  case BAD_BYTES: write_bytes(row->file, row->bytes, row->length); return;
  case BAD_NPY: b = npy(row); break;
  case BAD_TENSORS: b = tensors(row); break;
  case BAD_COPY: b = read_bytes(row->bytes); break;
  case BAD_GZIP: write_gzip(row); return;
  case BAD_MEMBER: write_npz(row->other, row->bytes, row->length, NULL); return;
  case BAD_SECRET: write_npz(NULL, NULL, 0, "secret"); return;
  case BAD_MISSING: ck_assert_int_eq(unlink(row->file), 0); return;
  case BAD_FOLDER: ck_assert(!unlink(row->file) && !mkdir(row->file, 0777)); return;
  case BAD_LOOP:
    ck_assert(!unlink(row->file) &&
              !symlink(strrchr(row->file, '/') ? strrchr(row->file, '/') + 1 : row->file, row->file));
    return;
  case BAD_DEVICE: ck_assert(!unlink(row->file) && !symlink("/proc/self/mem", row->file)); return;
  default: b = read_bytes(row->file), change(row, &b); break;
  }
  write_bytes(row->file, b.at, b.length);
  free(b.at);
}

/* ---- folders ---- */

static uint64_t digest;

static int add_file(const char *path, const struct stat *info, int kind, struct FTW *at) {
  uint64_t hash = 0xcbf29ce484222325u ^ (uint64_t)kind ^ (uint64_t)info->st_ino;
  (void)at;
  for (const char *c = path; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
  FILE *file = kind == FTW_F ? fopen(path, "rb") : NULL;
  for (int c; file && (c = getc(file)) != EOF;) hash = (hash ^ (unsigned)c) * 0x100000001b3u;
  if (file) fclose(file);
  digest += hash;
  return 0;
}

/* Of names, inodes and bytes of everything in the folder. */
static uint64_t digest_of(const char *folder) {
  digest = 0;
  ck_assert_int_eq(nftw(folder, add_file, 16, FTW_PHYS), 0);
  return digest;
}

static char built[128]; /* where the trainer, a run of two epochs and weights are */

/* Unchecked: once for the suite. */
static void build(void) {
  snprintf(built, sizeof built, "%s", scratch_folder());
  small_trainer(built, small_model);
  free(shell_ok(
      "cd %s && export OMP_NUM_THREADS=1 && ./trainer --quiet --save-dir run --stop-after 6 && cp -r run whole && "
      "./trainer --quiet --save-dir whole --resume && cp whole/net.safetensors weights.safetensors",
      built));
}

/* ---- running the trainer ---- */

static char folder[128];

static void set_up(void) {
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  free(shell_ok("cp -r %s/run %s/*.csv %s/*.np? %s/*.idx %s/text.txt %s/tokens.bin %s/weights.safetensors %s", built,
                built, built, built, built, built, built, folder));
  ck_assert_int_eq(chdir(folder), 0);
}

static void ck_run(const BadFile *row, const char *arguments, int status, const char *said) {
  Shell found = shell("cd %s && OMP_NUM_THREADS=1 %s/trainer --quiet %s", folder, built, arguments);
  ck_assert_msg(found.status == status && !strcmp(found.output, said), "%s, %s: status %d, said:\n%sexpected:\n%s",
                row->file, row->name, found.status, found.output, said);
  free(found.output);
}

static void ck_refused(const BadFile *row, const char *arguments) {
  char said[1200];
  make_bad(row);
  uint64_t before = digest_of(".");
  snprintf(said, sizeof said, "m: %s\n", row->message);
  ck_run(row, arguments, 1, said);
  ck_assert_msg(digest_of(".") == before, "%s, %s: files were changed", row->file, row->name);
}

START_TEST(good_files_are_read) {
  static const BadFile none = {.name = "nothing", .file = "none"};
  ck_run(&none, "--save-dir new", 0, "");
  ck_run(&none, "--save-dir run --resume", 0, "");
  ck_run(&none, "--save-dir other --init weights.safetensors", 0, "");
  free(shell_ok("cmp %s/new/net.safetensors %s/run/net.safetensors", folder, folder));
}
END_TEST

START_TEST(bad_data_are_told) { ck_refused(&bad_data[_i], "--save-dir new"); }
END_TEST

START_TEST(bad_checkpoints_are_told) {
  ck_assert_int_eq(unlink("run/m.previous.safetensors"), 0);
  ck_refused(&bad_checkpoints[_i], "--save-dir run --resume");
}
END_TEST

/* With the checkpoint before it there is a warning, and the run ends with the bits of one that was not disturbed. */
START_TEST(bad_checkpoints_fall_back) {
  const BadFile *row = &bad_checkpoints[_i];
  char said[1200];
  bool refused = row->form == BAD_FOLDER || !strncmp(row->message, "the checkpoint in run", 21);
  make_bad(row);
  if (row->form == BAD_MISSING)
    snprintf(said, sizeof said, "m: warning: %s is missing; going on from the one before it\n", row->file);
  else if (refused)
    snprintf(said, sizeof said, "m: %s\n", row->message);
  else
    snprintf(said, sizeof said, "m: warning: %s; going on from the one before it\n", row->message);
  ck_run(row, "--save-dir run --resume", refused, said);
  if (!refused) free(shell_ok("cmp %s/weights.safetensors %s/run/net.safetensors", folder, folder));
}
END_TEST

START_TEST(bad_weights_are_told) { ck_refused(&bad_weights[_i], "--save-dir new --init weights.safetensors"); }
END_TEST

/* A value that is not finite is allowed in a file; the step that meets it names it. */
START_TEST(nan_is_named) {
  static const BadFile rows[] = {
      {"a parameter is NaN", "run/m.checkpoint.safetensors", BAD_VALUE, "\0\0\xc0\x7f", 4, -324, NULL, "fc1.weight"},
      {"a weight is NaN", "weights.safetensors", BAD_VALUE, "\0\0\xc0\x7f", 4, -108, NULL, "fc1.weight"},
  };
  make_bad(&rows[_i]);
  Bytes before = read_bytes(rows[_i].file);
  ck_run(&rows[_i], _i ? "--init weights.safetensors" : "--save-dir run --resume", 1,
         _i ? "m.mt:8: net.fc1.weight is not finite (nan at element 0) before step 0\n"
            : "m.mt:8: net.fc1.weight is not finite (nan at element 0) before step 6\n");
  Bytes after = read_bytes(rows[_i].file);
  ck_assert(before.length == after.length && !memcmp(before.at, after.at, after.length));
  free(before.at);
  free(after.at);
}
END_TEST

/* ---- mutations: what nobody thought of ---- */

static uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* One to three bytes changed, a piece left out, doubled or moved, or the end cut off. */
static void mutate(Bytes *b, uint64_t *seed) {
  size_t n = b->length, at = next_random(seed) % n, piece = 1 + next_random(seed) % (n - at < 64 ? n - at : 64);
  switch (next_random(seed) % 5) {
  case 0: b->length = at; return;
  case 1: memmove(b->at + at, b->at + at + piece, n - at - piece), b->length -= piece; return;
  case 2: memmove(b->at + at + piece, b->at + at, n - at), b->length += piece; return;
  default:
    for (int i = 0; i < 3; i++, at = next_random(seed) % n) b->at[at] ^= (char)(1 << next_random(seed) % 8);
  }
}

static void ck_mutation(const char *file, const char *arguments, uint64_t seed) {
  Bytes good = read_bytes(file), b = read_bytes(file);
  uint64_t state = seed;
  mutate(&b, &state);
  write_bytes(file, b.at, b.length);
  Shell found =
      shell("cd %s && rm -rf new && OMP_NUM_THREADS=1 timeout 10 %s/trainer --quiet %s", folder, built, arguments);
  bool told = !strncmp(found.output, "m: ", 3) || !strncmp(found.output, "m.mt:", 5);
  const char *end = strchr(found.output, '\n');
  ck_assert_msg(found.status == 0 || (found.status == 1 && told && end && !end[1]), "%s, seed %llu: status %d: %s",
                file, (unsigned long long)seed, found.status, found.output);
  Bytes after = read_bytes(file);
  bool same = after.length == b.length && !memcmp(after.at, b.at, b.length);
  ck_assert_msg(same || (found.status == 0 && strstr(file, "checkpoint")), "%s was changed", file);
  write_bytes(file, good.at, good.length);
  free(found.output);
  free(after.at);
  free(good.at);
  free(b.at);
}

/* MTC_MUTATIONS=N makes it N of each file instead of 12. */
START_TEST(mutations_end_in_order) {
  static const struct {
    const char *file, *arguments;
  } rows[] = {
      {"train.csv", "--save-dir new"},
      {"x.npy", "--save-dir new"},
      {"y.npy", "--save-dir new"},
      {"set.npz", "--save-dir new"},
      {"x.idx", "--save-dir new"},
      {"y.idx", "--save-dir new"},
      {"text.txt", "--save-dir new"},
      {"tokens.bin", "--save-dir new"},
      {"weights.safetensors", "--save-dir new --init weights.safetensors"},
      {"run/m.checkpoint.safetensors", "--save-dir run --resume"},
  };
  const char *given = getenv("MTC_MUTATIONS");
  int n = given ? atoi(given) : 12;
  for (int i = 0; i < n; i++) {
    unlink("run/m.previous.safetensors");
    ck_mutation(rows[_i].file, rows[_i].arguments, (uint64_t)(_i * 1000003 + i));
  }
}
END_TEST

Suite *bad_files_suite(void) {
  Suite *suite = suite_create("bad_files");
  TCase *files = tcase_create("files");
  tcase_set_timeout(files, 60);
  tcase_add_unchecked_fixture(files, build, NULL);
  tcase_add_checked_fixture(files, set_up, NULL);
  tcase_add_test(files, good_files_are_read);
  tcase_add_loop_test(files, bad_data_are_told, 0, n_bad_data);
  tcase_add_loop_test(files, bad_checkpoints_are_told, 0, n_bad_checkpoints);
  tcase_add_loop_test(files, bad_checkpoints_fall_back, 0, n_bad_checkpoints);
  tcase_add_loop_test(files, bad_weights_are_told, 0, n_bad_weights);
  tcase_add_loop_test(files, nan_is_named, 0, 2);
  suite_add_tcase(suite, files);
  TCase *mutations = tcase_create("mutations");
  tcase_set_timeout(mutations, 3600);
  tcase_add_unchecked_fixture(mutations, build, NULL);
  tcase_add_checked_fixture(mutations, set_up, NULL);
  tcase_add_loop_test(mutations, mutations_end_in_order, 0, 8);
  suite_add_tcase(suite, mutations);
  return suite;
}
