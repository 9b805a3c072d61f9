/* generated.h - generated programs, built and called as the evaluator is.
 *
 * Planned programs are added to a set, compiled together into a shared
 * object, and their steps called on values given by leaf path: what comes back
 * are tensors like evaluate's, so that the two are compared element by element.
 * The runtime the steps call is the one this test program is linked with.
 */
#ifndef MTC_TESTS_GENERATED_H
#define MTC_TESTS_GENERATED_H

#include "ir/ir.h"
#include "runtime/mtrt.h"

typedef struct Generated Generated;
Generated *generated_new(void);
void generated_free(Generated *set);
void generated_add(Generated *set, const Program *planned);       /* the i-th to be added is number i */
void generated_build(Generated *set, const char *flags);          /* "-O1 -march=native" */
const MtProgram *generated_program(const Generated *set, int i);

/* The same for CUDA under the emulator: add, build, call.  Programs run outside of this one. */
void generated_add_cuda(Generated *set, const Program *planned);
void generated_build_emulated(Generated *set);

/* Call `step`, made of `graph`, with real = float (4) or double (8); outputs as
 * evaluate gives them, values packed at the rows there are; what the bindings
 * lack is zero.  Memory that a step must not read holds NaN or huge numbers. */
void generated_call(const Program *program, const MtProgram *emitted, const Graph *graph, MtStep step, int real_size,
                    const Binding *bindings, int n_bindings, const EvaluateOptions *options, Tensor *outputs);

/* The training step of program `i`, `times` times under different schedules.  NULL, or what went wrong (malloc'd). */
char *generated_call_emulated(const Generated *set, int i, const Program *program, int real_size, int times,
                              const Binding *bindings, int n_bindings, const EvaluateOptions *options, Tensor *outputs);

#endif
