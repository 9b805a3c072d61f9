/* syntax_tree.h - a syntax tree as one line of text, for tests to compare. */
#ifndef MTC_TESTS_SYNTAX_TREE_H
#define MTC_TESTS_SYNTAX_TREE_H

#include "frontend/syntax.h"

void print_expr(Text *out, const Expr *x);
void print_statement(Text *out, const Syntax *s);
void print_file(Text *out, const File *file); /* one statement a line */

#endif
