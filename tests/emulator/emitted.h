/* emitted.h - what an emitted program includes, and the emulator in front of it: to be compiled once, before many. */
#include "tests/emulator/emulator.h"
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"
#include "mtrt_attention.cuh"
