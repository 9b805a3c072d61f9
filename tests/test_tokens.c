/* test_tokens.c - text and token files as rows of windows. */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

static char folder[128];

static int64_t stride; /* 0: as long as the window */

static void set_up(void) {
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  stride = 0;
}

static void put(const char *bytes, size_t length) {
  char path[160];
  snprintf(path, sizeof path, "%s/file", folder);
  write_bytes(path, bytes, length);
}

/* The set, and its message behind the folder's name. */
static const char *load(MtDataKind kind, int n_fields, const MtField *fields, int64_t rows, MtSet *set) {
  static const char *const paths[] = {"file"};
  static MtError error;
  const MtData data = {"set", kind, 1, paths, n_fields, fields, 4, false, rows, 0, stride, "m.mt:1"};
  error.text[0] = 0;
  bool ok = mt_load_set(&data, folder, set, &error);
  ck_assert(ok == !error.text[0]);
  return ok ? "" : error.text + strlen(folder) + 1;
}

static void ck_field(const MtSet *set, int f, int n, const int32_t *wanted) {
  ck_assert_int_eq(set->rows * (int64_t)set->row_bytes[f], n * 4);
  for (int i = 0; i < n; i++) ck_assert_int_eq(((const int32_t *)set->fields[f])[i], wanted[i]);
}

static const MtField window[] = {{"x", MT_I32, 1, {3}, 0, 0, 0}, {"y", MT_I32, 1, {3}, 0, 0, 0}, {"z", MT_I32, 1, {3}, 0, 0, 0}};

/* Each row begins where the one before it ends; the last needs what stands behind it. */
START_TEST(rows_are_windows_one_after_the_other) {
  MtSet set;
  put("abcdefg", 7);
  ck_assert_str_eq(load(MT_BYTES, 2, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 2);
  ck_field(&set, 0, 6, (int32_t[]){'a', 'b', 'c', 'd', 'e', 'f'});
  ck_field(&set, 1, 6, (int32_t[]){'b', 'c', 'd', 'e', 'f', 'g'});
  mt_free_set(&set);
  put("abcdef", 6);
  ck_assert_str_eq(load(MT_BYTES, 2, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 1);
  mt_free_set(&set);
  ck_assert_str_eq(load(MT_BYTES, 1, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 2);
  mt_free_set(&set);
  ck_assert_str_eq(load(MT_BYTES, 3, window, 0, &set), "");
  ck_field(&set, 2, 3, (int32_t[]){'c', 'd', 'e'});
  mt_free_set(&set);
}
END_TEST

START_TEST(rows_may_overlap_or_leave_gaps) {
  MtSet set;
  put("abcdefgh", 8);
  stride = 2;
  ck_assert_str_eq(load(MT_BYTES, 2, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 3);
  ck_field(&set, 0, 9, (int32_t[]){'a', 'b', 'c', 'c', 'd', 'e', 'e', 'f', 'g'});
  ck_field(&set, 1, 9, (int32_t[]){'b', 'c', 'd', 'd', 'e', 'f', 'f', 'g', 'h'});
  mt_free_set(&set);
  stride = 4;
  ck_assert_str_eq(load(MT_BYTES, 1, window, 0, &set), "");
  ck_field(&set, 0, 6, (int32_t[]){'a', 'b', 'c', 'e', 'f', 'g'});
  mt_free_set(&set);
  stride = 6;
  ck_assert_str_eq(load(MT_BYTES, 1, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 1);
  mt_free_set(&set);
  stride = 1;
  put("abcd", 4);
  ck_assert_str_eq(load(MT_BYTES, 2, window, 0, &set), "");
  ck_assert_int_eq(set.rows, 1);
  mt_free_set(&set);
}
END_TEST

START_TEST(rows_says_how_many_at_most) {
  MtSet set;
  put("abcdefghijkl\xff", 13);
  ck_assert_str_eq(load(MT_BYTES, 2, window, 2, &set), "");
  ck_assert_int_eq(set.rows, 2);
  mt_free_set(&set);
  ck_assert_str_eq(load(MT_BYTES, 2, window, 9, &set), "");
  ck_assert_int_eq(set.rows, 4);
  ck_assert_int_eq(((int32_t *)set.fields[1])[11], 255);
  mt_free_set(&set);
}
END_TEST

START_TEST(bytes_may_stay_bytes) {
  static const MtField bytes[] = {{"x", MT_U8, 1, {2}, 0, 256, 0}, {"y", MT_F32, 1, {2}, 0, 0, 0}};
  MtSet set;
  put("\0\xff\x80", 3);
  ck_assert_str_eq(load(MT_BYTES, 2, bytes, 0, &set), "");
  ck_assert(!memcmp(set.fields[0], "\0\xff", 2) && ((float *)set.fields[1])[1] == 128);
  mt_free_set(&set);
}
END_TEST

/* A header as llm.c's scripts write it. */
static void put_tokens(uint32_t magic, uint32_t version, uint32_t count, const void *tokens, size_t bytes) {
  char file[1100] = "";
  memcpy(file, &magic, 4);
  memcpy(file + 4, &version, 4);
  memcpy(file + 8, &count, 4);
  memcpy(file + 1024, tokens, bytes);
  put(file, 1024 + bytes);
}

START_TEST(token_files_are_read) {
  static const uint16_t two[] = {50256, 1, 65535, 3, 4, 5, 6, 7};
  static const uint32_t four[] = {128000, 1, 2147483647, 4};
  MtSet set;
  put_tokens(20240520, 1, 8, two, sizeof two);
  ck_assert_str_eq(load(MT_TOKENS, 2, window, 0, &set), "");
  ck_field(&set, 0, 6, (int32_t[]){50256, 1, 65535, 3, 4, 5});
  ck_field(&set, 1, 6, (int32_t[]){1, 65535, 3, 4, 5, 6});
  mt_free_set(&set);
  put_tokens(20240801, 7, 4, four, sizeof four);
  ck_assert_str_eq(load(MT_TOKENS, 2, window, 0, &set), "");
  ck_field(&set, 1, 3, (int32_t[]){1, 2147483647, 4});
  mt_free_set(&set);
}
END_TEST

START_TEST(tokens_beyond_their_type_are_told) {
  static const uint32_t four[] = {1, 2, 2147483648u, 4};
  static const MtField narrow[] = {{"x", MT_U8, 1, {3}, 0, 0, 0}};
  MtSet set;
  put_tokens(20240801, 7, 4, four, sizeof four);
  ck_assert_str_eq(load(MT_TOKENS, 2, window, 0, &set), "file: token 2 (counted from 0) is 2147483648, which i32 cannot hold");
  put_tokens(20240801, 7, 3, (uint32_t[]){1, 256, 3}, 12);
  ck_assert_str_eq(load(MT_TOKENS, 1, narrow, 0, &set), "file: element [1] is 256, which u8 cannot hold");
}
END_TEST

START_TEST(a_value_besides_the_range_is_let_pass) {
  static const MtField masked[] = {{"x", MT_I32, 1, {3}, 0, 100, 0}, {"y", MT_I32, 1, {3}, 0, 100, 1000}};
  MtSet set;
  put_tokens(20240520, 1, 4, (uint16_t[]){1, 2, 99, 1000}, 8);
  ck_assert_str_eq(load(MT_TOKENS, 2, masked, 0, &set), "");
  mt_free_set(&set);
  put_tokens(20240520, 1, 4, (uint16_t[]){1, 1000, 99, 3}, 8);
  ck_assert_str_eq(load(MT_TOKENS, 2, masked, 0, &set),
                   "file: token 1 (counted from 0) is 1000, which is out of range: field x goes from 0 to 99");
}
END_TEST

/* No frontend lets this through; a program by hand might. */
START_TEST(fields_are_of_one_length) {
  static const MtField odd[] = {{"x", MT_I32, 1, {3}, 0, 0, 0}, {"y", MT_I32, 1, {2}, 0, 0, 0}};
  static const MtField none[] = {{"x", MT_I32, 1, {0}, 0, 0, 0}};
  MtSet set;
  put("abcdefg", 7);
  ck_assert_str_eq(load(MT_BYTES, 2, odd, 0, &set), "file: the fields of data set are windows of different lengths");
  ck_assert_str_eq(load(MT_BYTES, 1, none, 0, &set), "file: data set asks for windows without bytes");
}
END_TEST

Suite *tokens_suite(void) {
  Suite *suite = suite_create("tokens");
  TCase *files = tcase_create("files");
  tcase_add_checked_fixture(files, set_up, NULL);
  tcase_add_test(files, rows_are_windows_one_after_the_other);
  tcase_add_test(files, rows_may_overlap_or_leave_gaps);
  tcase_add_test(files, rows_says_how_many_at_most);
  tcase_add_test(files, bytes_may_stay_bytes);
  tcase_add_test(files, token_files_are_read);
  tcase_add_test(files, tokens_beyond_their_type_are_told);
  tcase_add_test(files, a_value_besides_the_range_is_let_pass);
  tcase_add_test(files, fields_are_of_one_length);
  suite_add_tcase(suite, files);
  return suite;
}
