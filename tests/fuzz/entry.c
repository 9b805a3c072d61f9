/* entry.c - one target as libFuzzer calls it: built with -DFUZZ_TARGET=fuzz_csv and so on. */
#include "tests/fuzz/targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) { return FUZZ_TARGET(data, size); }
