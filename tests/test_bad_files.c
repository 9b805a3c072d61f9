/* test_bad_files.c - a trainer meets every file of the catalogue (bad_files.h).
 *
 * One trainer is compiled and built for the suite; its model reads csv, npy,
 * npz and idx.  Each row gets a folder with good files, one of them made bad,
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
#include <zip.h>
#include <zlib.h>

#include "tests/bad_files.h"
#include "tests/shell.h"

static const char model[] = "use nn\n"
                            "dim B = 4, K = 3\n"
                            "data train_set = csv(\"train.csv\") -> { x: f32[B, 2], y: i32[B] }\n"
                            "data npy_set = npy(\"x.npy\", \"y.npy\") -> { x: f32[B, 2], y: i32[B] }\n"
                            "data npz_set = npz(\"set.npz\") -> { x: f32[B, 2], y: i32[B] }\n"
                            "data idx_set = idx(\"x.idx\", \"y.idx\") -> { x: f32[B, 2], y: i32[B] }\n"
                            "module Net()(x: [B, 2]) -> [B, K] {\n"
                            "  return x |> fc1: Linear(4) |> relu |> fc2: Linear(K)\n"
                            "}\n"
                            "let net = Net()\n"
                            "train d in shuffled(train_set, seed: 1) for 4 epochs {\n"
                            "  let loss = cross_entropy(net(d.x), d.y)\n"
                            "  update net minimize loss using adamw(lr: 1e-2)\n"
                            "  log loss\n"
                            "  every 1 epochs {\n"
                            "    eval e in npy_set {\n"
                            "      log a = mean(argmax(net(e.x), over: K) == e.y)\n"
                            "      save highest a\n"
                            "    }\n"
                            "    eval f in npz_set { log b = mean(argmax(net(f.x), over: K) == f.y) }\n"
                            "    eval g in idx_set { log c = mean(argmax(net(g.x), over: K) == g.y) }\n"
                            "    save\n"
                            "  }\n"
                            "}\n";

/* ---- files as bytes ---- */

typedef struct Bytes {
  char *at;
  size_t length;
} Bytes;

static Bytes read_bytes(const char *path) {
  Bytes b = {NULL, 0};
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
  ck_assert(!fseek(file, 0, SEEK_END));
  b.length = (size_t)ftell(file);
  rewind(file);
  b.at = calloc(1, b.length + 4096); /* room for what a row adds */
  ck_assert_ptr_nonnull(b.at);
  ck_assert_uint_eq(fread(b.at, 1, b.length, file), b.length);
  fclose(file);
  return b;
}

static void write_bytes(const char *path, const void *bytes, size_t length) {
  unlink(path);
  FILE *file = fopen(path, "wb");
  ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
  ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
  ck_assert_int_eq(fclose(file), 0);
}

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

/* x.npy and y.npy of the folder, but for `name`, whose bytes are `other` (NULL: left out). */
static void write_npz(const char *name, const char *other, size_t length, const char *password) {
  static const char *const members[] = {"x.npy", "y.npy"};
  unlink("set.npz");
  zip_t *archive = zip_open("set.npz", ZIP_CREATE, NULL);
  ck_assert_ptr_nonnull(archive);
  Bytes good[2];
  for (int i = 0; i < 2; i++) {
    good[i] = read_bytes(members[i]);
    if (name && !strncmp(name, members[i], strlen(name))) continue;
    ck_assert(zip_file_add(archive, members[i], zip_source_buffer(archive, good[i].at, good[i].length, 0), 0) >= 0);
  }
  if (name && other) ck_assert(zip_file_add(archive, name, zip_source_buffer(archive, other, length, 0), 0) >= 0);
  for (zip_uint64_t i = 0; i < (zip_uint64_t)zip_get_num_entries(archive, 0); i++) {
    ck_assert(!zip_file_set_mtime(archive, i, 315532800, 0) && !zip_set_file_compression(archive, i, ZIP_CM_STORE, 0));
    if (password) ck_assert(!zip_file_set_encryption(archive, i, ZIP_EM_AES_256, password));
  }
  ck_assert_int_eq(zip_close(archive), 0);
  for (int i = 0; i < 2; i++) free(good[i].at);
}

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

/* ---- good files ---- */

static void write_good_npy(const char *path, const char *descr, const char *shape, const void *data, size_t bytes) {
  char file[512];
  int n = snprintf(file + 10, sizeof file - 10, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
  memset(file + 10 + n, ' ', (size_t)(118 - n));
  memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
  memcpy(file + 128, data, bytes);
  write_bytes(path, file, 128 + bytes);
}

static void write_good_files(void) {
  static const float x[10] = {0, 1, 2, 3, 4, 5, -1, 2, .5f, 0};
  static const int64_t y[5] = {0, 1, 2, 0, 1};
  static const char csv[] = "a,b,label\n0,1,0\n2,3,1\n4,5,2\n1,1,0\n2,2,1\n3,5,2\n0,0,0\n2,4,1\n5,5,2\n1,0,0\n";
  write_bytes("train.csv", csv, sizeof csv - 1);
  write_good_npy("x.npy", "<f4", "(5, 2)", x, sizeof x);
  write_good_npy("y.npy", "<i8", "(5,)", y, sizeof y);
  write_npz(NULL, NULL, 0, NULL);
  write_bytes("x.idx", "\0\0\x08\2\0\0\0\6\0\0\0\2\0\1\2\3\4\5\6\7\x08\x09\0\1", 24);
  write_bytes("y.idx", "\0\0\x08\1\0\0\0\6\0\1\2\0\1\2", 14);
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

static char built[128]; /* where the trainer and a run of two epochs are */

/* Unchecked: once for the suite. */
static void build(void) {
  snprintf(built, sizeof built, "%s", scratch_folder());
  char path[256];
  snprintf(path, sizeof path, "%s/m.mt", built);
  write_bytes(path, model, sizeof model - 1);
  free(shell_ok("cd %s && " MTC " build m.mt --target=c -o trainer", built));
  ck_assert_int_eq(chdir(built), 0);
  write_good_files();
  free(shell_ok(
      "cd %s && export OMP_NUM_THREADS=1 && ./trainer --quiet --save-dir run --stop-after 6 && cp -r run whole && "
      "./trainer --quiet --save-dir whole --resume && cp whole/net.safetensors weights.safetensors",
      built));
  ck_assert_int_eq(chdir(SOURCE_DIR), 0);
}

/* ---- running the trainer ---- */

static char folder[128];

static void set_up(void) {
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  free(shell_ok("cp -r %s/run %s/*.csv %s/*.npy %s/*.npz %s/*.idx %s/weights.safetensors %s", built, built, built,
                built, built, built, folder));
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
  return suite;
}
