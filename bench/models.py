"""The models of samples/benchmark as PyTorch modules, with parameters under the names that mtc gives them."""
import torch
import torch.nn.functional as F
from torch import nn


class MlpTiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(64, 128), nn.Linear(128, 10)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


class MlpMnist(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(784, 512), nn.Linear(512, 512), nn.Linear(512, 10)

    def forward(self, x):
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 5, padding=2), nn.Conv2d(32, 64, 5, padding=2)
        self.fc1, self.fc2 = nn.Linear(3136, 128), nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(x.flatten(1))))


class Same(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)
        self.conv2, self.bn2 = nn.Conv2d(c, c, 3, padding=1, bias=False), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Half(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(2 * c)
        self.conv2, self.bn2 = nn.Conv2d(2 * c, 2 * c, 3, padding=1, bias=False), nn.BatchNorm2d(2 * c)
        self.downsample, self.norm = nn.Conv2d(c, 2 * c, 1, stride=2, bias=False), nn.BatchNorm2d(2 * c)

    def forward(self, x):
        return F.relu(self.norm(self.downsample(x)) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64)
        self.layer1_0, self.layer1_1 = Same(64), Same(64)
        self.layer2_0, self.layer2_1 = Half(64), Same(128)
        self.layer3_0, self.layer3_1 = Half(128), Same(256)
        self.layer4_0, self.layer4_1 = Half(256), Same(512)
        self.fc = nn.Linear(512, 10)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        for layer in (self.layer1_0, self.layer1_1, self.layer2_0, self.layer2_1,
                      self.layer3_0, self.layer3_1, self.layer4_0, self.layer4_1):
            x = layer(x)
        return self.fc(x.mean((2, 3)))


class WideLayer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.fc, self.norm = nn.Linear(d, d), nn.LayerNorm(d)

    def forward(self, x):
        return F.gelu(self.norm(self.fc(x)))


class MlpWide(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2, self.l3, self.l4, self.l5, self.l6 = (WideLayer(4096) for _ in range(6))

    def forward(self, x):
        return self.l6(self.l5(self.l4(self.l3(self.l2(self.l1(x))))))


class BoundLayer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)

    def forward(self, x):
        h = self.norm(x)
        return x + F.gelu(h) * F.softmax(h, -1)


class FfnBound(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1, self.l2, self.l3, self.l4 = (BoundLayer(4096) for _ in range(4))

    def forward(self, x):
        return self.l4(self.l3(self.l2(self.l1(x))))


class Attention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.ln1, self.att, self.ln2 = nn.LayerNorm(d), Attention(d, heads), nn.LayerNorm(d)
        self.up, self.down = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x):
        x = x + self.att(self.ln1(x))
        return x + self.down(F.gelu(self.up(self.ln2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, layers, heads, d, t, v):
        super().__init__()
        self.wte, self.wpe = nn.Parameter(0.02 * torch.randn(v, d)), nn.Parameter(0.02 * torch.randn(t, d))
        self.b = nn.ModuleList(Block(d, heads) for _ in range(layers))
        self.lnf = nn.LayerNorm(d)

    def forward(self, ids):
        x = F.embedding(ids, self.wte) + self.wpe
        for block in self.b:
            x = block(x)
        return F.linear(self.lnf(x), self.wte)


class Speller(nn.Module):
    def __init__(self):
        super().__init__()
        self.letters, self.fc = nn.Embedding(65, 512), nn.Linear(512, 65)
        self.lstm1, self.lstm2 = nn.LSTM(512, 512, batch_first=True), nn.LSTM(512, 512, batch_first=True)

    def forward(self, ids):
        return self.fc(self.lstm2(self.lstm1(self.letters(ids))[0])[0])


class Work:
    """One row of the benchmark: a model, the shapes of a batch, a precision.  labels: how many classes y has, 0: numbers."""

    def __init__(self, make, x, y, labels=0, tokens=0, precision="f32"):
        self.make, self.x, self.y, self.labels, self.tokens, self.precision = make, x, y, labels, tokens, precision

    def batch(self):
        """x and y as arrays, the same ones each time."""
        import numpy
        draw = numpy.random.default_rng(1)
        x = draw.integers(0, self.tokens, self.x) if self.tokens else draw.standard_normal(self.x)
        y = draw.integers(0, self.labels, self.y) if self.labels else draw.standard_normal(self.y)
        return x.astype("i4" if self.tokens else "f4"), y.astype("i4" if self.labels else "f4")

    def loss(self, model, x, y):
        out = model(x)
        return F.cross_entropy(out.flatten(0, -2), y.flatten()) if self.labels else F.mse_loss(out, y)


WORK = {
    "mlp_tiny": Work(MlpTiny, (64, 64), (64,), 10),
    "mlp_mnist": Work(MlpMnist, (128, 784), (128,), 10),
    "lenet": Work(LeNet, (128, 1, 28, 28), (128,), 10),
    "resnet18": Work(ResNet18, (256, 3, 32, 32), (256,), 10, precision="tf32"),
    "mlp_wide": Work(MlpWide, (8192, 4096), (8192, 4096), precision="tf32"),
    "ffn_bound": Work(FfnBound, (8192, 4096), (8192, 4096)),
    "gpt_char": Work(lambda: Gpt(6, 6, 384, 256, 65), (64, 256), (64, 256), 65, 65, "bf16"),
    "gpt_char_f32": Work(lambda: Gpt(6, 6, 384, 256, 65), (64, 256), (64, 256), 65, 65, "tf32"),
    "gpt2": Work(lambda: Gpt(12, 12, 768, 1024, 50257), (16, 1024), (16, 1024), 50257, 50257, "bf16"),
    "lstm": Work(Speller, (64, 128), (64, 128), 65, 65, "tf32"),
}
