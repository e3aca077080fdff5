"""The finest level of the paper's codec in PyTorch: width 64, depth 8, hop 8, 2,048 entries.

Convolutions are two-dimensional with a height of 1, in memory with channels last: on CPUs PyTorch convolves so about twice
as fast as with `Conv1d`, and gives the same numbers.
"""

import torch
import torch.nn.functional as F
from torch import nn

from timing import median

WIDTH, DEPTH, ENTRIES, CLIP, CROP = 64, 8, 2048, 441_000, 65_536


def conv(inputs, outputs, kernel, stride=1, dilation=1):
    padding = stride // 2 if stride > 1 else (kernel - 1) * dilation // 2
    return nn.Conv2d(inputs, outputs, (1, kernel), stride=(1, stride), padding=(0, padding), dilation=(1, dilation))


def transposed(inputs, outputs, stride=2):
    return nn.ConvTranspose2d(inputs, outputs, (1, 2 * stride), stride=(1, stride), padding=(0, stride // 2))


class Residual(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.wide = conv(width, width, 3, dilation=dilation)
        self.point = conv(width, width, 1)

    def forward(self, x):
        return x + self.point(F.relu(self.wide(F.relu(x))))


def codec():
    """Encoder and decoder: `[batch, channels, 1, time]` to the same."""
    stack = lambda order: [Residual(WIDTH, 3**d) for d in order]
    encoder, decoder = [], [conv(WIDTH, WIDTH, 3)]
    for i in range(3):
        encoder += [conv(1 if i == 0 else WIDTH, WIDTH, 4, stride=2), *stack(range(DEPTH))]
        decoder += [*stack(reversed(range(DEPTH))), transposed(WIDTH, WIDTH)]
    encoder.append(conv(WIDTH, WIDTH, 3))
    decoder.append(conv(WIDTH, 1, 3))
    last = lambda layers: nn.Sequential(*layers).to(memory_format=torch.channels_last)
    return last(encoder), last(decoder)


def nearest(rows, book):
    """The entry of each row. What all of a row's distances share does not decide."""
    return torch.addmm(book.square().sum(1), rows, book.T, alpha=-2).argmin(1)


@torch.inference_mode()
def encode():
    encoder, _ = codec()
    audio, book = 0.1 * torch.randn(1, 1, 1, CLIP), torch.randn(ENTRIES, WIDTH)
    # With channels last, the latents are rows as they lie.
    return median(lambda: nearest(encoder(audio).permute(0, 2, 3, 1).reshape(-1, WIDTH), book))


@torch.inference_mode()
def decode():
    _, decoder = codec()
    codes, book = torch.randint(ENTRIES, (CLIP // 8,)), torch.randn(ENTRIES, WIDTH)
    return median(lambda: decoder(book[codes][None, None].permute(0, 3, 1, 2)).clamp(-1, 1))


def train():
    """A step with the spectral loss, the codebook's moving averages and restarts."""
    encoder, decoder = codec()
    book, sums, counts = torch.randn(ENTRIES, WIDTH), torch.randn(ENTRIES, WIDTH), torch.ones(ENTRIES)
    parts = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parts, lr=1e-4, foreach=True)
    audio = 0.1 * torch.randn(1, 1, 1, CROP)
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
        rows = latents.detach().permute(0, 2, 3, 1).reshape(-1, WIDTH)
        codes = nearest(rows, book)
        chosen = book[codes][None, None].permute(0, 3, 1, 2)
        commit = F.mse_loss(latents, chosen)
        output = decoder(latents + (chosen - latents).detach())
        squares = (output - audio).square().flatten(1)
        waveform = squares.mean() / 0.01 + 0.02 * squares.topk(2048, dim=1).values.mean() / 0.01
        loss = waveform + spectral(audio[:, 0, 0], output[:, 0, 0]) + 0.02 * commit
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parts, 1.0)
        optimiser.step()
        with torch.no_grad():
            sums = 0.99 * sums + 0.01 * torch.zeros_like(sums).index_add_(0, codes, rows)
            counts = 0.99 * counts + 0.01 * torch.bincount(codes, minlength=ENTRIES)
            fresh = rows[torch.randperm(rows.shape[0])[:ENTRIES]]
            book = torch.where((counts >= 1.0)[:, None], sums / counts[:, None], fresh)

    return median(step)


ROWS = {"train.vqvae.l0.f32": train, "codec.l0.encode": encode, "codec.l0.decode": decode}
