"""Values of other people's programs for what `orchestrion-evaluate` computes: writes values.json beside itself.

    python -m venv venv && venv/bin/pip install numpy scipy librosa && venv/bin/python make.py

Made with numpy 2.4.6, scipy 1.17.1, librosa 0.11.0. Inputs come from a linear congruential generator that
tests/parity.rs has too, so that no data lies here.
"""

import difflib
import json
import zlib
from pathlib import Path

import librosa
import numpy as np
import scipy


class Noise:
    """Numerical Recipes' generator; values in [-0.5, 0.5)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state * 1664525 + 1013904223) % 2**32
        return self.state / 2**32 - 0.5

    def array(self, *shape):
        return np.array([self.next() for _ in range(int(np.prod(shape)))]).reshape(shape)

    def whole(self, end):
        return int((self.next() + 0.5) * end)


def eigenvalues():
    a = Noise(1).array(30, 30)
    return scipy.linalg.eigvalsh(np.tril(a) + np.tril(a, -1).T).tolist()


def frechet_by_root(a, b):
    """The definition, with scipy's general matrix root."""
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * np.trace(root).real)


def frechet_by_eigenvalues(a, b):
    """For covariances without full rank, where a matrix root is not unique: eigenvalues of the product, unsymmetric."""
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = np.sqrt(np.maximum(scipy.linalg.eigvals(ca @ cb).real, 0)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca) + np.trace(cb) - 2 * root)


def cloud(seed, count, width):
    """Correlated vectors, as float32."""
    noise = Noise(seed)
    mix = noise.array(width, width)
    return (noise.array(count, width) @ mix + 0.1 * mix[0]).astype(np.float32).astype(np.float64)


def signals():
    """Two seconds of three decaying partials, and the same with noise and less treble."""
    rate = 22050
    t = np.arange(2 * rate) / rate
    x = sum(0.3 / k * np.sin(2 * np.pi * 220 * k * t) * np.exp(-(t % 0.5) * 3 * k) for k in (1, 2, 5))
    y = 0.8 * x + 0.02 * Noise(7).array(len(t))
    y = np.convolve(y, [0.25, 0.5, 0.25], "same")
    return rate, x.astype(np.float32), y.astype(np.float32)


def magnitude(x, n_fft, hop, window):
    return np.abs(librosa.stft(x, n_fft=n_fft, hop_length=hop, win_length=window, center=True, pad_mode="reflect"))


def fidelity():
    rate, x, y = signals()
    total = 0.0
    for n_fft, hop, window in ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200)):
        a, b = (np.maximum(magnitude(s, n_fft, hop, window), 1e-5).astype(np.float64) for s in (x, y))
        total += np.linalg.norm(a - b) / np.linalg.norm(a) + np.abs(np.log(a) - np.log(b)).mean()
    def mel(s):
        m = librosa.feature.melspectrogram(y=s, sr=rate, n_fft=2048, hop_length=512, n_mels=80, power=1.0, pad_mode="reflect")
        return np.log10(np.maximum(m, 1e-5))
    a, b = (magnitude(s, 1024, 256, 1024).astype(np.float64) for s in (x, y))
    x64, y64 = x.astype(np.float64), y.astype(np.float64)
    target = (y64 @ x64) / (x64 @ x64) * x64
    return {
        "stft": float(total / 3),
        "log_mel": float(np.abs(mel(x) - mel(y)).mean()),
        "convergence": float(np.linalg.norm(a - b) / np.linalg.norm(a)),
        "si_sdr": float(10 * np.log10((target @ target) / ((y64 - target) @ (y64 - target)))),
    }


def tokens(seed, count, size):
    noise = Noise(seed)
    # Low tokens are more frequent: the square of an even draw.
    return [int((noise.next() + 0.5) ** 2 * size) for _ in range(count)]


def codebook():
    counts = np.bincount(tokens(3, 5000, 64), minlength=64)
    return {
        "entropy": float(scipy.stats.entropy(counts, base=2)),
        "used": float((counts > 0).mean()),
        "deflate_bits": deflate(tokens(3, 5000, 64)),
    }


def deflate(stream):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(np.array(stream, dtype="<u2").tobytes()) + packer.flush()
    return 8 * len(packed) / len(stream)


def copies():
    song, tracks = tokens(4, 400, 8), [tokens(s, 600, 8) for s in (5, 6)]
    longest = max(
        difflib.SequenceMatcher(None, song, t, autojunk=False).find_longest_match(0, len(song), 0, len(t)).size
        for t in tracks
    )
    share = 0.0
    for track in map(np.array, tracks):
        for i in range(len(song) - 20 + 1):
            window = np.array(song[i : i + 20])
            shares = (np.lib.stride_tricks.sliding_window_view(track, 20) == window).mean(1)
            share = max(share, float(shares.max()))
    return {"longest": longest, "share_of_20": share}


def self_similarity():
    rows = Noise(8).array(40, 12)
    rows = np.vstack([rows, rows + 0.2 * Noise(9).array(40, 12)])
    centred = rows - rows.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    s = unit @ unit.T
    sign = np.kron([[1, -1], [-1, 1]], np.ones((8, 8)))
    novelty = [float((s[t - 8 : t + 8, t - 8 : t + 8] * sign).sum() / 256) for t in range(8, 80 - 8 + 1)]
    return {"lag_40": float(np.diagonal(s, 40).mean()), "lag_11": float(np.diagonal(s, 11).mean()), "novelty": novelty}


def diversity():
    songs = [cloud(20 + i, 30, 10) + i % 3 for i in range(6)]
    means = np.array([s.mean(0) for s in songs])
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    kernel = unit @ unit.T
    values = scipy.linalg.eigvalsh((1 + kernel) / 12)
    values = values[values > 1e-12]
    return {"vendi": float(np.exp(scipy.stats.entropy(values))), "pairs": float(1 - (kernel.sum() - 6) / 30)}


def listening():
    """Six raters, four systems, five items; the last rater answers at random."""
    systems, noise = ["reference", "anchor", "a", "b"], Noise(11)
    true = {"reference": 4.6, "anchor": 1.6, "a": 3.4, "b": 2.8}
    rows = []
    for rater in range(6):
        for item in range(5):
            for system in systems:
                value = true[system] + 1.6 * noise.next() if rater < 5 else 1 + 4 * (noise.next() + 0.5)
                rows.append(("r%d" % rater, "overall", f"{system}-{item}", "", min(5, max(1, round(value)))))
            for first, second in (("a", "b"), ("b", "reference"), ("a", "reference"), ("anchor", "a")):
                better = true[first] + 3 * noise.next() > true[second] + 3 * noise.next()
                rows.append(("r%d" % rater, "pair", f"{first}-{item}", f"{second}-{item}", int(better)))
    def overall(rater):
        return {c: v for r, s, c, _, v in rows if r == rater and s == "overall"}
    raters, kept = ["r%d" % i for i in range(6)], []
    for rater in raters:
        mine = overall(rater)
        others = [np.mean([overall(o)[code] for o in raters if o != rater]) for code in mine]
        means = {s: np.mean([v for c, v in mine.items() if c.startswith(s)]) for s in ("reference", "anchor")}
        if np.corrcoef(list(mine.values()), others)[0, 1] >= 0.25 and means["anchor"] <= means["reference"]:
            kept.append(rater)
    opinions = {}
    for system in systems:
        values = [v for r, s, c, _, v in rows if r in kept and s == "overall" and c.split("-")[0] == system]
        opinions[system] = [float(np.mean(values)), float(1.96 * scipy.stats.sem(values))]
    wins = np.zeros((4, 4))
    for r, s, first, second, value in rows:
        if s == "pair" and r in kept:
            i, j = systems.index(first.split("-")[0]), systems.index(second.split("-")[0])
            wins[i, j] += value
            wins[j, i] += 1 - value
    wins += 0.5 * ((wins + wins.T) > 0)
    def unlikely(x):
        x = np.append(x, -x.sum())
        return sum(wins[i, j] * np.log1p(np.exp(x[j] - x[i])) for i in range(4) for j in range(4))
    best = scipy.optimize.minimize(unlikely, np.zeros(3), method="BFGS", options={"gtol": 1e-10})
    strength = np.append(best.x, -best.x.sum())
    chance = 1 / (1 + np.exp(strength[None, :] - strength[:, None]))
    weight = (wins + wins.T) * chance * (1 - chance)
    information = np.diag(weight.sum(1)) - weight
    errors = np.sqrt(np.diag(np.linalg.pinv(information)))
    return {
        "rows": rows,
        "kept": kept,
        "opinions": opinions,
        "strengths": {s: [float(x), float(1.96 * e)] for s, x, e in zip(systems, strength, errors)},
    }


values = {
    "eigenvalues": eigenvalues(),
    "frechet": frechet_by_root(cloud(2, 200, 16), cloud(3, 300, 16)),
    "frechet_without_rank": frechet_by_eigenvalues(cloud(4, 10, 16), cloud(5, 12, 16)),
    "fidelity": fidelity(),
    "codebook": codebook(),
    "copies": copies(),
    "self_similarity": self_similarity(),
    "diversity": diversity(),
    "listening": listening(),
}
Path(__file__).with_name("values.json").write_text(json.dumps(values, separators=(",", ":")) + "\n")
