/* test_mapping.c - `weights NET from FILE { ... }`: names, transposes, and what does not fit. */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "runtime/storage.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

/* ---- names ---- */

static const MtMapping names[] = {{"wte", "transformer.wte.weight", false},
                                  {"b.#", "h.#", false},
                                  {"b.#.att", "h.#.attn", false},
                                  {"b.#.att.qkv", "h.#.attn.c_attn", true},
                                  {"b.0.att.qkv", "first", false},
                                  {"g.#.#.w", "g#.w#", false},
                                  {"head", NULL, false},
                                  {NULL, "h.#.mask", false},
                                  {NULL, "old", false}};
static const MtWeights map = {"net", "f", sizeof names / sizeof names[0], names};

START_TEST(the_longest_name_that_fits_counts) {
  static const struct {
    const char *name, *wanted; /* NULL: not from the file */
    bool transpose;
  } rows[] = {{"wte", "transformer.wte.weight", false},
              {"wte2", "wte2", false},
              {"wt", "wt", false},
              {"b.3.ln.weight", "h.3.ln.weight", false},
              {"b.31.att.proj.bias", "h.31.attn.proj.bias", false},
              {"b.31.att.qkv.weight", "h.31.attn.c_attn.weight", true},
              {"b.0.att.qkv.weight", "first.weight", false},
              {"b.x.att", "b.x.att", false},
              {"b.", "b.", false},
              {"g.2.17.w", "g2.w17", false},
              {"head.weight", NULL, false},
              {"header", "header", false}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char found[1024];
    bool transpose, is_there = mt_map_name(&map, rows[i].name, found, &transpose);
    ck_assert_msg(is_there == (rows[i].wanted != NULL) && (!is_there || !strcmp(found, rows[i].wanted)), "%s becomes %s",
                  rows[i].name, is_there ? found : "nothing");
    ck_assert_msg(!is_there || transpose == rows[i].transpose, "%s", rows[i].name);
  }
  ck_assert(mt_is_left_out(&map, "h.7.mask") && mt_is_left_out(&map, "old.weight") && !mt_is_left_out(&map, "older"));
  ck_assert(!mt_is_left_out(&map, "h.x.mask") && !mt_is_left_out(NULL, "old"));
}
END_TEST

/* ---- values ---- */

static const MtTensor params[] = {{"net.b.w", 3, {2, 2, 3}, 0, MT_CONSTANT, 0, 0, "m.mt:3", "net.b.#.w"},
                                  {"net.b.v", 2, {2, 2}, 12, MT_CONSTANT, 0, 0, "m.mt:4", "net.b.#.v"},
                                  {"net.head", 1, {2}, 16, MT_CONSTANT, 0, 0, "m.mt:5", NULL},
                                  {"other.w", 1, {2}, 18, MT_CONSTANT, 0, 0, "m.mt:6", NULL}};
static const MtProgram program = {.name = "m", .n_params = 4, .param_count = 20, .params = params};
static char path[160];

static void set_up(void) { snprintf(path, sizeof path, "%s/file.safetensors", scratch_folder()); }

/* h.0.w and h.1.w [rows, columns] count from 1, their v from 100, then what else there is. */
static void write_file(int64_t rows, int64_t columns, const char *more) {
  MtArchive archive = {0};
  MtError error = {""};
  float values[6], v[2];
  char name[32];
  for (int block = 0; block < 2; block++) {
    for (int i = 0; i < 6; i++) values[i] = (float)(block * 6 + i + 1);
    v[0] = (float)(100 + block * 2), v[1] = v[0] + 1;
    snprintf(name, sizeof name, "h.%d.w", block);
    ck_assert(mt_archive_add(&archive, name, MT_WIDE_F32, 2, (int64_t[]){rows, columns}, values));
    snprintf(name, sizeof name, "h.%d.v", block);
    ck_assert(mt_archive_add(&archive, name, MT_WIDE_F32, 1, (int64_t[]){2}, v));
  }
  if (more) ck_assert(mt_archive_add(&archive, more, MT_WIDE_F32, 1, (int64_t[]){2}, v));
  ck_assert_msg(mt_write_safetensors(path, NULL, &archive, &error), "%s", error.text);
  mt_archive_free(&archive);
}

static float p[20];

/* "" when it fits, else the message behind the folder's name. */
static const char *load(int n, const MtMapping *mappings) {
  static MtError error;
  const MtWeights weights = {"net", "file", n, mappings};
  MtBlocks blocks = {.params = p};
  error.text[0] = 0;
  for (int i = 0; i < 20; i++) p[i] = -1;
  bool ok = mt_load_weights(path, &program, "net", &weights, &blocks, &error);
  ck_assert(ok == !error.text[0]);
  for (int i = 0; i < 20; i++) ck_assert_msg(ok || p[i] == -1, "%s, and values are copied", error.text);
  return ok ? "" : strrchr(error.text, '/') + 1;
}

START_TEST(blocks_are_found_and_transposed) {
  static const MtMapping turned[] = {{"b.#", "h.#", true}, {"head", NULL, false}};
  static const MtMapping straight[] = {{"b.#", "h.#", false}, {"head", "lm", false}};
  write_file(3, 2, NULL);
  ck_assert_str_eq(load(2, turned), "");
  static const float wanted[] = {1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12, 100, 101, 102, 103, -1, -1, -1, -1};
  for (int i = 0; i < 20; i++) ck_assert_msg(p[i] == wanted[i], "value %d is %g", i, (double)p[i]);
  write_file(2, 3, "lm");
  ck_assert_str_eq(load(2, straight), "");
  for (int i = 0; i < 12; i++) ck_assert_msg(p[i] == (float)(i + 1), "value %d is %g", i, (double)p[i]);
  ck_assert(p[16] == 102 && p[18] == -1);
}
END_TEST

START_TEST(what_does_not_fit_is_named) {
  static const MtMapping turned[] = {{"b.#", "h.#", true}, {"head", NULL, false}, {NULL, "mask", false}};
  static const MtMapping other[] = {{"b.#", "layers.#", false}, {"head", NULL, false}};
  static const MtMapping same[] = {{"b.#", "h.#", false}, {"head", NULL, false}};
  write_file(2, 3, NULL);
  ck_assert_str_eq(load(0, NULL), "file.safetensors: tensor b.0.w is missing; the model (m.mt:3) needs it as [2, 3]");
  ck_assert_str_eq(load(2, other), "file.safetensors: tensor layers.0.w (here b.0.w) is missing; the model (m.mt:3) needs it as [2, 3]");
  ck_assert_str_eq(load(1, same), "file.safetensors: tensor head is missing; the model (m.mt:5) needs it as [2]");
  ck_assert_str_eq(load(2, turned), "file.safetensors: tensor h.0.w (here b.0.w) is [2, 3], the model (m.mt:3) needs [3, 2]; it "
                                    "is not transposed there: leave t() out");
  write_file(3, 2, "mask");
  ck_assert_str_eq(load(2, same), "file.safetensors: tensor h.0.w (here b.0.w) is [3, 2], the model (m.mt:3) needs [2, 3]; if it "
                                  "is transposed there, write t(...) around its name");
  ck_assert_str_eq(load(2, turned), "file.safetensors: tensor mask is not one of this model's; _: \"mask\" leaves it out");
  ck_assert_str_eq(load(3, turned), "");
  write_file(6, 1, NULL);
  ck_assert_str_eq(load(2, same), "file.safetensors: tensor h.0.w (here b.0.w) is [6, 1], the model (m.mt:3) needs [2, 3]");
}
END_TEST

/* ---- archives of NumPy ---- */

/* Members with the bytes of a vector of two f32, 1 and 2. */
static void write_archive(int n, const char *const *members) {
  char vector[136] = "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }";
  int status;
  for (size_t i = strlen(vector + 10) + 10; i < 128; i++) vector[i] = ' ';
  memcpy(vector + 128, "\0\0\x80\x3f\0\0\0\x40", 8);
  snprintf(path, sizeof path, "%s/file.npz", scratch_folder());
  zip_t *archive = zip_open(path, ZIP_CREATE, &status);
  ck_assert_ptr_nonnull(archive);
  for (int i = 0; i < n; i++)
    ck_assert(zip_file_add(archive, members[i], zip_source_buffer(archive, vector, sizeof vector, 0), 0) >= 0);
  ck_assert_int_eq(zip_close(archive), 0);
}

START_TEST(archives_are_read) {
  static const MtMapping all[] = {{"b", NULL, false}, {"head", "v", false}};
  write_archive(1, (const char *const[]){"v.npy"});
  ck_assert_str_eq(load(2, all), "");
  ck_assert(p[16] == 1 && p[17] == 2 && p[0] == -1);
  write_archive(2, (const char *const[]){"v.npy", "u.npy"});
  ck_assert_str_eq(load(2, all), "file.npz: tensor u is not one of this model's; _: \"u\" leaves it out");
  write_archive(2, (const char *const[]){"v.npy", "notes"});
  ck_assert_str_eq(load(2, all), "file.npz: member notes is no array: its name does not end in .npy");
  write_bytes(path, "text", 4);
  ck_assert_str_eq(load(2, all), "file.npz: not an npz file: no list of members is at its end, as zip files have one; it may "
                                 "be cut short");
}
END_TEST

/* ---- a program ---- */

static const char model[] = "use nn\n"
                            "dim B = 4\n"
                            "data d = random(rows: 8, seed: 1) -> { x: f32[B, 3] }\n"
                            "module Block()(x: [B, 3]) -> [B, 3] { return x + (x |> fc: Linear(3)) }\n"
                            "module Net()(x: [B, 3]) -> [B, 3] {\n"
                            "  for b in stack(Block(), 2) carry x { x = b(x) }\n"
                            "  return x |> head: Linear(3)\n"
                            "}\n"
                            "let net = Net()\n"
                            "weights net from \"start.safetensors\" {%s}\n"
                            "train t in d for 2 steps { update net minimize mean(net(t.x) ^ 2) using sgd(lr: 0.1) }\n"
                            "predict p in { x: f32[B, 3] } -> net(p.x)\n";

static char *build(const char *folder, const char *name, const char *map_text) {
  char text[1200], file[200];
  snprintf(text, sizeof text, model, map_text);
  snprintf(file, sizeof file, "%s/%s.mt", folder, name);
  write_bytes(file, text, strlen(text));
  return shell_ok("cd %s && " MTC " build %s.mt --target=c -o %s", folder, name, name);
}

/* A trainer's own file, under other names, is the same start as --init of it; trained weights go before it. */
START_TEST(a_program_starts_from_a_file) {
  const char *folder = scratch_folder();
  free(build(folder, "plain", ""));
  Shell said = shell("cd %s && ./plain", folder);
  ck_assert_str_eq(said.output, "plain: start.safetensors: no such file (nor start.safetensors.gz)\n");
  ck_assert_int_eq(said.status, 1);
  free(said.output);
  free(shell_ok("cd %s && sed '/^weights/d' plain.mt >first.mt && " MTC " build first.mt --target=c -o first && "
                "./first --quiet --save-dir first.run && cp first.run/net.safetensors start.safetensors && "
                "./plain --quiet --seed 5 && ./first --quiet --seed 6 --save-dir second.run --init start.safetensors && "
                "cmp plain.run/net.safetensors second.run/net.safetensors && rm start.safetensors && "
                "./plain --quiet --resume && ! ./plain --quiet && ./plain --quiet --init first.run/net.safetensors && "
                "cmp plain.run/net.safetensors second.run/net.safetensors",
                folder));
  free(build(folder, "named", "b.fc: \"b.#.fc\", head: none, _: \"head\""));
  free(shell_ok("cd %s && cp first.run/net.safetensors start.safetensors && ./named --quiet && "
                "! cmp -s named.run/net.safetensors plain.run/net.safetensors", folder));
}
END_TEST

/* Before anything is trained, predictions are those of the file. */
START_TEST(a_program_predicts_from_a_file) {
  const char *folder = scratch_folder();
  char file[200];
  snprintf(file, sizeof file, "%s/x.npy", folder);
  MtArray x = {.type = MT_WIDE_F32, .rank = 2, .shape = {2, 3}, .data = (float[]){1, 2, 3, 4, 5, 6}};
  MtError error = {""};
  ck_assert(mt_write_npy(file, &x, &error));
  free(build(folder, "plain", ""));
  char *output = shell_ok("cd %s && sed '/^weights/d' plain.mt >first.mt && " MTC " build first.mt --target=c -o first && "
                          "./first --quiet --save-dir first.run --export start.safetensors && "
                          "./first predict x.npy -o a.npy --save-dir first.run && ./plain predict x.npy -o b.npy && cmp a.npy b.npy",
                          folder);
  ck_assert_msg(strstr(output, "weights: start.safetensors\n") != NULL, "%s", output);
  free(output);
}
END_TEST

Suite *mapping_suite(void) {
  Suite *suite = suite_create("mapping");
  TCase *files = tcase_create("files");
  tcase_add_checked_fixture(files, set_up, NULL);
  tcase_add_test(files, the_longest_name_that_fits_counts);
  tcase_add_test(files, blocks_are_found_and_transposed);
  tcase_add_test(files, what_does_not_fit_is_named);
  tcase_add_test(files, archives_are_read);
  suite_add_tcase(suite, files);
  TCase *programs = tcase_create("programs");
  tcase_set_timeout(programs, 120);
  tcase_add_test(programs, a_program_starts_from_a_file);
  tcase_add_test(programs, a_program_predicts_from_a_file);
  suite_add_tcase(suite, programs);
  return suite;
}
