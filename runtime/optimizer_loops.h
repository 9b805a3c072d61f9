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
