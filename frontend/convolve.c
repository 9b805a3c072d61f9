/* convolve.c - convolutions, as a product of the weights with windows.
 *
 * x[.., c, h, w] becomes columns [c * kh * kw, .. * oh * ow]: a view until the
 * product reads it, which is one large matrix for the whole batch however
 * small an image is.  The batch stands behind the channels inside, so that
 * rows of pixels stay together, forwards and backwards, and no transpose ever
 * touches the innermost axis.  A group is a leading axis of the product; where
 * every channel is a group of its own the products are so thin that windows
 * times weights, summed, is the better kernel.
 */
#include <string.h>

#include "frontend/slide.h"

typedef struct Convolution {
  Lower *l;
  Call *call;
  Builder b;
  const char *name;
  int n; /* spatial axes */
  bool transposed;
  Node *x, *weight, *bias;
  int64_t groups, in, out; /* channels */
  Slide slides[MAX_SPATIAL];
} Convolution;

/* ---- arguments ---- */

static Node *argument(Convolution *c, int i) {
  if (i >= c->call->n) return NULL;
  return as_tensor(c->l, c->call->value[i], F32, c->call->expr[i] ? c->call->expr[i] : c->call->e);
}

static bool check_weight(Convolution *c) {
  const Type *w = &c->weight->type;
  const Span *at = place(c->l, c->call->e->at);
  const char *layout = c->transposed ? c->n == 1 ? "[in, out / groups, w]" : "[in, out / groups, h, w]"
                       : c->n == 1   ? "[out, in / groups, w]"
                                     : "[out, in / groups, h, w]";
  if (w->rank != c->n + 2)
    return report(c->l->d, E0204, at, "%s: the weights are %s, they are to be %s", c->name,
                  describe(c->l, &c->call->value[1]), layout),
           false;
  if (w->dtype != c->x->type.dtype)
    return report(c->l->d, E0208, at, "%s of %s with weights of %s", c->name, dtype_name(c->x->type.dtype),
                  dtype_name(w->dtype)),
           false;
  if (type_rows(w)) return report(c->l->d, E0211, at, "%s: the batch is no axis of weights", c->name), false;
  Dim channels = c->x->type.dim[c->x->type.rank - c->n - 1];
  int64_t asked = w->dim[c->transposed ? 0 : 1].size * (c->transposed ? 1 : c->groups);
  c->in = channels.size;
  c->out = w->dim[c->transposed ? 1 : 0].size * (c->transposed ? c->groups : 1);
  if (c->in % c->groups || c->out % c->groups) {
    report(c->l->d, E0213, at, "%s: groups: %lld must divide the channels, %lld in and %lld out", c->name,
           (long long)c->groups, (long long)c->in, (long long)c->out);
    return false;
  }
  if (asked == c->in) return true;
  report(c->l->d, E0203, at, "%s: x has %lld channels, the weights are made for %lld", c->name, (long long)c->in,
         (long long)asked);
  report_help(c->l->d, "channels stand before the last %s of x; weights are %s", c->n == 1 ? "axis" : "two axes", layout);
  return false;
}

static bool check_bias(Convolution *c) {
  const Type *t = c->bias ? &c->bias->type : NULL;
  if (!t || (t->rank == 1 && t->dim[0].size == c->out && !t->dim[0].rows && t->dtype == c->x->type.dtype)) return true;
  report(c->l->d, E0201, place(c->l, c->call->e->at), "%s: the bias is %s, it is to be one number for each of %lld channels",
         c->name, describe(c->l, &c->call->value[2]), (long long)c->out);
  return false;
}

/* padding: "same" gives as many positions as elements, the odd zero behind; "valid" is none. */
static bool read_padding(Convolution *c, int64_t *before, int64_t *after) {
  const Expr *e = c->transposed ? NULL : take_key(c->call, "padding");
  Value v = e ? eval(c->l, e) : poison();
  if (v.kind != TEXT) {
    if (!slide_numbers(c->l, c->call, "padding", c->n, 0, before)) return false;
    return memcpy(after, before, sizeof *after * (size_t)c->n), true;
  }
  bool same = !strcmp(v.name, "same");
  if (!same && strcmp(v.name, "valid"))
    return report(c->l->d, E0106, place(c->l, e->at), "padding is a number, a list, \"same\" or \"valid\"; this is \"%s\"",
                  v.name),
           false;
  for (int i = 0; i < c->n && same; i++) {
    const Slide *s = &c->slides[i];
    int64_t all = s->dilation * (s->kernel - 1);
    if (s->stride != 1)
      return report(c->l->d, E0213, place(c->l, e->at), "padding: \"same\" has no meaning with a stride of %lld",
                    (long long)s->stride),
             false;
    before[i] = all / 2;
    after[i] = all - before[i];
  }
  return true;
}

/* The slides of a convolution go over x, those of a transposed one over its result. */
static bool read_slides(Convolution *c) {
  int64_t stride[MAX_SPATIAL] = {1, 1, 1}, dilation[MAX_SPATIAL] = {1, 1, 1}, before[MAX_SPATIAL] = {0},
          after[MAX_SPATIAL] = {0}, more[MAX_SPATIAL] = {0};
  if (!slide_numbers(c->l, c->call, "stride", c->n, 1, stride) ||
      !slide_numbers(c->l, c->call, "dilation", c->n, 1, dilation))
    return false;
  for (int i = 0; i < c->n; i++)
    c->slides[i] = (Slide){.size = c->x->type.dim[c->x->type.rank - c->n + i].size,
                           .kernel = c->weight->type.dim[2 + i].size,
                           .stride = stride[i],
                           .dilation = dilation[i]};
  if (!read_padding(c, before, after)) return false;
  if (c->transposed && !slide_numbers(c->l, c->call, "output_padding", c->n, 0, more)) return false;
  for (int i = 0; i < c->n; i++) {
    Slide *s = &c->slides[i];
    int64_t reach = s->dilation * (s->kernel - 1) + 1;
    s->before = before[i];
    if (s->kernel < 1)
      return report(c->l->d, E0213, place(c->l, c->call->e->at), "%s: a window without elements", c->name), false;
    if (!c->transposed) {
      if (!slide_fits(c->l, c->call, s, after[i])) return false;
      s->positions = (s->size + before[i] + after[i] - reach) / s->stride + 1;
      continue;
    }
    s->positions = s->size;
    s->size = (s->positions - 1) * s->stride - 2 * s->before + reach + more[i];
    if (more[i] >= s->stride && more[i] >= s->dilation)
      return report(c->l->d, E0213, place(c->l, c->call->e->at),
                    "output_padding: %lld must be less than the stride, %lld, or the dilation, %lld", (long long)more[i],
                    (long long)s->stride, (long long)s->dilation),
             false;
    if (s->size < 1)
      return report(c->l->d, E0213, place(c->l, c->call->e->at), "%s: padding %lld leaves nothing of the result", c->name,
                    (long long)s->before),
             false;
  }
  return true;
}

static bool start(Convolution *c) {
  c->groups = 1;
  if (!(c->x = argument(c, 0)) || !(c->weight = argument(c, 1))) return false;
  if (c->call->n > 2 && !(c->bias = argument(c, 2))) return false;
  if (!slide_input(c->l, c->call, c->n, c->x) || !slide_numbers(c->l, c->call, "groups", 1, 1, &c->groups)) return false;
  if (!check_weight(c) || !check_bias(c) || !read_slides(c)) return false;
  c->b = builders(c->l, c->call->e, c->name);
  return true;
}

/* ---- shapes on the way ---- */

static int before_channels(const Convolution *c) { return c->x->type.rank - c->n - 1; }

/* [G, rows, columns], without G when there is one group. */
static Type matrix_type(const Convolution *c, int64_t rows, Dim columns) {
  Type t = {.dtype = c->x->type.dtype};
  if (c->groups > 1) t.dim[t.rank++] = dim_literal(c->groups);
  t.dim[t.rank++] = dim_literal(rows);
  t.dim[t.rank++] = columns;
  return t;
}

/* [.., c, rest] to [c, rest of `inner` axes, .., last n]: the axes before the channels move behind the inner ones. */
static Node *channels_first(Convolution *c, Node *x, int inner) {
  int lead = before_channels(c), axes[MAX_RANK], at = 0;
  for (int i = 0; i <= inner; i++) axes[at++] = lead + i;
  for (int i = 0; i < lead; i++) axes[at++] = i;
  for (int i = lead + inner + 1; i < x->type.rank; i++) axes[at++] = i;
  return b_transpose(&c->b, x, axes);
}

/* A bias for channels with `behind` axes after them. */
static Node *add_bias(Convolution *c, Node *y, int behind) {
  if (!c->bias) return y;
  Type column = {.dtype = c->bias->type.dtype, .rank = behind + 1, .dim = {c->bias->type.dim[0]}};
  for (int i = 0; i < behind; i++) column.dim[1 + i] = dim_literal(1);
  return b_binary(&c->b, OP_add, y, b_reshape(&c->b, c->bias, &column));
}

/* [o, .., h, w] to [.., o, h, w]; the bias before, for its gradient's sum runs along rows there. */
static Node *finish(Convolution *c, Node *y) {
  int lead = before_channels(c), axes[MAX_RANK];
  for (int i = 0; i < y->type.rank; i++) axes[i] = i < lead ? i + 1 : i == lead ? 0 : i;
  return b_transpose(&c->b, add_bias(c, y, y->type.rank - 1), axes);
}

static int64_t places(const Convolution *c) {
  int64_t all = 1;
  for (int i = 0; i < c->n; i++) all *= c->slides[i].kernel;
  return all;
}

/* ---- the four ways ---- */

/* weights[g, o, c kh kw] @ columns[g, c kh kw, .. oh ow] */
static Node *by_product(Convolution *c) {
  Node *columns = channels_first(c, slide_windows(&c->b, c->x, c->n, c->slides), c->n);
  int64_t inner = c->in / c->groups * places(c);
  Type image = columns->type, flat, weights;
  flat = matrix_type(c, inner, slide_joined(c->l, &image, c->n + 1, image.rank));
  weights = matrix_type(c, c->out / c->groups, dim_literal(inner));
  Node *y = b_matmul(&c->b, b_reshape(&c->b, c->weight, &weights), b_reshape(&c->b, columns, &flat), false, false);
  Type out = {.dtype = image.dtype, .rank = 1, .dim = {c->weight->type.dim[0]}};
  for (int i = c->n + 1; i < image.rank; i++) out.dim[out.rank++] = image.dim[i];
  return finish(c, b_reshape(&c->b, y, &out));
}

/* Each channel by itself: sum of windows[.., c, 1, kh, kw, oh, ow] * weights[c, m, kh, kw, 1, 1]. */
static Node *by_channel(Convolution *c) {
  int lead = before_channels(c), axes[MAX_SPATIAL];
  int64_t each = c->out / c->groups;
  Node *windows = slide_windows(&c->b, c->x, c->n, c->slides);
  Type spread = windows->type, weights = {.dtype = spread.dtype}, out;
  int m = each > 1; /* with one result a channel there is no axis for them */
  if (m) {
    memmove(&spread.dim[lead + 2], &spread.dim[lead + 1], sizeof spread.dim[0] * (size_t)(spread.rank - lead - 1));
    spread.dim[lead + 1] = dim_literal(1);
    spread.rank++;
  }
  weights.dim[weights.rank++] = windows->type.dim[lead];
  if (m) weights.dim[weights.rank++] = dim_literal(each);
  for (int i = 0; i < c->n; i++) weights.dim[weights.rank++] = dim_literal(c->slides[i].kernel);
  for (int i = 0; i < c->n; i++) weights.dim[weights.rank++] = dim_literal(1);
  for (int i = 0; i < c->n; i++) axes[i] = lead + 1 + m + i;
  Node *terms =
      b_binary(&c->b, OP_mul, b_reshape(&c->b, windows, &spread), b_reshape(&c->b, c->weight, &weights));
  Node *y = b_reduce(&c->b, OP_sum, terms, c->n, axes, false);
  out = c->x->type;
  out.dim[lead] = c->weight->type.dim[0];
  for (int i = 0; i < c->n; i++) out.dim[lead + 1 + i] = slide_dim(c->x->type.dim[lead + 1 + i], &c->slides[i]);
  return add_bias(c, b_reshape(&c->b, y, &out), c->n);
}

/* Every element of x times the weights, laid down where its window stands: the convolution's own backward. */
static Node *by_fold(Convolution *c) {
  Node *x = channels_first(c, c->x, 0);
  int64_t each = c->out / c->groups;
  Type image = x->type, flat = matrix_type(c, c->in / c->groups, slide_joined(c->l, &image, 1, image.rank)),
       weights = matrix_type(c, c->in / c->groups, dim_literal(each * places(c)));
  Node *y = b_matmul(&c->b, b_reshape(&c->b, c->weight, &weights), b_reshape(&c->b, x, &flat), true, false);
  Type windows = {.dtype = image.dtype, .rank = 1, .dim = {c->groups == 1 ? c->weight->type.dim[1] : dim_literal(c->out)}};
  for (int i = 0; i < c->n; i++) windows.dim[windows.rank++] = dim_literal(c->slides[i].kernel);
  for (int i = 1; i < image.rank; i++) windows.dim[windows.rank++] = image.dim[i];
  return finish(c, slide_fold(&c->b, b_reshape(&c->b, y, &windows), 1, c->n, c->slides));
}

Value convolution_call(Lower *l, Call *call, const Builtin *self) {
  Convolution c = {.l = l, .call = call, .name = self->name, .n = self->name[strlen(self->name) - 2] - '0'};
  c.transposed = strstr(self->name, "transpose") != NULL;
  if (!right_count(l, call, self) || !start(&c)) return poison();
  bool apart = c.groups == c.in && c.groups > 1 && c.x->type.rank + c.n + (c.out > c.groups) <= MAX_RANK;
  return tensor_value(c.transposed ? by_fold(&c) : apart ? by_channel(&c) : by_product(&c));
}
