/* text.h - what the printer, the reader and the attribute table share.
 *
 * Internal to ir/.  The grammar itself is described at the head of text.c.
 */
#ifndef MTC_IR_TEXT_H
#define MTC_IR_TEXT_H

#include <setjmp.h>

#include "ir/ir.h"
#include "ir/map.h"

/* ---- text.c ------------------------------------------------------------- */

typedef struct Writer {
  Text *out;
  const Program *program; /* NULL when one node is printed on its own */
} Writer;

void write_name(Writer *w, const char *name);     /* bare where it can be, else quoted */
void write_symbol(Writer *w, const Symbol *symbol);
void write_dims(Writer *w, const Type *type);     /* [B, 3*D=384] */

/* The words of small enumerations, in order of their values. */
extern const char *const init_words[], *const data_words[], *const role_words[], *const combine_words[],
    *const unit_words[], *const precision_words[], *const home_words[];

/* ---- read.c, read_words.c, read_graph.c --------------------------------- */

static const int64_t MAX_ELEMENTS = (int64_t)1 << 48; /* of a shape, of a block */
enum { MAX_READ_DEPTH = 32 }; /* of graphs in graphs, statements in statements */

/* Where a node or a graph was read. */
typedef struct Place {
  const void *thing;
  const char *at, *line_start;
  int line;
} Place;

typedef struct Reader {
  const Source *source;
  const char *at, *end;  /* what is left of the text */
  const char *line_start;
  int line, depth;
  Arena *arena;
  Diagnostics *diagnostics;
  Program *program;
  int n_graphs;
  Graph **graphs;        /* read so far, bodies not included */
  Map *symbols;          /* by text as printed: "B", "H'2", "i=64" */
  Map *params, *states, *sources; /* by name: indices into the program */
  int n_sources;
  const Source **source_list; /* of spans, by number in `sources` */
  Map *names[MAX_READ_DEPTH]; /* nodes of the graph read at each depth: their positions */
  int n_locals;
  Symbol **locals;       /* what values of `symbols` past the program's own stand for */
  int n_places;
  Place *places;
  jmp_buf escape;        /* where the first error goes, once reported */
} Reader;

void read_fail(Reader *r, ErrorCode code, const char *at, const char *format, ...) NORETURN PRINTF_LIKE(4, 5);
void read_note_place(Reader *r, const void *thing, const char *at);
void read_spaces(Reader *r);
char read_peek(Reader *r); /* the next character, NUL at the end */
void read_line_end(Reader *r); /* and the blank lines behind */
bool read_accept(Reader *r, const char *word); /* a punctuation mark or a whole word */
void read_expect(Reader *r, const char *word);
const char *read_name(Reader *r, const char *what);
const char *read_quoted(Reader *r);
int64_t read_integer(Reader *r, int64_t low, int64_t high);
double read_number(Reader *r);
int read_word(Reader *r, const char *const *words, int count, const char *what);
const Symbol *read_symbol(Reader *r);
const char *read_symbol_name(Reader *r);
void read_dims(Reader *r, Type *type);
Type read_type(Reader *r);
const Span *read_span(Reader *r); /* NULL when there is none */
Node *read_reference(Reader *r, const Graph *graph, Map *names);
Graph *read_graph(Reader *r, Graph *parent); /* from its name to its closing brace */

/* ---- attrs.c ------------------------------------------------------------ */

void attrs_write_main(Writer *w, const Node *node); /* a leaf's first attribute, printed where operands would be */
void attrs_write(Writer *w, const Node *node);      /* {tb axes=[0, 1]}, or nothing */
void attrs_read_main(Reader *r, Op op, Attrs *attrs);
void attrs_read(Reader *r, Op op, Attrs *attrs, const Type *type);

#endif
