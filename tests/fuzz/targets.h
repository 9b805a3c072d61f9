/* targets.h - readers of outside bytes, as functions of bytes.
 *
 * Each target reads an input as a file's contents and checks what must hold
 * whatever the bytes are: no crash, a message when and only when the input is
 * refused, and what was read survives being written and read again.  Broken
 * promises abort, so that a fuzzer and the test suite see them alike.
 */
#ifndef MTC_TESTS_FUZZ_TARGETS_H
#define MTC_TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

#define TARGET(name) int fuzz_##name(const uint8_t *data, size_t size);
#include "targets.def"
#undef TARGET

#endif
