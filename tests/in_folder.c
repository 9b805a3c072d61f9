/* in_folder.c - see in_folder.h. */
#include "tests/in_folder.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "tests/shell.h"

char folder[128], path[256];

void set_up_folder(void) {
  snprintf(folder, sizeof folder, "%s", scratch_folder());
  snprintf(path, sizeof path, "%s/file", folder);
}

void put(const char *bytes, size_t length) {
  FILE *file = fopen(path, "wb");
  ck_assert_ptr_nonnull(file);
  ck_assert_uint_eq(fwrite(bytes, 1, length, file), length);
  fclose(file);
}

const char *said(const MtError *error) {
  return !strncmp(error->text, folder, strlen(folder)) ? error->text + strlen(folder) + 1 : error->text;
}
