/* optimizer_loops.h - the loops of optimizer.c for one type; included with
 * REAL and NAME(x) defined.  p: parameter, g: gradient, then the slots. */

/* torch.optim.SGD: decay goes into the gradient, the first buffer is the gradient itself. */
MT_CLONES static void NAME(sgd)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict buffer,
                                int64_t count) {
  const REAL scale = (REAL)r->scale, lr = (REAL)r->lr, momentum = (REAL)r->momentum, decay = (REAL)r->decay;
  const REAL keep = r->first ? 0 : momentum, add = r->first ? 1 : (REAL)r->undamped;
  if (momentum == 0) {
    for (int64_t i = 0; i < count; i++) p[i] -= lr * (g[i] * scale + decay * p[i]);
    return;
  }
  const REAL of_g = r->nesterov,
             of_buffer = r->nesterov ? momentum : 1; /* the step taken: g + momentum buffer, or the buffer */
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + decay * p[i];
    buffer[i] = keep * buffer[i] + add * d;
    p[i] -= lr * (of_g * d + of_buffer * buffer[i]);
  }
}

/* torch.optim.Adam and AdamW: root is the square root of the second bias
 * correction, step_size is lr over the first. */
MT_CLONES static void NAME(adam)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict m,
                                 REAL *restrict v, int64_t count) {
  const REAL scale = (REAL)r->scale, keep = (REAL)r->keep, l2 = (REAL)r->l2, eps = (REAL)r->eps;
  const REAL beta1 = (REAL)r->beta1, new1 = (REAL)r->new1, beta2 = (REAL)r->beta2, new2 = (REAL)r->new2;
  const REAL step_size = (REAL)r->step_size, root = (REAL)r->root;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + l2 * p[i];
    m[i] = beta1 * m[i] + new1 * d;
    v[i] = beta2 * v[i] + new2 * (d * d);
    p[i] = p[i] * keep - step_size * m[i] / (sqrt(v[i]) / root + eps);
  }
}

/* torch.optim.RMSprop: eps outside of the root. */
MT_CLONES static void NAME(rmsprop)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict v,
                                    REAL *restrict mean, REAL *restrict buffer, int64_t count) {
  const REAL scale = (REAL)r->scale, lr = (REAL)r->lr, l2 = (REAL)r->l2, eps = (REAL)r->eps;
  const REAL alpha = (REAL)r->beta2, rest = (REAL)r->new2, momentum = (REAL)r->momentum;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + l2 * p[i];
    v[i] = alpha * v[i] + rest * (d * d);
    if (r->centered) mean[i] = alpha * mean[i] + rest * d;
    d /= (r->centered ? sqrt(v[i] - mean[i] * mean[i]) : sqrt(v[i])) + eps;
    if (momentum != 0) d = buffer[i] = momentum * buffer[i] + d;
    p[i] -= lr * d;
  }
}

/* torch.optim.Adagrad; lr is that of this step. */
MT_CLONES static void NAME(adagrad)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict sum,
                                    int64_t count) {
  const REAL scale = (REAL)r->scale, lr = (REAL)r->lr, l2 = (REAL)r->l2, eps = (REAL)r->eps;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + l2 * p[i];
    sum[i] += d * d;
    p[i] -= lr * d / (sqrt(sum[i]) + eps);
  }
}

/* torch.optim.Adadelta. */
MT_CLONES static void NAME(adadelta)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict v,
                                     REAL *restrict u, int64_t count) {
  const REAL scale = (REAL)r->scale, lr = (REAL)r->lr, l2 = (REAL)r->l2, eps = (REAL)r->eps;
  const REAL rho = (REAL)r->beta2, rest = (REAL)r->new2;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + l2 * p[i];
    v[i] = rho * v[i] + rest * (d * d);
    d *= sqrt(u[i] + eps) / sqrt(v[i] + eps);
    u[i] = rho * u[i] + rest * (d * d);
    p[i] -= lr * d;
  }
}

/* torch.optim.Adamax; a NaN wins. */
MT_CLONES static void NAME(adamax)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict m,
                                   REAL *restrict u, int64_t count) {
  const REAL scale = (REAL)r->scale, l2 = (REAL)r->l2, eps = (REAL)r->eps;
  const REAL beta1 = (REAL)r->beta1, new1 = (REAL)r->new1, beta2 = (REAL)r->beta2, step_size = (REAL)r->step_size;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale + l2 * p[i];
    m[i] = beta1 * m[i] + new1 * d;
    REAL a = fabs(d) + eps, b = beta2 * u[i];
    u[i] = b > a || b != b ? b : a;
    p[i] -= step_size * m[i] / u[i];
  }
}

/* Lion (Chen and others, 2023): the sign of one average is the step, another is kept. */
MT_CLONES static void NAME(lion)(const Rule *r, REAL *restrict p, const REAL *restrict g, REAL *restrict m,
                                 int64_t count) {
  const REAL scale = (REAL)r->scale, lr = (REAL)r->lr, keep = (REAL)r->keep;
  const REAL beta1 = (REAL)r->beta1, new1 = (REAL)r->new1, beta2 = (REAL)r->beta2, new2 = (REAL)r->new2;
  for (int64_t i = 0; i < count; i++) {
    REAL d = g[i] * scale, c = beta1 * m[i] + new1 * d;
    p[i] = p[i] * keep - lr * (REAL)((c > 0) - (c < 0));
    m[i] = beta2 * m[i] + new2 * d;
  }
}

static void NAME(apply)(const MtRun *run, MtOptimizerKind kind, const Rule *r, int64_t at, int64_t count) {
  REAL *p = (REAL *)run->params + at, *slot[MT_MAX_SLOTS];
  const REAL *g = (const REAL *)run->grads + at;
  for (int i = 0; i < MT_MAX_SLOTS; i++) slot[i] = run->slots[i] ? (REAL *)run->slots[i] + at : NULL;
  switch (kind) {
  case MT_IS_sgd: NAME(sgd)(r, p, g, slot[0], count); break;
  case MT_IS_rmsprop: NAME(rmsprop)(r, p, g, slot[0], slot[1], slot[2], count); break;
  case MT_IS_adagrad: NAME(adagrad)(r, p, g, slot[0], count); break;
  case MT_IS_adadelta: NAME(adadelta)(r, p, g, slot[0], slot[1], count); break;
  case MT_IS_adamax: NAME(adamax)(r, p, g, slot[0], slot[1], count); break;
  case MT_IS_lion: NAME(lion)(r, p, g, slot[0], count); break;
  default: NAME(adam)(r, p, g, slot[0], slot[1], count); break;
  }
}

MT_CLONES static double NAME(squares)(const REAL *g, int64_t count) {
  double lane[8] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    for (int j = 0; j < 8; j++) lane[j] += (double)g[i + j] * (double)g[i + j];
  for (; i < count; i++) sum += (double)g[i] * (double)g[i];
  for (int j = 0; j < 8; j++) sum += lane[j];
  return sum;
}

#undef REAL
#undef NAME
