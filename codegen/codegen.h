/* codegen.h - IR to text: what the driver calls. */
#ifndef MTC_CODEGEN_CODEGEN_H
#define MTC_CODEGEN_CODEGEN_H

#include "ir/ir.h"

/* A planned program as the text of a C or a CUDA source file. */
void emit_c(Text *out, const Program *program, Arena *arena);
void emit_cuda(Text *out, const Program *program, Arena *arena);
/* For a GPU that so many threads keep busy: for 0, small kernels are written as large ones are. */
void emit_cuda_for(Text *out, const Program *program, Arena *arena, int64_t busy_threads);

/* What a training step of it costs, a line a kernel, most expensive first. */
void print_cost(Text *out, const Program *program, Arena *arena, bool cuda);

#endif
