/* step_driver.h - what generated.c hands to a program that runs one step of an emitted one. */
#ifndef MTC_TESTS_STEP_DRIVER_H
#define MTC_TESTS_STEP_DRIVER_H

#include "runtime/mtrt.h"

enum { MOST_FIELDS = 16 };

/* Standard input: this, then the blocks one after another; sizes in bytes.
 * Standard output: the gradients, `params` bytes of them, the new states, then the outputs. */
typedef struct StepCall {
  int64_t program, real_size, rows, params, states, n_fields, field[MOST_FIELDS];
  MtScalars scalars;
} StepCall;

#endif
