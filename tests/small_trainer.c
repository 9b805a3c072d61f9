/* small_trainer.c - see small_trainer.h. */
#include "tests/small_trainer.h"

#include <check.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zip.h>

#include "tests/shell.h"

const char small_model[] = "use nn\n"
                           "dim B = 4, K = 3\n"
                           "data train_set = csv(\"train.csv\") -> { x: f32[B, 2], y: i32[B] }\n"
                           "data npy_set = npy(\"x.npy\", \"y.npy\") -> { x: f32[B, 2], y: i32[B] }\n"
                           "data npz_set = npz(\"set.npz\") -> { x: f32[B, 2], y: i32[B] }\n"
                           "data idx_set = idx(\"x.idx\", \"y.idx\") -> { x: f32[B, 2], y: i32[B] }\n"
                           "module Net()(x: [B, 2]) -> [B, K] {\n"
                           "  return x |> fc1: Linear(4) |> relu |> fc2: Linear(K)\n"
                           "}\n"
                           "let net = Net()\n"
                           "data text_set = bytes(\"text.txt\", window: 3) -> { x: i32[B, 3], y: i32[B, 3] }\n"
                           "data token_set = tokens(\"tokens.bin\", window: 3) -> { x: i32[B, 3], y: i32[B, 3] }\n"
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
                           "    eval h in text_set { log d = mean(one_hot(h.x, over: 128) == one_hot(h.y, over: 128)) }\n"
                           "    eval i in token_set { log e = mean(one_hot(i.x, over: 300) == one_hot(i.y, over: 300)) }\n"
                           "    save\n"
                           "  }\n"
                           "}\n"
                           "predict p in { x: f32[B, 2] } -> net(p.x)\n";

/* ---- files as bytes ---- */

Bytes read_bytes(const char *path) {
  Bytes b = {NULL, 0};
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
  ck_assert(!fseek(file, 0, SEEK_END));
  b.length = (size_t)ftell(file);
  rewind(file);
  b.at = calloc(1, b.length + 4096);
  ck_assert_ptr_nonnull(b.at);
  ck_assert_uint_eq(fread(b.at, 1, b.length, file), b.length);
  fclose(file);
  return b;
}

void write_bytes(const char *path, const void *bytes, size_t length) {
  unlink(path);
  FILE *file = fopen(path, "wb");
  ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
  ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
  ck_assert_int_eq(fclose(file), 0);
}

/* ---- good files ---- */

void write_npz(const char *name, const char *other, size_t length, const char *password) {
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

static void write_good_npy(const char *path, const char *descr, const char *shape, const void *data, size_t bytes) {
  char file[512];
  int n = snprintf(file + 10, sizeof file - 10, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
  memset(file + 10 + n, ' ', (size_t)(118 - n));
  memcpy(file, "\x93NUMPY\1\0\x76\0", 10);
  memcpy(file + 128, data, bytes);
  write_bytes(path, file, 128 + bytes);
}

/* The header of a token file, then `bytes` of tokens. */
static void write_good_tokens(const char *path, const void *tokens, size_t bytes) {
  char file[1100] = "\x88\xd8\x34\x01\1\0\0"; /* 20240520, version 1 */
  file[8] = (char)(bytes / 2);
  memcpy(file + 1024, tokens, bytes);
  write_bytes(path, file, 1024 + bytes);
}

void write_good_files(void) {
  static const float x[10] = {0, 1, 2, 3, 4, 5, -1, 2, .5f, 0};
  static const int64_t y[5] = {0, 1, 2, 0, 1};
  static const char csv[] = "a,b,label\n0,1,0\n2,3,1\n4,5,2\n1,1,0\n2,2,1\n3,5,2\n0,0,0\n2,4,1\n5,5,2\n1,0,0\n";
  write_bytes("train.csv", csv, sizeof csv - 1);
  write_good_npy("x.npy", "<f4", "(5, 2)", x, sizeof x);
  write_good_npy("y.npy", "<i8", "(5,)", y, sizeof y);
  write_npz(NULL, NULL, 0, NULL);
  write_bytes("x.idx", "\0\0\x08\2\0\0\0\6\0\0\0\2\0\1\2\3\4\5\6\7\x08\x09\0\1", 24);
  write_bytes("text.txt", "To be, or\nnot to be\n", 20);
  write_good_tokens("tokens.bin", "\1\0\2\0\3\0\x2b\1\5\0\6\0\7\0\x08\0", 16);
  write_bytes("y.idx", "\0\0\x08\1\0\0\0\6\0\1\2\0\1\2", 14);
}

/* ---- building ---- */

void small_trainer(const char *folder, const char *model) {
  char path[256];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  write_bytes(path, model, strlen(model));
  free(shell_ok("cd %s && " MTC " build m.mt --target=c -o trainer", folder));
  ck_assert_int_eq(chdir(folder), 0);
  write_good_files();
  ck_assert_int_eq(chdir(SOURCE_DIR), 0);
}
