/* formula.h - what a kernel computes, as one line of comment. */
#ifndef MTC_CODEGEN_FORMULA_H
#define MTC_CODEGEN_FORMULA_H

#include "codegen/names.h"

/* "h = relu(z + fc1.bias)" for output o of a group. */
const char *formula(const Roots *roots, Arena *arena, const Node *group, int o);
/* "fc1.mm", "d(fc1.mm)": a path as a reader of the model knows it. */
const char *formula_name(const Roots *roots, Arena *arena, const char *path);
/* "digits.mt:11", the line of the user's file, without folders. */
const char *model_line(Arena *arena, const Span *span);

#endif
