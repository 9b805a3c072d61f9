/* mtrt_attention.h - what generated C programs call for attention.
 *
 * Of `heads` independent heads, each q [rows, width] against k and v [columns,
 * width], all contiguous: o = softmax(scale q k') v.  Under MT_CAUSAL row i sees
 * columns 0 to i.  lse is the logarithm of each row's sum of exp(scores), g the
 * adjoint of o, `along` the sum of g o over the features; these two and lse are
 * real, the others too or, of type MT_BF16, bf16: double where real is double.  width is 128 at most.
 */
#ifndef MTRT_ATTENTION_H
#define MTRT_ATTENTION_H

#include "mtrt.h"

typedef enum MtMask { MT_FULL, MT_CAUSAL } MtMask;

void mt_attention(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                  const void *q, const void *k, const void *v, void *o);
void mt_attention_lse(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                      const void *q, const void *k, void *lse);
void mt_attention_dq(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                     const void *q, const void *k, const void *v, const void *lse, const void *g, const void *along, void *dq);
void mt_attention_dkv(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                      const void *q, const void *k, const void *v, const void *lse, const void *g, const void *along, void *dk,
                      void *dv);

#endif
