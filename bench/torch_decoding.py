"""One token ahead in PyTorch: caches allocated before and as long as each attention needs, in inference mode.

Attention of one query is measured twice, as `scaled_dot_product_attention` and as two products; the faster counts.
"""

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from timing import median

SHIPPED = Path(__file__).resolve().parents[1] / "models" / "tiny" / "config.json"


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def scaled(q, k, v):
    return F.scaled_dot_product_attention(q, k, v)


def products(q, k, v):
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, -1) @ v


class Layer(nn.Module):
    """Pre-norm; `places` says where a position's key and value go and what it sees: (strip, slot, strip seen, keys seen)."""

    def __init__(self, sizes, batch, strips, keys, places, attend):
        super().__init__()
        width, state, hidden = sizes["width"], sizes["state"], sizes["hidden"]
        self.ln_0, self.ln_1 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * state), nn.Linear(state, width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.heads, self.places, self.attend = sizes["heads"], places, attend
        shape = (strips, batch, self.heads, keys, state // self.heads)
        self.keys, self.values = torch.randn(shape), torch.randn(shape)

    def forward(self, x, t):
        q, k, v = self.qkv(self.ln_0(x)).unflatten(-1, (3, self.heads, -1)).unbind(1)
        strip, slot, seen, count = self.places(t)
        self.keys[strip, :, :, slot] = k
        self.values[strip, :, :, slot] = v
        a = self.attend(q[:, :, None], self.keys[seen, :, :, :count], self.values[seen, :, :, :count])
        x = x + self.out(a.flatten(1))
        return x + self.down(quick_gelu(self.up(self.ln_1(x))))


def layer(sizes, direction, batch, attend):
    context, blocks = sizes["context"], sizes["blocks"]
    row = context // blocks
    strips, keys, places = {
        "row": (1, row, lambda t: (0, t % row, 0, t % row + 1)),
        "column": (row, blocks, lambda t: (t % row, t // row, t % row, t // row + 1)),
        "previous": (2, row, lambda t: (t // row % 2, t % row, (t // row + 1) % 2, row)),
        "dense": (1, context, lambda t: (0, t, 0, t + 1)),
    }[direction]
    return Layer(sizes, batch, strips, keys, places, attend)


def directions(order):
    return {2: ["row", "column", "previous"], 9: ["row", "column", "previous", "dense"]}[order]


@torch.inference_mode()
def step(width, depth, heads, context, blocks, start, steps, vocabulary=2048, order=2, batch=1):
    """Seconds of a step, from a token to the logits of the next one; timed from position `start` on, `steps` at a stretch."""
    sizes = dict(width=width, state=width // 4, hidden=width, heads=heads, context=context, blocks=blocks)
    layers = [layer(sizes, directions(order)[d % len(directions(order))], batch, scaled) for d in range(depth)]
    table, places = torch.randn(vocabulary, width), torch.randn(context, width)
    tokens = torch.randint(vocabulary, (context, batch))

    def run():
        for t in range(start, start + steps):
            x = table[tokens[t - 1]] + places[t]
            for one in layers:
                x = one(x, t)
            F.linear(x, table)

    best = float("inf")
    for attend in (scaled, products):
        for one in layers:
            one.attend = attend
        best = min(best, median(run) / steps)
    return best


def middle():
    return step(512, 12, 8, 1024, 32, start=512, steps=32)


def large(batch=1):
    return step(1920, 72, 1, 8192, 128, start=128, steps=4, batch=batch)


def shipped():
    """The shipped model's largest prior."""
    priors = json.loads(SHIPPED.read_text())["priors"].values()
    largest = max(priors, key=lambda p: p["transformer"]["depth"] * p["transformer"]["width"] ** 2)
    sizes = {k: largest["transformer"][k] for k in ("width", "depth", "heads", "context", "blocks")}
    order = largest["transformer"]["attn_order"]
    return step(**sizes, start=sizes["context"] // 2, steps=32, vocabulary=largest["codebook_size"], order=order)


# Whatever the numbers in which ours keeps its weights: PyTorch's are f32.
ROWS = {
    "decode.512x12.f32.b1": middle,
    "decode.512x12.bf16.b1": middle,
    "decode.512x12.int8.b1": middle,
    "decode.1b.f32.b1": large,
    "decode.1b.bf16.b1": large,
    "decode.1b.int8.b1": large,
    "decode.1b.bf16.b16": lambda: large(batch=16),
    "decode.tiny.b1": shipped,
}
