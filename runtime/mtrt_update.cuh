/* mtrt_update.cuh - what a generated update kernel is made of: the check of
 * loss and gradients, clipping, the optimizers and the bookkeeping.
 *
 * An update is one kernel, because a small model's step takes as long as it
 * has launches.  Each block works on a copy of the scalars in shared memory,
 * computes the same hyper-parameters, and comes to the same verdict on the
 * gradients: it looks at all of them itself, or, when they are many, at the
 * sums that mt_measure left.  So no weight changes before all gradients have
 * been seen, and blocks wait for nobody.  The last block to finish adds the
 * logs and moves the scalars on; the states are copied by all of them.  Sums have one order: runs repeat bit for bit.
 */
#ifndef MTRT_UPDATE_CUH
#define MTRT_UPDATE_CUH

#include "mtrt_cuda.cuh"

enum { MT_UPDATE_THREADS = 256 };

/* What the kernel works on: MtRun itself is in host memory. */
struct MtUpdateData {
  float *params, *slots[MT_MAX_SLOTS];
  const float *grads, *outputs, *new_states;
  float *states;
  double *parts; /* what mt_measure found, block by block */
  MtScalars *scalars;
  int64_t state_count;
  MtEnd end;
};

static inline MtUpdateData mt_update_data(const MtRun *run, const MtEnd *end) {
  MtUpdateData u;
  u.params = (float *)run->params, u.grads = (const float *)run->grads, u.outputs = (const float *)run->outputs;
  for (int i = 0; i < MT_MAX_SLOTS; i++) u.slots[i] = (float *)run->slots[i];
  u.parts = (double *)run->parts, u.scalars = run->scalars, u.end = *end;
  u.states = (float *)run->states, u.new_states = (const float *)run->new_states, u.state_count = run->state_count;
  return u;
}

/* The block's own scalars, but for the hyper-parameters; of thread 0. */
static __device__ __forceinline__ void mt_begin(const MtUpdateData &u, MtScalars *s) {
  const MtScalars *from = u.scalars;
  s->step = from->step, s->epoch = from->epoch, s->total = from->total;
  s->micro = from->micro, s->position = from->position, s->seed = from->seed;
  s->grad_scale = from->grad_scale, s->lr_scale = from->lr_scale, s->stop = from->stop;
}

/* ---- looking at the gradients ------------------------------------------------------ */

/* Four neighbours, read at once. */
struct alignas(16) MtFour {
  float at[4];
};

/* Over the block: the sum of squares of every `stride`-th four gradients from
 * the `first` on, which is finite when all of them are (a square of a float is
 * no infinite double); without squares 0, or NaN when one is not finite. */
template <bool squares>
static __device__ double mt_measured(const float *g, int64_t count, int64_t first, int64_t stride) {
  double sum = 0;
  bool finite = true;
  for (int64_t i = 4 * first; i < count; i += 4 * stride) {
    MtFour four = {{0, 0, 0, 0}};
    if (i + 4 <= count) four = *(const MtFour *)(g + i);
    else
      for (int64_t k = i; k < count; k++) four.at[k - i] = g[k];
#pragma unroll
    for (int k = 0; k < 4; k++) {
      if (squares) sum += (double)four.at[k] * (double)four.at[k];
      else finite = finite & (fabsf(four.at[k]) <= 3.402823466e+38f);
    }
  }
  return block_sum(squares || finite ? sum : (double)NAN);
}

/* 0, or NaN when one of the new states is not finite and that is looked for. */
static __device__ __forceinline__ double mt_measured_states(const MtUpdateData &u, int64_t first, int64_t stride) {
  if (u.state_count == 0 || u.end.loss < 0) return 0; /* the same in all threads */
  return mt_measured<false>(u.new_states, u.state_count, first, stride);
}

/* For blocks of gradients too large for every block to look at: MT_PARTS sums. */
template <bool squares>
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) mt_measure(const MtUpdateData u, int64_t begin, int64_t count) {
  const int64_t first = blockIdx.x * (int64_t)MT_UPDATE_THREADS + threadIdx.x, stride = (int64_t)MT_UPDATE_THREADS * MT_PARTS;
  const double sum = mt_measured<squares>(u.grads + begin, count, first, stride), states = mt_measured_states(u, first, stride);
  if (threadIdx.x == 0) u.parts[blockIdx.x] = sum + states;
}

static __device__ double mt_parts_sum(const MtUpdateData &u) {
  double sum = 0;
  for (int i = threadIdx.x; i < MT_PARTS; i += MT_UPDATE_THREADS) sum += u.parts[i];
  return block_sum(sum);
}

static __device__ __forceinline__ void mt_stop_unless_finite(const MtUpdateData &u, MtScalars *s, double sum) {
  if (u.end.loss >= 0 && !(isfinite(sum) && isfinite(u.outputs[u.end.loss]))) s->stop = 1;
}

/* A norm that is not finite scales too: a NaN norm gives NaN gradients. */
static __device__ __forceinline__ void mt_scale_to_norm(MtScalars *s, double squares, double max_norm) {
  const double scale = max_norm / (sqrt(squares) * s->grad_scale + 1e-6);
  if (!(scale >= 1)) s->grad_scale *= scale;
}

/* Each block looks at all gradients. */
static __device__ void mt_check_gradients(const MtUpdateData &u, MtScalars *s, int64_t begin, int64_t count) {
  const double sum = u.end.loss >= 0 ? mt_measured<false>(u.grads + begin, count, threadIdx.x, MT_UPDATE_THREADS) : 0,
               states = mt_measured_states(u, threadIdx.x, MT_UPDATE_THREADS);
  if (threadIdx.x == 0) mt_stop_unless_finite(u, s, sum + states);
  __syncthreads();
}

static __device__ void mt_clip_gradients(const MtUpdateData &u, MtScalars *s, int64_t begin, int64_t count, double max_norm) {
  const double squares = mt_measured<true>(u.grads + begin, count, threadIdx.x, MT_UPDATE_THREADS) +
                         mt_measured_states(u, threadIdx.x, MT_UPDATE_THREADS);
  if (threadIdx.x == 0) mt_stop_unless_finite(u, s, squares), mt_scale_to_norm(s, squares, max_norm);
  __syncthreads();
}

/* The same after mt_measure. */
static __device__ void mt_check_parts(const MtUpdateData &u, MtScalars *s) {
  const double sum = u.end.loss >= 0 ? mt_parts_sum(u) : 0;
  if (threadIdx.x == 0) mt_stop_unless_finite(u, s, sum);
  __syncthreads();
}

static __device__ void mt_clip_parts(const MtUpdateData &u, MtScalars *s, double max_norm) {
  const double squares = mt_parts_sum(u);
  if (threadIdx.x == 0) mt_stop_unless_finite(u, s, squares), mt_scale_to_norm(s, squares, max_norm);
  __syncthreads();
}

/* ---- optimizers ---------------------------------------------------------------------- */

/* What all elements of a group share: worked out in double, then narrowed.
 * fresh: 1 - dampening; rest: 1 - beta; root: of the second bias correction. */
struct MtRule {
  float lr, momentum, fresh, decay;
  float beta1, beta2, rest1, rest2, eps, step_size, root, keep;
  bool nesterov, first, centered;
};

/* hyper: lr, momentum, dampening, decay, nesterov. */
static __device__ MtRule mt_sgd_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group];
  MtRule r = {};
  r.lr = (float)h[0], r.momentum = (float)h[1], r.fresh = (float)(1 - h[2]), r.decay = (float)h[3];
  r.nesterov = h[4] != 0, r.first = s->done == 0;
  return r;
}

/* hyper: lr, beta1, beta2, eps, decay. */
static __device__ MtRule mt_adam_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group], t = (double)s->done + 1;
  MtRule r = {};
  r.beta1 = (float)h[1], r.beta2 = (float)h[2], r.rest1 = (float)(1 - h[1]), r.rest2 = (float)(1 - h[2]);
  r.eps = (float)h[3], r.decay = (float)h[4], r.keep = (float)(1 - h[0] * h[4]);
  r.step_size = (float)(h[0] / (1 - pow(h[1], t))), r.root = (float)sqrt(1 - pow(h[2], t));
  return r;
}
static __device__ MtRule mt_adamw_rule(const MtScalars *s, int group) { return mt_adam_rule(s, group); }
static __device__ MtRule mt_adamax_rule(const MtScalars *s, int group) { return mt_adam_rule(s, group); }

/* hyper: lr, alpha, eps, momentum, decay, centered. */
static __device__ MtRule mt_rmsprop_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group];
  MtRule r = {};
  r.lr = (float)h[0], r.beta2 = (float)h[1], r.rest2 = (float)(1 - h[1]), r.eps = (float)h[2];
  r.momentum = (float)h[3], r.decay = (float)h[4], r.centered = h[5] != 0;
  return r;
}

/* hyper: lr, lr_decay, decay, eps. */
static __device__ MtRule mt_adagrad_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group];
  MtRule r = {};
  r.lr = (float)(h[0] / (1 + (double)s->done * h[1])), r.decay = (float)h[2], r.eps = (float)h[3];
  return r;
}

/* hyper: lr, rho, eps, decay. */
static __device__ MtRule mt_adadelta_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group];
  MtRule r = {};
  r.lr = (float)h[0], r.beta2 = (float)h[1], r.rest2 = (float)(1 - h[1]), r.eps = (float)h[2], r.decay = (float)h[3];
  return r;
}

/* hyper: lr, beta1, beta2, decay. */
static __device__ MtRule mt_lion_rule(const MtScalars *s, int group) {
  const double *h = s->hyper[group];
  MtRule r = {};
  r.lr = (float)h[0], r.beta1 = (float)h[1], r.rest1 = (float)(1 - h[1]);
  r.beta2 = (float)h[2], r.rest2 = (float)(1 - h[2]), r.keep = (float)(1 - h[0] * h[3]);
  return r;
}

/* p: parameter, g: gradient, then the slots.  torch.optim.SGD. */
struct MtSgdRule {
  enum { slots = 1 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &buffer, float &, float &) {
    g += r.decay * p;
    if (r.momentum != 0) {
      buffer = r.first ? g : r.momentum * buffer + r.fresh * g;
      g = r.nesterov ? g + r.momentum * buffer : buffer;
    }
    p -= r.lr * g;
  }
};

/* torch.optim.AdamW: decay shrinks the parameter first.  torch.optim.Adam: it is added to the gradient. */
template <bool decoupled> struct MtAdamRule {
  enum { slots = 2 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &m, float &v, float &) {
    if (decoupled) p *= r.keep;
    else g += r.decay * p;
    m = r.beta1 * m + r.rest1 * g;
    v = r.beta2 * v + r.rest2 * g * g;
    p -= r.step_size * m / (sqrtf(v) / r.root + r.eps);
  }
};

/* torch.optim.RMSprop: eps outside of the root. */
struct MtRmspropRule {
  enum { slots = 3 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &v, float &mean, float &buffer) {
    g += r.decay * p;
    v = r.beta2 * v + r.rest2 * g * g;
    if (r.centered) mean = r.beta2 * mean + r.rest2 * g;
    g /= (r.centered ? sqrtf(v - mean * mean) : sqrtf(v)) + r.eps;
    if (r.momentum != 0) g = buffer = r.momentum * buffer + g;
    p -= r.lr * g;
  }
};

/* torch.optim.Adagrad; lr is that of this step. */
struct MtAdagradRule {
  enum { slots = 1 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &sum, float &, float &) {
    g += r.decay * p;
    sum += g * g;
    p -= r.lr * g / (sqrtf(sum) + r.eps);
  }
};

/* torch.optim.Adadelta. */
struct MtAdadeltaRule {
  enum { slots = 2 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &v, float &u, float &) {
    g += r.decay * p;
    v = r.beta2 * v + r.rest2 * g * g;
    g *= sqrtf(u + r.eps) / sqrtf(v + r.eps);
    u = r.beta2 * u + r.rest2 * g * g;
    p -= r.lr * g;
  }
};

/* torch.optim.Adamax; a NaN wins. */
struct MtAdamaxRule {
  enum { slots = 2 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &m, float &u, float &) {
    g += r.decay * p;
    m = r.beta1 * m + r.rest1 * g;
    const float a = fabsf(g) + r.eps, b = r.beta2 * u;
    u = b > a || b != b ? b : a;
    p -= r.step_size * m / u;
  }
};

/* Lion (Chen and others, 2023): the sign of one average is the step, another is kept. */
struct MtLionRule {
  enum { slots = 1 };
  static __device__ __forceinline__ void apply(const MtRule &r, float &p, float g, float &m, float &, float &) {
    const float c = r.beta1 * m + r.rest1 * g;
    p = p * r.keep - r.lr * (float)((c > 0) - (c < 0));
    m = r.beta2 * m + r.rest2 * g;
  }
};

/* Four neighbours a thread; `begin` is a multiple of four. */
template <class Rule>
static __device__ void mt_optimize(const MtUpdateData &u, const MtScalars *s, const MtRule &rule, int64_t begin,
                                   int64_t count) {
  if (s->stop) return;
  const MtRule r = rule;
  const float scale = (float)s->grad_scale, *g = u.grads + begin;
  float *p = u.params + begin, *a = u.slots[0] + begin, *b = Rule::slots > 1 ? u.slots[1] + begin : a,
        *c = Rule::slots > 2 ? u.slots[2] + begin : a, none = 0, other = 0;
  const int64_t stride = 4 * (int64_t)gridDim.x * MT_UPDATE_THREADS;
  for (int64_t i = 4 * (blockIdx.x * (int64_t)MT_UPDATE_THREADS + threadIdx.x); i < count; i += stride) {
    if (i + 4 <= count) {
      MtFour p4 = *(const MtFour *)(p + i), a4 = *(const MtFour *)(a + i), b4 = a4, c4 = a4;
      const MtFour g4 = *(const MtFour *)(g + i);
      if (Rule::slots > 1) b4 = *(const MtFour *)(b + i);
      if (Rule::slots > 2) c4 = *(const MtFour *)(c + i);
#pragma unroll
      for (int k = 0; k < 4; k++) Rule::apply(r, p4.at[k], g4.at[k] * scale, a4.at[k], b4.at[k], c4.at[k]);
      *(MtFour *)(p + i) = p4;
      *(MtFour *)(a + i) = a4;
      if (Rule::slots > 1) *(MtFour *)(b + i) = b4;
      if (Rule::slots > 2) *(MtFour *)(c + i) = c4;
    } else {
      for (int64_t k = i; k < count; k++)
        Rule::apply(r, p[k], g[k] * scale, a[k], Rule::slots > 1 ? b[k] : none, Rule::slots > 2 ? c[k] : other);
    }
  }
}

/* mt_sgd, mt_adam ...: a group's elements [begin, begin + count) of the block. */
#define MT_OPTIMIZER(name, Rule)                                                                            \
  static __device__ __forceinline__ void name(const MtUpdateData &u, const MtScalars *s, const MtRule &r,   \
                                              int64_t begin, int64_t count) {                               \
    mt_optimize<Rule>(u, s, r, begin, count);                                                               \
  }
MT_OPTIMIZER(mt_sgd, MtSgdRule)
MT_OPTIMIZER(mt_adam, MtAdamRule<false>)
MT_OPTIMIZER(mt_adamw, MtAdamRule<true>)
MT_OPTIMIZER(mt_rmsprop, MtRmspropRule)
MT_OPTIMIZER(mt_adagrad, MtAdagradRule)
MT_OPTIMIZER(mt_adadelta, MtAdadeltaRule)
MT_OPTIMIZER(mt_adamax, MtAdamaxRule)
MT_OPTIMIZER(mt_lion, MtLionRule)
#undef MT_OPTIMIZER

/* ---- bookkeeping ----------------------------------------------------------------------- */

/* The block that takes the last ticket is alone: all others have read what
 * changes here.  The ticket after the last is 0 again. */
static __device__ void mt_finish(const MtUpdateData &u, const MtScalars *s) {
  SHARED(unsigned, ticket, 1);
  MtScalars *to = u.scalars;
  const int64_t stride = (int64_t)gridDim.x * MT_UPDATE_THREADS;
  for (int64_t i = blockIdx.x * (int64_t)MT_UPDATE_THREADS + threadIdx.x; i < u.state_count && !s->stop; i += stride)
    u.states[i] = u.new_states[i];
  __syncthreads();
  if (threadIdx.x == 0) ticket[0] = atomicInc(&to->tickets, gridDim.x - 1);
  __syncthreads();
  if (ticket[0] != gridDim.x - 1) return;
  for (int i = threadIdx.x; i < u.end.n_logs; i += MT_UPDATE_THREADS)
    u.end.sums[i] += (double)u.outputs[u.end.logs[i]] * (double)u.end.rows;
  for (int i = threadIdx.x; i < u.end.n_groups * MT_MAX_HYPER; i += MT_UPDATE_THREADS) {
    const int group = u.end.first_group + i / MT_MAX_HYPER;
    to->hyper[group][i % MT_MAX_HYPER] = s->hyper[group][i % MT_MAX_HYPER];
  }
  if (threadIdx.x != 0) return;
  to->stop = s->stop;
  if (s->stop || !u.end.ends) return;
  to->step = s->step + 1;
  to->micro = 0;
  to->position = s->position + u.end.rows;
  to->grad_scale = 1;
}

#endif
