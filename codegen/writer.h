/* writer.h - the text of a kernel, as far as both targets share it. */
#ifndef MTC_CODEGEN_WRITER_H
#define MTC_CODEGEN_WRITER_H

#include "codegen/expression.h"
#include "codegen/kernel.h"
#include "codegen/names.h"

enum { LONGEST_LINE = 110 };

/* Printing state of one kernel.  `canonical`: numbers for dims and v1, p1 for
 * names, so that equal text means an equal kernel. */
typedef struct Writer {
  const Program *program;
  const Roots *roots;
  Names *globals;
  Kernel *k;
  Arena *arena;
  Text *out;
  int indent;
  bool canonical;
  bool cuda;
  const char *name;      /* of the kernel */
  Names *names;          /* of its parameters and variables */
  const char *row_at;    /* subscript of kept values: "i" */
  const char *column_at; /* subscript of variables that each column has one of; NULL: plain variables */
  const char *store_if;  /* the thread that stores what a section made; NULL: all */
  int block_threads;     /* CUDA */
  bool flat;             /* passes share one block: no name is declared twice */
  int pass;              /* being printed; 0: a section */
} Writer;

/* writer.c */
void writer_begin(Writer *w); /* names for parameters; values forget theirs */
void write_line(Writer *w, const char *format, ...) PRINTF_LIKE(2, 3);
/* Write elsewhere from now on, `deeper` steps further in; returns where it went before. */
Text *writer_divert(Writer *w, Text *to, int deeper);
/* `head` and then `body` (text of whole lines, indented one step deeper): braces when
 * that is more than one statement.  Frees the body. */
void write_block(Writer *w, const char *head, Text *body);
void write_if(Writer *w, const char *condition, Text *body); /* on one line when it fits */
/* "real *restrict h, ..., int64_t rows) {", behind `before` and the kernel's name. */
void write_signature(Writer *w, const char *before);

/* statements.c: for one inner element of a pass, for one outer element of a section. */
void write_pass(Writer *w, int pass);
bool pass_is_empty(const Kernel *k, int pass);
void write_section(Writer *w, int section);
bool section_is_empty(const Kernel *k, int section);
Expr write_operand(Writer *w, Value *v); /* v's text, after the lines it needs */
/* The n-th reduction of a pass, or NULL; its accumulator's first value. */
Value *pass_reduction(const Kernel *k, int pass, int n);
const char *reduction_start(const Value *v);
bool reduces_position(const Value *v); /* argmax, argmin: two accumulators */
const char *guard_text(Writer *w, const Guard *guard); /* as a condition; NULL: it always holds */
const char *value_name(Writer *w, Value *v);
const char *best_name(Writer *w, Value *v); /* the value that argmax found */

/* sizes.c */
Expr program_dim(const Program *program, const Roots *roots, const Dim *dim); /* roots NULL: the number */
Expr dim_text(const Writer *w, const Dim *dim);                               /* at capacity */
Expr extent_text(Writer *w, const Loop *loop);                                /* as many as there are: "rows * H" */
Expr axes_text(Writer *w, const Type *type, int from, int to);                /* the same of axes [from, to) */
Expr size_text(Writer *w, const Loop *loop);                                  /* at capacity */
Expr index_expr(Writer *w, const Index *x, const Type *type);                 /* an element of an array of `type` */
const char *index_text(Writer *w, const Index *index, const Type *type);
/* The run-time condition of axes that count rows but are not first in their loop; NULL: none. */
const char *rows_condition(Writer *w, const Loop *loop);

#endif
