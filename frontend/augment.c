/* augment.c - augment(flip, crop(4)): pictures moved at random, each row of a batch by itself.
 *
 * It is said of a data set and acts in its training alone.  There a field of
 * pictures is read through it: each pixel of the result is fetched from where
 * it stood before, so that all steps together are one read by index.  The
 * steps are followed back from the last to the first; what a crop brings in
 * from beyond the edge is zero.  A draw belongs to a row of the batch, and
 * moves all its pictures alike.
 */
#include <string.h>

#include "frontend/lower.h"

/* ---- what is written ---- */

static const struct {
  const char *word;
  bool moves; /* takes a number: how many pixels each way at most */
} words[] = {{"flip", false}, {"crop", true}, {"shift", true}};
enum { N_WORDS = sizeof words / sizeof words[0] };

static int word_of(const Expr *e) {
  const Expr *name = e->kind == EXPR_CALL ? e->args[0] : e;
  for (int i = 0; i < N_WORDS && name->kind == EXPR_NAME; i++)
    if (!strcmp(words[i].word, name->name)) return i;
  return -1;
}

static void unknown_step(Lower *l, const Expr *e, const Data *data) {
  const char *names[N_WORDS + 64], *written = e->kind == EXPR_CALL ? e->args[0]->name : e->name;
  int n = 0;
  for (int i = 0; i < N_WORDS; i++) names[n++] = words[i].word;
  for (int i = 0; i < data->n_fields && i < 64; i++) names[n++] = data->fields[i].name;
  const char *guess = written ? nearest(written, names, n) : NULL;
  report(l->d, E0404, e->at, "augment knows flip, crop(n) and shift(n)%s%s", written ? ", not " : "", written ? written : "");
  if (guess) report_help(l->d, "did you mean %s?", guess);
}

static bool take_step(Lower *l, const Expr *e, const Data *data, Augment *out) {
  int word = word_of(e);
  if (word < 0) return unknown_step(l, e, data), false;
  AugmentStep step = {.word = words[word].word, .at = e->at};
  bool given = e->kind == EXPR_CALL && e->n_args == 2 && !e->keys[1];
  if (!words[word].moves && e->kind == EXPR_CALL)
    return report(l->d, E0404, e->at, "flip takes nothing: one picture in two is turned, left for right"), false;
  if (words[word].moves && !given) {
    report(l->d, E0404, e->at, "%s needs one number: by how many pixels at most", step.word);
    report_help(l->d, "write %s(4)", step.word);
    return false;
  }
  if (given && !whole_number(l, e->args[1], &step.pixels)) return false;
  if (given && step.pixels < 1)
    return report(l->d, E0404, e->args[1]->at, "%s moves a picture by 1 pixel or more", step.word), false;
  LIST_PUSH(l->arena, out->steps, out->n, step);
  return true;
}

/* ---- which fields ---- */

static bool is_picture(const Field *field) { return field->type.rank >= 3; }

static int field_named(const Data *data, const Expr *e) {
  for (int i = 0; i < data->n_fields && e->kind == EXPR_NAME; i++)
    if (!strcmp(data->fields[i].name, e->name)) return i;
  return -1;
}

static bool no_picture(Lower *l, const Span *at, const Data *data, const Field *field) {
  if (field) report(l->d, E0404, at, "%s holds no pictures: they have a height and a width behind the batch", field->name);
  else report(l->d, E0404, at, "%s has no field of pictures: they have a height and a width behind the batch", data->name);
  report_help(l->d, "a picture is [%s, H, W], or [%s, C, H, W] in several colours", data->rows->name, data->rows->name);
  return false;
}

/* The one there is, where none is named. */
static bool find_pictures(Lower *l, const Span *at, const Data *data, Augment *out) {
  const Field *found = NULL;
  for (int i = 0; i < data->n_fields; i++) {
    const Field *field = &data->fields[i];
    if (!is_picture(field)) continue;
    if (found) {
      report(l->d, E0404, at, "both %s and %s could be pictures", found->name, field->name);
      report_help(l->d, "name what is meant: augment(%s, flip), or augment(%s, %s, flip) to move both alike", found->name,
                  found->name, field->name);
      return false;
    }
    found = field;
    out->moved[i] = true;
  }
  return found || no_picture(l, at, data, NULL);
}

static bool same_size(Lower *l, const Span *at, const Data *data, const Augment *out) {
  const Field *first = NULL;
  for (int i = 0; i < data->n_fields; i++) {
    const Field *field = &data->fields[i];
    if (!out->moved[i]) continue;
    const Dim *d = &field->type.dim[field->type.rank - 2], *f = first ? &first->type.dim[first->type.rank - 2] : d;
    if (d[0].size != f[0].size || d[1].size != f[1].size)
      return report(l->d, E0404, at, "%s and %s are moved alike, and are pictures of two sizes", first->name, field->name), false;
    if (type_count(&field->type) > INT32_MAX)
      return report(l->d, E0404, at, "a batch of %s holds more than 2^31 numbers, which augment cannot count", field->name), false;
    first = field;
  }
  return true;
}

/* e: augment(...); NULL after a report. */
const Augment *augment_of(Lower *l, const Expr *e, const Data *data) {
  Augment *out = arena_alloc(l->arena, sizeof *out);
  bool named = false;
  out->moved = arena_alloc(l->arena, sizeof *out->moved * ((size_t)data->n_fields + 1));
  for (int i = 1; i < e->n_args; i++) {
    int field = word_of(e->args[i]) < 0 ? field_named(data, e->args[i]) : -1;
    if (e->keys[i]) return report(l->d, E0404, e->key_at[i], "augment has no option %s", e->keys[i]), NULL;
    if (field < 0 && !take_step(l, e->args[i], data, out)) return NULL;
    if (field < 0) continue;
    if (!is_picture(&data->fields[field])) return no_picture(l, e->args[i]->at, data, &data->fields[field]), NULL;
    named = out->moved[field] = true;
  }
  if (!out->n) {
    report(l->d, E0404, e->at, "augment does nothing here: how are the pictures to be moved?");
    report_help(l->d, "write augment(flip), augment(crop(4)) or augment(flip, crop(4))");
    return NULL;
  }
  if (!named && !find_pictures(l, e->at, data, out)) return NULL;
  return same_size(l, e->at, data, out) ? out : NULL;
}

/* ---- what it means ---- */

/* Where a pixel of the result comes from. */
typedef struct Origin {
  Node *y, *x;
  Node *inside; /* NULL: always in the picture */
} Origin;

typedef struct Picture {
  Node *field;
  Dim h, w;
  Type shape; /* of the field, as indices */
  const char *site; /* of the draws */
  Builder b;
} Picture;

/* The same numbers for all pixels of a row, from one draw each. */
static Node *drawn(Picture *p, const char *what) {
  Arena *arena = p->b.graph->program->arena;
  Type alone = p->shape;
  Attrs attrs = {.path = arena_print(arena, "%s.%s", p->site, what), .shape = type_shape(F32, 1, p->shape.dim)};
  for (int a = 1; a < alone.rank; a++) alone.dim[a] = dim_literal(1);
  return b_reshape(&p->b, node_new(p->b.graph, OP_random, NULL, 0, &attrs, attrs.path, p->b.span), &alone);
}

/* One of -n ... n, exactly: a draw is a multiple of 2^-24. */
static Node *offset(Picture *p, const char *what, int64_t n) {
  Node *word = b_cast(&p->b, b_scalar(&p->b, OP_mul, drawn(p, what), 1 << 24), I32);
  return b_scalar(&p->b, OP_sub, b_scalar(&p->b, OP_mod, word, (double)(2 * n + 1)), (double)n);
}

static Node *is_within(Picture *p, Node *at, Dim size) {
  return b_binary(&p->b, OP_and, b_scalar(&p->b, OP_ge, at, 0), b_scalar(&p->b, OP_lt, at, (double)size.size));
}

static void flip_back(Picture *p, Origin *o) {
  Node *turned = b_scalar(&p->b, OP_lt, drawn(p, "turned"), 0.5), *last = b_const(&p->b, I32, (double)p->w.size - 1);
  o->x = b_where(&p->b, turned, b_binary(&p->b, OP_sub, last, o->x), o->x);
}

static void move_back(Picture *p, int64_t pixels, Origin *o) {
  o->y = b_binary(&p->b, OP_add, o->y, offset(p, "down", pixels));
  o->x = b_binary(&p->b, OP_add, o->x, offset(p, "right", pixels));
  Node *inside = b_binary(&p->b, OP_and, is_within(p, o->y, p->h), is_within(p, o->x, p->w));
  o->inside = o->inside ? b_binary(&p->b, OP_and, o->inside, inside) : inside;
}

/* How many whole pictures lie before that of a pixel, each colour counted. */
static Node *picture_of(Picture *p) {
  Type planes = {.dtype = I32, .rank = 3, .dim = {p->shape.dim[0], p->h, p->w}};
  for (int a = 1; a < p->shape.rank - 2; a++)
    planes.dim[0] = (Dim){.size = planes.dim[0].size * p->shape.dim[a].size, .rows = planes.dim[0].rows};
  Node *plane = b_iota(&p->b, &planes, 0);
  return planes.rank == p->shape.rank ? plane : b_reshape(&p->b, plane, &p->shape);
}

static Node *fetched(Picture *p, const Origin *o) {
  Builder *b = &p->b;
  Type flat = {.dtype = p->field->type.dtype, .rank = 1, .dim = {{.size = type_count(&p->shape), .rows = p->shape.dim[0].rows}}};
  Node *y = o->inside ? b_clamp(b, o->y, 0, (double)p->h.size - 1) : o->y,
       *x = o->inside ? b_clamp(b, o->x, 0, (double)p->w.size - 1) : o->x;
  Node *row = b_binary(b, OP_add, b_scalar(b, OP_mul, picture_of(p), (double)p->h.size), y);
  Node *at = b_binary(b, OP_add, b_scalar(b, OP_mul, row, (double)p->w.size), x);
  Node *moved = b_binary(b, OP_gather, b_reshape(b, p->field, &flat), at);
  return o->inside ? b_where(b, o->inside, moved, b_const(b, flat.dtype, 0)) : moved;
}

/* x: a field of the batch, in its training. */
Node *augmented(Lower *l, const Augment *augment, const char *variable, Node *x) {
  Picture p = {.field = x, .h = x->type.dim[x->type.rank - 2], .w = x->type.dim[x->type.rank - 1], .shape = x->type};
  p.shape.dtype = I32;
  p.b = (Builder){l->graph, augment->steps[0].at, join(l, x->attrs.path, "augment")};
  Origin o = {b_iota(&p.b, &p.shape, x->type.rank - 2), b_iota(&p.b, &p.shape, x->type.rank - 1), NULL};
  for (int i = augment->n - 1; i >= 0; i--) {
    const AugmentStep *step = &augment->steps[i];
    p.site = arena_print(l->arena, "%s.%s%d", variable, step->word, i + 1);
    p.b.span = step->at;
    p.b.prefix = join(l, x->attrs.path, step->word);
    if (step->pixels) move_back(&p, step->pixels, &o);
    else flip_back(&p, &o);
  }
  p.b.prefix = join(l, x->attrs.path, "augmented");
  return fetched(&p, &o);
}
