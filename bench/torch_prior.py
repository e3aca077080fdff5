"""Priors in PyTorch: steps of training, and a whole window of known tokens."""

import torch
import torch.nn.functional as F
from torch import nn

from timing import median

FACTORISED = ["row", "column", "previous"]


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Pre-norm; attention over the whole past, or along one direction of the table of rows."""

    def __init__(self, width, state, hidden, heads, direction, blocks):
        super().__init__()
        self.ln_0, self.ln_1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * state), nn.Linear(state, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.heads, self.direction, self.blocks = heads, direction, blocks

    def attend(self, x):
        batch, time_, _ = x.shape
        q, k, v = self.qkv(x).chunk(3, -1)
        rows, row = self.blocks, time_ // self.blocks
        fold = {
            "dense": lambda t: t,
            "row": lambda t: t.reshape(batch * rows, row, -1),
            "column": lambda t: t.reshape(batch, rows, row, -1).transpose(1, 2).reshape(batch * row, rows, -1),
            "previous": lambda t: t.reshape(batch * rows, row, -1),
        }[self.direction]
        if self.direction == "previous":
            k, v = (F.pad(t[:, : time_ - row], (0, 0, row, 0)) for t in (k, v))
        split = lambda t: fold(t).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        a = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=self.direction != "previous")
        a = a.transpose(1, 2).flatten(2)
        if self.direction == "column":
            a = a.reshape(batch, row, rows, -1).transpose(1, 2)
        return self.out(a.reshape(batch, time_, -1))

    def forward(self, x):
        a = self.attend(self.ln_0(x))
        return x + a + self.down(quick_gelu(self.up(self.ln_1(x + a))))


class Residual(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x):
        return x + self.point(F.relu(self.wide(F.relu(x))))


class Conditioner(nn.Module):
    """Codes of the level above, up-sampled twice."""

    def __init__(self, entries, inner, width, depth):
        super().__init__()
        self.table = nn.Embedding(entries, inner)
        self.layers = nn.Sequential(
            nn.Conv1d(inner, inner, 3, padding=1),
            *[Residual(inner, 3**d) for d in range(depth)],
            nn.ConvTranspose1d(inner, width, 4, stride=2, padding=1),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, codes):
        return self.norm(self.layers(self.table(codes).transpose(1, 2)).transpose(1, 2))


def prior(width, depth, heads, share, mlp, vocabulary, directions, conditioner=None, batch=2, context=1024, blocks=32):
    table = nn.Embedding(vocabulary, width)
    places = nn.Parameter(0.01 * torch.randn(context, width))
    start = nn.Parameter(0.01 * torch.randn(1, 1, width))
    layers = nn.Sequential(
        *[
            Block(width, int(width * share), width * mlp, heads, directions[d % len(directions)], blocks)
            for d in range(depth)
        ]
    )
    nn.init.normal_(table.weight, std=0.02)
    parts = [*table.parameters(), places, start, *layers.parameters()]
    parts += list(conditioner.parameters()) if conditioner else []
    optimiser = torch.optim.AdamW(parts, lr=1e-4, weight_decay=0.01, foreach=True)
    tokens = torch.randint(vocabulary, (batch, context))
    above = torch.randint(vocabulary, (batch, context // 2))

    def step():
        x = torch.cat([start.expand(batch, 1, width), table(tokens[:, :-1])], 1) + places
        told = conditioner(above) if conditioner else 0.0
        x = layers(x + told) + told
        loss = F.cross_entropy((x @ table.weight.T).flatten(0, 1), tokens.flatten())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts, 1.0)
        optimiser.step()

    return median(step)


@torch.inference_mode()
def prefill():
    """A window of width 512 in 12 layers, and the logits behind it."""
    width, context, vocabulary = 512, 1024, 2048
    layers = nn.Sequential(*[Block(width, width // 4, width, 8, FACTORISED[d % 3], 32) for d in range(12)])
    table, places = nn.Embedding(vocabulary, width), torch.randn(context, width)
    tokens = torch.randint(vocabulary, (1, context))
    return median(lambda: layers(table(tokens) + places)[:, -1] @ table.weight.T)


ROWS = {
    "train.prior.512x12.f32": lambda: prior(512, 12, 8, 1.0, 4, 2048, ["dense"]),
    # Ours in bf16 stands beside PyTorch in f32.
    "train.prior.512x12.bf16": lambda: prior(512, 12, 8, 1.0, 4, 2048, ["dense"]),
    "train.upsampler.tiny": lambda: prior(192, 6, 4, 0.25, 1, 1024, FACTORISED, Conditioner(1024, 96, 192, 4)),
    "prefill.512x12": prefill,
}
