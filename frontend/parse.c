/* parse.c - a source file to its syntax tree: the steps of parse.h, in order.
 *
 * What is wrong with the file as a whole (its size, NUL bytes) is said here.
 */
#include "frontend/parse.h"

#include <string.h>

/* The place of byte `offset`, for messages about bytes no token holds. */
static const Span *place_of(Parser *p, size_t offset) {
  Range at = {1, 1, 1, 2};
  for (size_t i = 0; i < offset; i++) {
    if (p->source->text[i] == '\n') at.line++, at.column = 0;
    at.column += ((unsigned char)p->source->text[i] & 0xC0) != 0x80;
  }
  at.end_line = at.line;
  at.end_column = at.column + 1;
  return span_of(p, at);
}

static bool readable(Parser *p) {
  const Source *source = p->source;
  if (source->length > MAX_FILE) {
    report(p->d, WRONG_SIZE, place_of(p, 0), "this file has %zu bytes; at most %d are read", source->length, MAX_FILE);
    return false;
  }
  const char *nul = memchr(source->text, 0, source->length);
  if (!nul) return true;
  report(p->d, WRONG_CHARACTER, place_of(p, (size_t)(nul - source->text)), "a NUL byte: this is not a text file");
  return false;
}

File *parse(const Source *source, Arena *arena, Diagnostics *d) {
  File *file = arena_alloc(arena, sizeof *file);
  file->source = source;
  Parser p = {.source = source, .arena = arena, .d = d, .file = file, .recover_block = -1};
  if (!readable(&p)) return file;
  TokenList raw = {0};
  lex_source(&p, &raw);
  lay_out(&p, &raw);
  parse_tokens(&p);
  check_places(&p, file);
  file->n_tokens = p.tokens.n;
  file->tokens = p.tokens.items;
  return file;
}
