"""The random numbers of a trainer, made a second time: so a twin in PyTorch starts from the same weights and sees the
same noise without a file that carries them.

A draw is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).  Its key is the seed
mixed with a hash of the name of what is drawn, its counter the element, the update and the micro-batch.
"""
import math

import numpy
import torch
from torch import nn

MASK = numpy.uint64(0xFFFFFFFF)
HALF = numpy.uint64(32)
OF_INIT = 0x7FFFFFFF  # the micro-batch that first weights are drawn for


def site(name):
    """FNV-1a."""
    hash = 14695981039346656037
    for c in name.encode():
        hash = (hash ^ c) * 1099511628211 % 2**64
    return hash


def words(key, elements, step, micro):
    """The first two of the four words of each element."""
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    i = numpy.asarray(elements, dtype=numpy.uint64)
    c = [i & MASK, i >> HALF, numpy.full_like(i, step), numpy.full_like(i, micro)]
    for _ in range(10):
        a, b = numpy.uint64(0xD2511F53) * c[0], numpy.uint64(0xCD9E8D57) * c[2]
        c = [b >> HALF ^ c[1] ^ numpy.uint64(k0), b & MASK, a >> HALF ^ c[3] ^ numpy.uint64(k1), a & MASK]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return c[0], c[1]


def unit(word):
    return (word >> numpy.uint64(8)).astype(numpy.float64) / 2**24


def normals(pair):
    """Box and Muller's."""
    return numpy.sqrt(-2 * numpy.log(unit(pair[0]) + 1 / 2**24)) * numpy.cos(2 * math.pi * unit(pair[1]))


def single(values, shape):
    """As the floats that the trainer holds, in a tensor of doubles."""
    return torch.tensor(values.astype(numpy.float32).astype(numpy.float64)).reshape(shape)


def rand(name, step, *shape):
    """What rand(shape) is in that update; `name` as the emitted code has it behind the draw."""
    return single(unit(words(site(name), numpy.arange(math.prod(shape)), step, 0)[0]), shape)


def randn(name, step, *shape):
    return single(normals(words(site(name), numpy.arange(math.prod(shape)), step, 0)), shape)


def spread(bound):
    return lambda pair: -bound + 2 * bound * unit(pair[0])


def normal(deviation):
    return lambda pair: deviation * normals(pair)


def first_values(module, name, shape):
    """How a layer's parameter begins, or None where it is as PyTorch has it: ones and zeros."""
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        return spread(1 / math.sqrt(module.weight[0].numel()))
    if isinstance(module, (nn.LSTM, nn.GRU)):
        return spread(1 / math.sqrt(module.hidden_size))
    if isinstance(module, nn.Embedding):
        return normal(1.0)
    return normal(0.02) if name in ("wte", "wpe") else None


def begin(net, prefix="net", blocks="b"):
    """The weights a trainer with seed 0 begins with.  Blocks b.0, b.1, ... are parts of one tensor there."""
    for path, module in net.named_modules():
        for name, p in module.named_parameters(recurse=False):
            draw = first_values(module, name, p.shape)
            if not draw:
                continue
            parts = [prefix] + path.split(".") * (path != "") + [name]
            turn = int(parts.pop(2)) if parts[1] == blocks else 0
            elements = turn * p.numel() + numpy.arange(p.numel())
            p.data = single(draw(words(site(".".join(parts)), elements, 0, OF_INIT)), p.shape)
    return net.double()


class Rows:
    """`random(rows:, seed:)`: splitmix64, one field after the other."""

    def __init__(self, seed):
        self.state = seed

    def bits(self, count):
        gamma = numpy.uint64(0x9E3779B97F4A7C15)
        z = numpy.uint64(self.state) + numpy.arange(1, count + 1, dtype=numpy.uint64) * gamma
        self.state = int((self.state + count * int(gamma)) % 2**64)
        z = (z ^ z >> numpy.uint64(30)) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ z >> numpy.uint64(27)) * numpy.uint64(0x94D049BB133111EB)
        return z ^ z >> numpy.uint64(31)

    def floats(self, *shape):
        u = ((self.bits(2 * math.prod(shape)) >> numpy.uint64(11)).astype(numpy.float64) / 2**53).reshape(-1, 2)
        return single(numpy.sqrt(-2 * numpy.log(1 - u[:, 0])) * numpy.cos(2 * math.pi * u[:, 1]), shape)

    def below(self, n, *shape):
        return torch.tensor((self.bits(math.prod(shape)) % numpy.uint64(n)).astype(numpy.int64)).reshape(shape)
