/* ops_page.h - docs/ops.md, made of the tables and the comments beside them. */
#ifndef MTC_TESTS_OPS_PAGE_H
#define MTC_TESTS_OPS_PAGE_H

#include "ir/ir.h"

/* Every builtin, every function and module of nn.mt, every op.  The test fails, naming the place, where one of them has
 * no description or a description is of nothing. */
void ops_page(Text *out);

#endif
