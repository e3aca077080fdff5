"""Training steps of this program beside PyTorch's, in turn, in one run.

    python bench/compare.py --program target/debug/orchestrion [--json FILE] [ROW ...]

Each row is measured in turn, ours (`orchestrion bench ROW --json`) and PyTorch's, several times over; the table has the
medians. Rows are defined in `crates/bench/src`; the same work is written here as a PyTorch user would write it. `ratio` above 1:
ours is faster.
"""

import argparse
import json
import statistics
import subprocess
import time

import torch
import torch.nn.functional as F
from torch import nn

ROUNDS = 3


def median_step(step, runs=5):
    """Seconds of the middle one of several steps, after two that are not timed."""
    times = []
    for _ in range(runs + 2):
        begun = time.perf_counter()
        step()
        times.append(time.perf_counter() - begun)
    return statistics.median(times[2:])


# ---------------------------------------------------------------- the paper's codec, level 0


class Residual(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.wide = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.point = nn.Conv1d(width, width, 1)

    def forward(self, x):
        return x + self.point(F.relu(self.wide(F.relu(x))))


def codec_step():
    width, depth, embedding, entries, crop = 64, 8, 64, 2048, 65_536
    stack = lambda order: [Residual(width, 3**d) for d in order]
    encoder, decoder = [], [nn.Conv1d(embedding, width, 3, padding=1)]
    for i in range(3):
        encoder += [nn.Conv1d(1 if i == 0 else width, width, 4, stride=2, padding=1), *stack(range(depth))]
        last = embedding if i == 2 else width
        decoder += [*stack(reversed(range(depth))), nn.ConvTranspose1d(width, last, 4, stride=2, padding=1)]
    encoder.append(nn.Conv1d(width, embedding, 3, padding=1))
    decoder.append(nn.Conv1d(embedding, 1, 3, padding=1))
    encoder, decoder = nn.Sequential(*encoder), nn.Sequential(*decoder)
    book, sums, counts = torch.randn(entries, embedding), torch.randn(entries, embedding), torch.ones(entries)
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-4, foreach=True)
    audio = 0.1 * torch.randn(1, 1, crop)
    windows = {n: torch.hann_window(n) for n in (1200, 600, 240)}

    def spectral(x, y):
        total = 0.0
        for n_fft, hop, window in ((2048, 240, 1200), (1024, 120, 600), (512, 50, 240)):
            form = dict(n_fft=n_fft, hop_length=hop, win_length=window, window=windows[window], return_complex=True)
            total = total + torch.linalg.vector_norm(torch.stft(x, **form).abs() - torch.stft(y, **form).abs(), dim=(1, 2))
        return (total / 3 / 50.0).mean()

    def step():
        nonlocal book, sums, counts
        latents = encoder(audio)
        rows = latents.detach().transpose(1, 2).reshape(-1, embedding)
        codes = (rows.square().sum(1, keepdim=True) - 2 * rows @ book.T + book.square().sum(1)).argmin(1)
        chosen = book[codes].reshape(1, -1, embedding).transpose(1, 2)
        commit = F.mse_loss(latents, chosen)
        output = decoder(latents + (chosen - latents).detach())
        squares = (output - audio).square().flatten(1)
        waveform = squares.mean() / 0.01 + 0.02 * squares.topk(2048, dim=1).values.mean() / 0.01
        loss = waveform + spectral(audio[:, 0], output[:, 0]) + 0.02 * commit
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([*encoder.parameters(), *decoder.parameters()], 1.0)
        optimiser.step()
        with torch.no_grad():
            sums = 0.99 * sums + 0.01 * torch.zeros_like(sums).index_add_(0, codes, rows)
            counts = 0.99 * counts + 0.01 * torch.bincount(codes, minlength=entries)
            fresh = rows[torch.randperm(rows.shape[0])[:entries]]
            book = torch.where((counts >= 1.0)[:, None], sums / counts[:, None], fresh)

    return median_step(step)


# ---------------------------------------------------------------- priors


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

    return median_step(step)


ROWS = {
    "train.vqvae.l0.f32": codec_step,
    "train.prior.512x12.f32": lambda: prior(512, 12, 8, 1.0, 4, 2048, ["dense"]),
    "train.upsampler.tiny": lambda: prior(
        192, 6, 4, 0.25, 1, 1024, ["row", "column", "previous"], Conditioner(1024, 96, 192, 4)
    ),
}


def ours(program, name):
    made = subprocess.run([program, "bench", name, "--json"], check=True, capture_output=True, text=True)
    return json.loads(made.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure; all by default")
    parser.add_argument("--program", required=True, help="the built program")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", metavar="FILE", help="also write the table as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(1)
    rows, machines = [], []
    for name in arguments.rows or ROWS:
        mine, theirs, share = [], [], []
        for _ in range(ROUNDS):
            report = ours(arguments.program, name)
            machines.append(report["machine"])
            mine.append(report["rows"][0]["value"])
            share.append(report["rows"][0]["share"])
            theirs.append(ROWS[name]())
        value, pytorch = statistics.median(mine), statistics.median(theirs)
        row = dict(name=name, value=value, unit="s/step", share=statistics.median(share), pytorch=pytorch, ratio=pytorch / value)
        rows.append(row)
        print(f"{name:<26} ours {value:.3f} s  PyTorch {pytorch:.3f} s  ratio {row['ratio']:.2f}  share {row['share']:.2f}")
    best = {key: max(m[key] for m in machines) for key in machines[0]}
    print(f"{best['threads']} threads read {best['read_gb_s']:.1f} GB/s and multiply at {best['gemm_gflop_s']:.0f} GFLOP/s")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({"machine": best, "rows": rows}, file, indent=1)


if __name__ == "__main__":
    main()
