/* test_tree.c - the shape of the source tree, and the tree that `install` makes. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

/* Which folder may include which: everything not listed here is refused. */
static const struct { const char *folder, *allowed; } layers[] = {
    {"ir", "ir"}, {"frontend", "frontend|ir"}, {"passes", "passes|ir"}, {"codegen", "codegen|ir"}, {"runtime", "runtime"},
};

START_TEST(folders_include_only_what_they_may) {
  const char *folder = layers[_i].folder;
  Shell found = shell("grep -nE '^ *# *include \"[a-z]+/' %s/*.[chly]* %s/*.cu* 2>/dev/null | grep -vE '#include \"(%s)/'",
                      folder, folder, layers[_i].allowed);
  ck_assert_msg(found.status == 1, "%s/ includes from another layer:\n%s", folder, found.output);
  free(found.output);
}
END_TEST

START_TEST(one_public_header_a_folder) {
  Shell found = shell("grep -nE '#include \"(frontend|passes|codegen)/' mtc.c tests/*.c | "
                      "grep -vE '\"(frontend/frontend|frontend/syntax|passes/passes|codegen/codegen).h\"' | "
                      "grep -v 'tests/test_fuse.c:.*passes/fuse.h'"); /* which has its figures looked at */
  ck_assert_msg(found.status == 1, "a private header is included from outside:\n%s", found.output);
  free(found.output);
}
END_TEST

/* `cmake --install` into an empty prefix; then a model is compiled, built by
 * pkg-config and by find_package(mtc), and trained for an epoch. */
START_TEST(installed_tree_builds_a_model) {
  const char *folder = scratch_folder();
  free(shell_ok("cmake --install '" BUILD_DIR "' --prefix %s/prefix", folder));
  free(shell_ok("cd %s && prefix/bin/mtc " SOURCE_DIR "/samples/digits.mt -o digits.c && "
                "cc -O1 -fopenmp digits.c $(PKG_CONFIG_PATH=prefix/lib/pkgconfig pkg-config --cflags --libs mtc) -o digits && "
                "./digits --epochs 1 --quiet --data-dir " SOURCE_DIR "/samples", folder));
  free(shell_ok("mkdir %s/project && cd %s/project && printf '%%s\\n' "
                "'cmake_minimum_required(VERSION 3.22)' 'project(p C)' 'find_package(mtc REQUIRED)' "
                "'mtc_add_trainer(regression " SOURCE_DIR "/samples/regression.mt)' >CMakeLists.txt && "
                "cmake -B build -DCMAKE_PREFIX_PATH=%s/prefix && cmake --build build && "
                "./build/regression --epochs 1 --quiet --data-dir " SOURCE_DIR "/samples", folder, folder, folder));
}
END_TEST

Suite *tree_suite(void) {
  Suite *suite = suite_create("tree");
  TCase *layout = tcase_create("layers");
  tcase_add_loop_test(layout, folders_include_only_what_they_may, 0, sizeof layers / sizeof layers[0]);
  tcase_add_test(layout, one_public_header_a_folder);
  suite_add_tcase(suite, layout);
  TCase *install = tcase_create("install");
  tcase_set_timeout(install, 300);
  tcase_add_test(install, installed_tree_builds_a_model);
  suite_add_tcase(suite, install);
  return suite;
}
