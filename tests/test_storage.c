/* test_storage.c - readers and writers: what is written reads back; what is
 * damaged is refused with a message that says where. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/storage.h"
#include "tests/in_folder.h"
#include "tests/shell.h"

/* ---- csv ---- */

static const MtField xy[] = {{"x", MT_F32, 1, {2}, 0, 0, 0}, {"y", MT_I32, 0, {0}, 0, 3, -100}};
static const char *const one_path[] = {"file"};
static const MtData csv_data = {"set", MT_CSV, 1, one_path, 2, xy, 4, false, 0, 0, 0, "m.mt:1"};

START_TEST(csv_reads_headers_blanks_and_missing_newline) {
  put("a,b,label\r\n1, 2.5 ,0\r\n\r\n-3,4e1,2\n0,0,-100", 41);
  MtSet set;
  MtError error = {""};
  ck_assert_msg(mt_load_set(&csv_data, folder, &set, &error), "%s", error.text);
  ck_assert_int_eq(set.rows, 3);
  const float *x = set.fields[0];
  const int32_t *y = set.fields[1];
  ck_assert(x[1] == 2.5f && x[2] == -3 && x[3] == 40 && y[1] == 2 && y[2] == -100);
  mt_free_set(&set);
}
END_TEST

static const struct {
  const char *text, *message;
} bad_csv[] = {
    {"", "file: the file is empty; expected lines of 3 numbers with commas between them (columns 1 to 2 are x, column "
         "3 is y)"},
    {"a,b,c\n", "file: it has a header and no rows; expected lines of 3 numbers with commas between them (columns 1 to "
                "2 are x, column 3 is y)"},
    {"1,2,0\n1,2\n", "file:2: the line has 2 columns, the model needs 3 (columns 1 to 2 are x, column 3 is y)"},
    {"1,2,0\n1,2,1,9\n", "file:2: the line has 4 columns, the model needs 3 (columns 1 to 2 are x, column 3 is y)"},
    {"1,2,3\n", "file:1: column 3 (y): found 3, which is out of range: labels go from 0 to 2"},
    {"1,2,-1\n", "file:1: column 3 (y): found -1, which is out of range: labels go from 0 to 2"},
    {"1,2,0\n1,,1\n", "file:2: column 2 (x): found nothing, expected a number; leave rows with missing values out"},
    {"1,2,0\nnan,2,1\n", "file:2: column 1 (x): found nan, expected a number; leave rows with missing values out"},
    {"1,2,0\n1,two,1\n", "file:2: column 2 (x): found two, expected a number"},
    {"1,2,0\n1,2,1.5\n", "file:2: column 3 (y): found 1.5, expected a whole number"},
    {"1,1e99,0\n", "file:1: column 2 (x): found 1e99, which is too large for f32"},
};

START_TEST(csv_names_line_and_column) {
  put(bad_csv[_i].text, strlen(bad_csv[_i].text));
  MtSet set;
  MtError error = {""};
  ck_assert(!mt_load_set(&csv_data, folder, &set, &error));
  ck_assert_str_eq(said(&error), bad_csv[_i].message);
}
END_TEST

START_TEST(csv_gz_stands_in_for_a_missing_file) {
  free(shell_ok("printf '1,2,0\\n' | gzip >%s/file.gz", folder));
  MtSet set;
  MtError error = {""};
  ck_assert_msg(mt_load_set(&csv_data, folder, &set, &error), "%s", error.text);
  ck_assert_int_eq(set.rows, 1);
  mt_free_set(&set);
  free(shell_ok("head -c 20 %s/file.gz >%s/cut && mv %s/cut %s/file.gz", folder, folder, folder, folder));
  ck_assert(!mt_load_set(&csv_data, folder, &set, &error));
  ck_assert_ptr_nonnull(strstr(error.text, "file.gz: the compressed data is cut short"));
}
END_TEST

/* ---- npy ---- */

START_TEST(npy_reads_back_what_was_written) {
  double values[6] = {1, -2.5, 3e300, 0, INFINITY, 6};
  MtArray array = {NULL, MT_WIDE_F64, 2, {2, 3}, values}, back;
  MtError error = {""};
  ck_assert_msg(mt_write_npy(path, &array, &error) && mt_read_npy(path, &back, &error), "%s", error.text);
  ck_assert(back.rank == 2 && back.shape[0] == 2 && back.shape[1] == 3 && !memcmp(back.data, values, sizeof values));
  float narrow[6];
  ck_assert(!mt_array_convert(&back, MT_F32, narrow, "x.npy", &error));
  ck_assert_str_eq(error.text, "x.npy: element [0, 2] is 3e+300, which f32 cannot hold");
  mt_array_free(&back);
}
END_TEST

static const struct {
  const char *header;
  size_t data;
  const char *message;
} bad_npy[] = {
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 15,
     "file: cut short: the header promises 16 bytes of data, 15 are there"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", 17,
     "file: too long: the header promises 16 bytes of data, 17 are there"},
    {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", 4,
     "file: the dtype is >f4; it must be float32, float64, int64, int32, uint8 or bool, little-endian: convert the "
     "array with astype and save it again"},
    {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", 4,
     "file: the array is in Fortran order; save numpy.ascontiguousarray of it"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }", 4,
     "file: the npy header's shape is too large"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", 4,
     "file: the npy header's shape cannot be read: (-1,)"},
    {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", 4,
     "file: the array holds records; save each of their fields as an array of its own"},
    {"{'fortran_order': False}", 0, "file: the npy header has no descr"},
    {"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }", 4,
     "file: the array has more than 8 axes"},
};

START_TEST(npy_says_what_is_wrong) {
  char bytes[512] = "\x93NUMPY\x01";
  size_t n = strlen(bad_npy[_i].header);
  bytes[8] = (char)n;
  memcpy(bytes + 10, bad_npy[_i].header, n);
  put(bytes, 10 + n + bad_npy[_i].data);
  MtArray array;
  MtError error = {""};
  ck_assert(!mt_read_npy(path, &array, &error));
  ck_assert_str_eq(said(&error), bad_npy[_i].message);
}
END_TEST

START_TEST(npy_of_another_type_or_shape) {
  int64_t big[2] = {1, 5000000000};
  MtArray array = {NULL, MT_WIDE_I64, 1, {2}, big};
  MtError error = {""};
  static const MtField field = {"y", MT_I32, 0, {0}, 0, 0, 0}, wide = {"y", MT_I32, 1, {3}, 0, 0, 0};
  MtData data = {"set", MT_NPY, 1, one_path, 1, &field, 4, false, 0, 0, 0, "m.mt:1"};
  MtSet set;
  ck_assert(mt_write_npy(path, &array, &error));
  ck_assert(!mt_load_set(&data, folder, &set, &error));
  ck_assert_str_eq(said(&error), "file: field y: element [1] is 5000000000, which i32 cannot hold");
  error.text[0] = 0;
  data.fields = &wide;
  ck_assert(!mt_load_set(&data, folder, &set, &error));
  ck_assert_str_eq(said(&error), "file: field y: the array is [2], the model needs [rows, 3]");
  error.text[0] = 0;
  float reals[2] = {1, 2};
  array = (MtArray){NULL, MT_WIDE_F32, 1, {2}, reals};
  data.fields = &field;
  ck_assert(mt_write_npy(path, &array, &error));
  ck_assert(!mt_load_set(&data, folder, &set, &error));
  ck_assert_str_eq(said(&error), "file: field y: the file holds f32, the model asks for i32; store integers");
}
END_TEST

/* ---- idx ---- */

/* ---- png ------------------------------------------------------------------------ */

/* Chunks in order, the lines of pixels inflated. */
static void read_png(unsigned *width, unsigned *height, unsigned char *lines, size_t room) {
  size_t length;
  MtError error = {""};
  char *text;
  ck_assert(mt_read_file(path, &text, &length, &error));
  const unsigned char *at = (unsigned char *)text + 8;
  ck_assert_mem_eq(text, "\x89PNG\r\n\x1a\n", 8);
  for (const char *type = ""; strcmp(type, "IEND");) {
    unsigned n = (unsigned)at[0] << 24 | (unsigned)at[1] << 16 | (unsigned)at[2] << 8 | at[3];
    type = !memcmp(at + 4, "IHDR", 4) ? "IHDR" : !memcmp(at + 4, "IDAT", 4) ? "IDAT" : "IEND";
    unsigned sum = (unsigned)at[8 + n] << 24 | (unsigned)at[9 + n] << 16 | (unsigned)at[10 + n] << 8 | at[11 + n];
    ck_assert_uint_eq(crc32(0, at + 4, n + 4), sum);
    if (!strcmp(type, "IHDR")) *width = at[11], *height = at[15];
    uLong size = (uLong)room;
    if (!strcmp(type, "IDAT")) ck_assert_int_eq(uncompress(lines, &size, at + 8, n), Z_OK);
    at += 12 + n;
  }
  ck_assert_ptr_eq(at, (unsigned char *)text + length);
  free(text);
}

START_TEST(png_is_a_sheet_of_tiles) {
  float data[3][2][2] = {{{0, 1}, {2, 3}}, {{4, 5}, {6, 7}}, {{8, 9}, {NAN, 10}}};
  static unsigned char lines[256 * 256];
  MtArray pictures = {.type = MT_WIDE_F32, .rank = 3, .shape = {3, 2, 2}, .data = data};
  MtArray squares = {.type = MT_WIDE_F32, .rank = 2, .shape = {3, 4}, .data = data};
  MtArray channel = {.type = MT_WIDE_F32, .rank = 4, .shape = {3, 1, 2, 2}, .data = data};
  MtArray *all[] = {&pictures, &squares, &channel};
  for (int k = 0; k < 3; k++) {
    unsigned width = 0, height = 0;
    MtError error = {""};
    ck_assert_msg(mt_write_png(path, all[k], &error), "%s", error.text);
    read_png(&width, &height, lines, sizeof lines);
    ck_assert_uint_eq(width, 67);
    ck_assert_uint_eq(height, 67);
    for (unsigned y = 0; y < height; y++)
      for (unsigned x = 0; x < width; x++) {
        unsigned column = x / 33, row = y / 33, tile = row * 2 + column, dx = x % 33, dy = y % 33; /* 0: a line between */
        float value = tile < 3 && dx && dy && x < 66 && y < 66 ? data[tile][(dy - 1) / 16][(dx - 1) / 16] : 0;
        unsigned want = isnan(value) ? 0 : (unsigned)lrintf(value / 10 * 255);
        ck_assert_msg(lines[y * (width + 1) + 1 + x] == want, "pixel %u, %u is %u, not %u", x, y, lines[y * (width + 1) + 1 + x], want);
      }
  }
}
END_TEST

START_TEST(png_says_what_it_cannot_draw) {
  float data[6] = {0};
  MtArray bad[] = {{.type = MT_WIDE_F32, .rank = 2, .shape = {1, 5}, .data = data},
                   {.type = MT_WIDE_F32, .rank = 1, .shape = {4}, .data = data},
                   {.type = MT_WIDE_F32, .rank = 4, .shape = {1, 2, 1, 2}, .data = data},
                   {.type = MT_WIDE_F32, .rank = 3, .shape = {0, 2, 2}, .data = data},
                   {.type = MT_WIDE_F32, .rank = 3, .shape = {1, 1 << 20, 1 << 20}, .data = data}};
  static const char *const says[] = {"p a square: write an .npy", "p a square", "p a square", "nothing to draw", "are too many"};
  for (int i = 0; i < 5; i++) {
    MtError error = {""};
    ck_assert(!mt_write_png(path, &bad[i], &error));
    ck_assert_msg(strstr(error.text, says[i]) != NULL, "%s", error.text);
    ck_assert_int_ne(access(path, F_OK), 0);
  }
}
END_TEST

START_TEST(idx_reads_bytes_and_big_endian_words) {
  MtArray array;
  MtError error = {""};
  put("\0\0\x08\x02\0\0\0\2\0\0\0\2\1\2\3\xff", 16);
  ck_assert_msg(mt_read_idx(path, &array, &error), "%s", error.text);
  ck_assert(array.rank == 2 && ((unsigned char *)array.data)[3] == 255);
  mt_array_free(&array);
  put("\0\0\x0c\x01\0\0\0\1\xff\xff\xff\xfe", 12);
  ck_assert(mt_read_idx(path, &array, &error) && *(int32_t *)array.data == -2);
  mt_array_free(&array);
  put("\0\0\x08\x01\0\0\0\5\1\2", 10);
  ck_assert(!mt_read_idx(path, &array, &error));
  ck_assert_str_eq(said(&error), "file: cut short: the header promises 5 values of 1 byte, 2 bytes are there");
  error.text[0] = 0;
  put("\x7f"
      "ELF",
      4);
  ck_assert(!mt_read_idx(path, &array, &error));
  ck_assert_str_eq(said(&error), "file: not an idx file: it begins with 7f 45 4c 46, an idx file with 00 00, a type "
                                 "from 08 to 0e and the number of axes");
}
END_TEST

/* ---- safetensors ---- */

static void put_safetensors(const char *header, size_t data) {
  char bytes[2048] = {0};
  size_t n = strlen(header);
  bytes[0] = (char)(n & 255);
  bytes[1] = (char)(n >> 8);
  memcpy(bytes + 8, header, n);
  put(bytes, 8 + n + data);
}

START_TEST(safetensors_read_back_what_was_written) {
  MtArchive archive = {0}, back;
  MtError error = {""};
  float a[4] = {1, 2, NAN, -0.0f};
  int64_t shape[2] = {2, 2};
  mt_archive_add_note(&archive, "format", "pt");
  ck_assert(mt_archive_add(&archive, "net.w \"quoted\"", MT_WIDE_F32, 2, shape, a) &&
            mt_archive_add(&archive, "scalar", MT_WIDE_F32, 0, NULL, a));
  ck_assert(mt_write_safetensors(path, NULL, &archive, &error));
  ck_assert_msg(mt_read_safetensors(path, &back, &error), "%s", error.text);
  const MtArray *w = mt_archive_find(&back, "net.w \"quoted\"");
  ck_assert(w && w->rank == 2 && !memcmp(w->data, a, sizeof a) && back.n_arrays == 2);
  ck_assert_str_eq(mt_archive_note(&back, "format"), "pt");
  mt_archive_free(&archive);
  mt_archive_free(&back);
}
END_TEST

#define T(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
static const struct {
  const char *header;
  size_t data;
  const char *message;
} bad_archives[] = {
    {"{\"a\":" T("2", "0", "8") "}", 4, "file: cut short: tensor a ends at byte 8 of the data, 4 are there"},
    {"{\"a\":" T("2", "0", "8") "}", 12, "file: too long: the tensors end at byte 8 of the data, 12 are there"},
    {"{\"a\":" T("1", "0", "4") ",\"b\":" T("1", "8", "12") "}", 12,
     "file: tensor b: it begins at byte 8 of the data, the one before it ends at 4: there is a hole"},
    {"{\"a\":" T("2", "0", "8") ",\"b\":" T("1", "4", "8") "}", 8,
     "file: tensor b: it begins at byte 4 of the data, the one before it ends at 8: they overlap"},
    {"{\"a\":" T("3", "0", "8") "}", 8, "file: tensor a: its shape needs 12 bytes, its data_offsets give it 8"},
    {"{\"a\":" T("-1", "0", "4") "}", 4, "file: tensor a: axis 0 of its shape is not a whole number from 0"},
    {"{\"a\":" T("4294967296, 4294967296", "0", "0") "}", 0, "file: tensor a: its shape is too large"},
    {"{\"a\":" T("1", "8", "4") "}", 8, "file: tensor a: its data_offsets are not two rising numbers"},
    {"{\"a\":{\"dtype\":\"F8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
     "file: tensor a: its dtype is F8; F32, F64, BF16, I64, I32, U8 and BOOL can be read"},
    {"{\"a\":1}", 0, "file: tensor a: the header gives it no dtype"},
    {"{\"__metadata__\":{\"x\":1}}", 0, "file: __metadata__: x is not a string"},
    {"[1]", 0, "file: not a safetensors file: it does not begin with the length of a JSON header, and that header"},
};

START_TEST(safetensors_say_what_is_wrong) {
  put_safetensors(bad_archives[_i].header, bad_archives[_i].data);
  MtArchive archive;
  MtError error = {""};
  ck_assert(!mt_read_safetensors(path, &archive, &error));
  ck_assert_str_eq(said(&error), bad_archives[_i].message);
}
END_TEST

START_TEST(safetensors_may_stand_in_another_order) {
  MtArchive archive;
  MtError error = {""};
  put_safetensors("{\"a\":" T("1", "4", "8") ",\"none\":" T("0", "4", "4") ",\"b\":" T("1", "0", "4") "}", 8);
  free(shell_ok("printf '\\0\\0\\200\\77' | dd of=%s bs=1 seek=$(($(stat -c %%s %s) - 4)) conv=notrunc", path, path));
  ck_assert_msg(mt_read_safetensors(path, &archive, &error), "%s", error.text);
  ck_assert(*(float *)mt_archive_find(&archive, "a")->data == 1 && *(float *)mt_archive_find(&archive, "b")->data == 0);
  ck_assert_int_eq(mt_array_count(mt_archive_find(&archive, "none")), 0);
  mt_archive_free(&archive);
}
END_TEST

START_TEST(safetensors_refuse_duplicates_and_stubs) {
  MtArchive archive;
  MtError error = {""};
  put_safetensors("{\"a\":" T("1", "0", "4") ",\"a\":" T("1", "0", "4") "}", 4);
  ck_assert(!mt_read_safetensors(path, &archive, &error));
  ck_assert_ptr_nonnull(strstr(error.text, "duplicate"));
  error.text[0] = 0;
  put("abc", 3);
  ck_assert(!mt_read_safetensors(path, &archive, &error));
  ck_assert_str_eq(said(&error), "file: cut short: a safetensors file has at least 8 bytes, this has 3");
}
END_TEST

/* ---- writing ---- */

START_TEST(a_failed_write_leaves_the_old_file) {
  char missing[300];
  float value = 1;
  MtArray array = {NULL, MT_WIDE_F32, 0, {0}, &value};
  MtError error = {""};
  snprintf(missing, sizeof missing, "%s/no/such/folder.npy", folder);
  ck_assert(!mt_write_npy(missing, &array, &error));
  ck_assert_str_eq(said(&error), "no/such/folder.npy: cannot write: No such file or directory");
  put("precious", 8);
  MtWriter writer;
  ck_assert(mt_write_begin(&writer, path, &error) == true);
  ck_assert(mt_write_bytes(&writer, "new", 3));
  mt_write_abort(&writer);
  char *text = read_text(path);
  ck_assert_str_eq(text, "precious");
  free(text);
  Shell left = shell("ls %s", folder);
  ck_assert_str_eq(left.output, "file\n");
  free(left.output);
}
END_TEST

/* ---- files that are none ---- */

START_TEST(pipes_are_read_to_their_end) {
  MtSet set;
  MtError error = {""};
  free(shell_ok("mkfifo %s/file && { (yes 1,2,0 | head -n 40000 >%s/file) & }", folder, folder));
  ck_assert_msg(mt_load_set(&csv_data, folder, &set, &error), "%s", error.text);
  ck_assert_int_eq(set.rows, 40000);
  mt_free_set(&set);
  free(shell_ok("rm %s/file && yes 1,2,0 | head -n 40000 | gzip >%s/file && yes 1,2,0 | head -n 5 | gzip >>%s/file",
                folder, folder, folder));
  ck_assert_msg(mt_load_set(&csv_data, folder, &set, &error), "%s", error.text);
  ck_assert_int_eq(set.rows, 40005); /* of two members */
  mt_free_set(&set);
  free(shell_ok("truncate -s +100 %s/file", folder)); /* zeros behind the end are padding */
  ck_assert_msg(mt_load_set(&csv_data, folder, &set, &error), "%s", error.text);
  mt_free_set(&set);
  free(shell_ok("echo more >>%s/file", folder));
  ck_assert(!mt_load_set(&csv_data, folder, &set, &error));
  ck_assert_str_eq(said(&error), "file: the compressed data is damaged: other bytes stand behind its end");
}
END_TEST

START_TEST(pipes_are_written_to_not_replaced) {
  float value = 1;
  MtArray array = {NULL, MT_WIDE_F32, 0, {0}, &value}, back;
  MtError error = {""};
  char copy[300];
  struct stat info;
  free(shell_ok("mkfifo %s/file && { (cat %s/file >%s/copy.part && mv %s/copy.part %s/copy) & }", folder, folder,
                folder, folder, folder));
  ck_assert_msg(mt_write_npy(path, &array, &error), "%s", error.text);
  ck_assert(!stat(path, &info) && S_ISFIFO(info.st_mode));
  snprintf(copy, sizeof copy, "%s/copy", folder);
  for (int i = 0; i < 500 && access(copy, F_OK); i++) usleep(10000);
  ck_assert_msg(mt_read_npy(copy, &back, &error), "%s", error.text);
  ck_assert(*(float *)back.data == 1);
  mt_array_free(&back);
  ck_assert(!mt_write_npy(folder, &array, &error));
  ck_assert_str_eq(error.text + strlen(folder), ": cannot write: it is a folder");
  error.text[0] = 0;
  char *far = calloc(1, 5001);
  memset(far, 'x', 5000);
  ck_assert(!mt_write_npy(far, &array, &error));
  ck_assert_ptr_nonnull(strstr(error.text, "...: the path is too long"));
  free(far);
}
END_TEST

/* ---- small types ---- */

START_TEST(small_types_are_checked) {
  static const MtField fields[] = {
      {"u", MT_U8, 0, {0}, 0, 0, 0}, {"b", MT_BOOL, 0, {0}, 0, 0, 0}, {"d", MT_F64, 0, {0}, 0, 0, 0}};
  static const MtData data = {"set", MT_CSV, 1, one_path, 3, fields, 4, false, 0, 0, 0, "m.mt:1"};
  static const struct {
    const char *text, *message;
  } bad[] = {
      {"256,0,1", "file:1: column 1 (u): found 256, which u8 cannot hold: it goes from 0 to 255"},
      {"-1,0,1", "file:1: column 1 (u): found -1, which u8 cannot hold: it goes from 0 to 255"},
      {"1,2,1", "file:1: column 2 (b): found 2, expected 0 or 1"},
      {"1,0,1\n1,gr\xc3\xb6\xc3\x9f"
       "e\xe2\x82\xff,1",
       "file:2: column 2 (b): found gr\xc3\xb6\xc3\x9f"
       "e???, expected a number"},
      {"1,0,1,1", "file:1: the line has 4 columns, the model needs 3 (column 1 is u, column 2 is b, column 3 is d)"},
  };
  MtSet set;
  MtError error = {""};
  put("255,1,1e300\n0,0,-0.1\n", 21);
  ck_assert_msg(mt_load_set(&data, folder, &set, &error), "%s", error.text);
  ck_assert(((unsigned char *)set.fields[0])[0] == 255 && ((unsigned char *)set.fields[1])[0] == 1);
  ck_assert(((double *)set.fields[2])[0] == 1e300 && ((double *)set.fields[2])[1] == -0.1);
  mt_free_set(&set);
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    MtError told = {""};
    put(bad[i].text, strlen(bad[i].text));
    ck_assert(!mt_load_set(&data, folder, &set, &told));
    ck_assert_str_eq(said(&told), bad[i].message);
  }
}
END_TEST

START_TEST(idx_reads_every_type) {
  MtArray array;
  MtError error = {""};
  static const struct {
    const char *bytes;
    size_t length;
    double value;
  } rows[] = {
      {"\0\0\x08\1\0\0\0\1\xfe", 9, 254},         {"\0\0\x09\1\0\0\0\1\xfe", 9, -2},
      {"\0\0\x0b\1\0\0\0\1\xff\x00", 10, -256},   {"\0\0\x0c\1\0\0\0\1\0\1\0\0", 12, 65536},
      {"\0\0\x0d\1\0\0\0\1\xbf\x80\0\0", 12, -1}, {"\0\0\x0e\1\0\0\0\1\xc0\x04\0\0\0\0\0\0", 16, -2.5},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    double value;
    put(rows[i].bytes, rows[i].length);
    ck_assert_msg(mt_read_idx(path, &array, &error) && mt_array_convert(&array, MT_F64, &value, path, &error), "%s",
                  error.text);
    ck_assert_msg(value == rows[i].value, "type %zu reads %g", i, value);
    mt_array_free(&array);
  }
}
END_TEST

/* A file of another width is told so, however much memory its rows would need as the model has them. */
START_TEST(csv_takes_no_more_memory_than_its_file) {
  static const MtField wide = {"x", MT_F32, 1, {1LL << 40}, 0, 0, 0};
  static const MtData data = {"set", MT_CSV, 1, one_path, 1, &wide, 4, false, 0, 0, 0, "m.mt:1"};
  MtSet set;
  MtError error = {""};
  put("1,2\n3,4\n", 8);
  ck_assert(!mt_load_set(&data, folder, &set, &error));
  ck_assert_str_eq(said(&error),
                   "file:1: the line has 2 columns, the model needs 1099511627776 (columns 1 to 1099511627776 are x)");
}
END_TEST

START_TEST(huge_npy_headers_are_refused) {
  size_t n = 2 << 20;
  char *bytes = calloc(1, n + 12);
  MtArray array;
  MtError error = {""};
  memcpy(bytes, "\x93NUMPY\2\0\0\0\x20\0", 12);
  put(bytes, n + 12);
  ck_assert(!mt_read_npy(path, &array, &error));
  ck_assert_str_eq(said(&error), "file: its npy header has 2097152 bytes; at most 1048576 can be read");
  free(bytes);
}
END_TEST

/* ---- files that cannot be opened or written, and those left behind ---- */

START_TEST(a_compressed_file_that_cannot_be_opened) {
  char *bytes;
  size_t length;
  MtError error = {""};
  free(shell_ok("ln -s file.gz %s/file.gz", folder));
  ck_assert(!mt_read_file(path, &bytes, &length, &error));
  ck_assert_str_eq(said(&error), "file.gz: cannot open: Too many levels of symbolic links");
}
END_TEST

/* Temporary files of processes that are no more go, and no others: the folder may be somebody's home. */
START_TEST(only_what_was_left_behind_is_swept) {
  pid_t gone = fork(); /* its number is free again once it is waited for */
  if (!gone) _exit(0);
  ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
  free(shell_ok("cd %s && mkdir sub && touch a.safetensors.tmp%d metrics.csv.tmp%d a.safetensors.tmp%d notes.tmp%d "
                ".tmp%d a.safetensors.tmp0 a.safetensors.tmpx a.safetensors.tmp%dx a.safetensors letter-to-her.tmp%d",
                folder, gone, gone, getpid(), gone, gone, gone, gone));
  mt_sweep_folder(folder);
  Shell left = shell("cd %s && ls -A | sed s/%d/GONE/ | sed s/%d/HERE/ | LC_ALL=C sort | tr '\\n' ' '", folder, gone,
                     getpid());
  ck_assert_str_eq(left.output, ".tmpGONE a.safetensors a.safetensors.tmp0 a.safetensors.tmpGONEx "
                                "a.safetensors.tmpHERE a.safetensors.tmpx letter-to-her.tmpGONE notes.tmpGONE sub ");
  free(left.output);
  mt_sweep_folder("/no/such/folder");
}
END_TEST

/* A process of somebody else is there, though it may not be signalled. */
START_TEST(files_of_other_users_processes_are_kept) {
  char file[300];
  snprintf(file, sizeof file, "%s/a.safetensors.tmp1", folder);
  free(shell_ok("chmod 777 %s && chmod 711 $(dirname %s) && touch %s", folder, folder, file));
  uid_t before = geteuid();
  if (!before) ck_assert_int_eq(setresuid(65534, 65534, before), 0);
  mt_sweep_folder(folder);
  ck_assert_int_eq(setresuid(before, before, before), 0);
  ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

/* The longest path that the system takes, and a name behind it. */
START_TEST(paths_too_long_to_sweep_are_left) {
  static char far[4096];
  char file[300];
  pid_t gone = fork();
  if (!gone) _exit(0);
  ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
  snprintf(file, sizeof file, "%s/a.safetensors.tmp%d", folder, gone);
  free(shell_ok("touch %s", file));
  strcpy(far, folder);
  while (strlen(far) < 4090) strcat(far, "/.");
  mt_sweep_folder(far);
  ck_assert_int_eq(access(file, F_OK), 0);
  mt_sweep_folder(folder);
  ck_assert_int_ne(access(file, F_OK), 0);
}
END_TEST

/* ---- from a file's type to the model's ---- */

static const struct {
  double value;
  bool whole; /* stored as i64, else as f64 */
  MtType to;
  uint64_t bits; /* of what it becomes */
  const char *message;
} conversions[] = {
    {255, true, MT_U8, 255, NULL},
    {256, true, MT_U8, 0, "x: element [1] is 256, which u8 cannot hold"},
    {-1, true, MT_U8, 0, "x: element [1] is -1, which u8 cannot hold"},
    {1, true, MT_BOOL, 1, NULL},
    {2, true, MT_BOOL, 0, "x: element [1] is 2, which bool cannot hold"},
    {2147483647, true, MT_I32, 2147483647, NULL},
    {2147483648, true, MT_I32, 0, "x: element [1] is 2147483648, which i32 cannot hold"},
    {-2147483648, true, MT_I32, 0x80000000, NULL},
    {-2147483649, true, MT_I32, 0, "x: element [1] is -2147483649, which i32 cannot hold"},
    {-2, true, MT_F64, 0xc000000000000000, NULL},
    {0.5, false, MT_F64, 0x3fe0000000000000, NULL},
    {0.5, false, MT_F32, 0x3f000000, NULL},
    {INFINITY, false, MT_F32, 0x7f800000, NULL},
    {1.00390625, false, MT_BF16, 0x3f80, NULL}, /* halfway: to even */
    {1.01171875, false, MT_BF16, 0x3f82, NULL},
    {-3, false, MT_BF16, 0xc040, NULL},
    {INFINITY, false, MT_BF16, 0x7f80, NULL},
    {NAN, false, MT_BF16, 0x7fc0, NULL},
    {1e39, false, MT_BF16, 0, "x: element [1] is 1e+39, which bf16 cannot hold"},
    {3.3961775e38, false, MT_BF16, 0, "x: element [1] is 3.3961775e+38, which bf16 cannot hold"},
    {3.3895314e38, false, MT_BF16, 0x7f7f, NULL},
    {1, false, MT_BOOL, 0, "x: the file holds f64, the model asks for bool; store integers"},
    {1, false, MT_U8, 0, "x: the file holds f64, the model asks for u8; store integers"},
};

START_TEST(values_are_converted_or_refused) {
  int64_t whole[2] = {0, (int64_t)(isfinite(conversions[_i].value) ? conversions[_i].value : 0)};
  double real[2] = {0, conversions[_i].value};
  MtArray array = {NULL, conversions[_i].whole ? MT_WIDE_I64 : MT_WIDE_F64, 1, {2}, whole};
  if (!conversions[_i].whole) array.data = real;
  uint64_t out[2] = {0}, bits = 0;
  MtError error = {""};
  bool ok = mt_array_convert(&array, conversions[_i].to, out, "x", &error);
  if (conversions[_i].message) {
    ck_assert(!ok);
    ck_assert_str_eq(error.text, conversions[_i].message);
    return;
  }
  ck_assert_msg(ok, "%s", error.text);
  size_t size = mt_type_size(conversions[_i].to);
  memcpy(&bits, (char *)out + size, size);
  ck_assert_uint_eq(bits, conversions[_i].bits);
}
END_TEST

START_TEST(bools_of_a_file_are_zero_and_one) {
  unsigned char bytes[3] = {0, 1, 5};
  MtArray array = {NULL, MT_WIDE_BOOL, 1, {3}, bytes};
  float out[3];
  MtError error = {""};
  ck_assert_msg(mt_array_convert(&array, MT_F32, out, "x", &error), "%s", error.text);
  ck_assert(out[0] == 0 && out[1] == 1 && out[2] == 1);
}
END_TEST

Suite *storage_suite(void) {
  Suite *suite = suite_create("storage");
  TCase *files = tcase_create("files");
  tcase_add_checked_fixture(files, set_up_folder, NULL);
  tcase_add_test(files, csv_reads_headers_blanks_and_missing_newline);
  tcase_add_loop_test(files, csv_names_line_and_column, 0, sizeof bad_csv / sizeof bad_csv[0]);
  tcase_add_test(files, csv_gz_stands_in_for_a_missing_file);
  tcase_add_test(files, npy_reads_back_what_was_written);
  tcase_add_loop_test(files, npy_says_what_is_wrong, 0, sizeof bad_npy / sizeof bad_npy[0]);
  tcase_add_test(files, npy_of_another_type_or_shape);
  tcase_add_test(files, png_is_a_sheet_of_tiles);
  tcase_add_test(files, png_says_what_it_cannot_draw);
  tcase_add_test(files, idx_reads_bytes_and_big_endian_words);
  tcase_add_test(files, safetensors_read_back_what_was_written);
  tcase_add_loop_test(files, safetensors_say_what_is_wrong, 0, sizeof bad_archives / sizeof bad_archives[0]);
  tcase_add_test(files, safetensors_may_stand_in_another_order);
  tcase_add_test(files, safetensors_refuse_duplicates_and_stubs);
  tcase_add_test(files, a_failed_write_leaves_the_old_file);
  tcase_add_test(files, pipes_are_read_to_their_end);
  tcase_add_test(files, pipes_are_written_to_not_replaced);
  tcase_add_test(files, small_types_are_checked);
  tcase_add_test(files, idx_reads_every_type);
  tcase_add_test(files, csv_takes_no_more_memory_than_its_file);
  tcase_add_test(files, huge_npy_headers_are_refused);
  tcase_add_test(files, a_compressed_file_that_cannot_be_opened);
  tcase_add_test(files, only_what_was_left_behind_is_swept);
  tcase_add_test(files, files_of_other_users_processes_are_kept);
  tcase_add_test(files, paths_too_long_to_sweep_are_left);
  tcase_add_loop_test(files, values_are_converted_or_refused, 0, sizeof conversions / sizeof conversions[0]);
  tcase_add_test(files, bools_of_a_file_are_zero_and_one);
  suite_add_tcase(suite, files);
  return suite;
}
