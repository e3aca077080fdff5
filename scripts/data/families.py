"""Which scores are the same composition: a split holds a composition back whole, under all of its titles.

Two melodies are of one family when they have a title in common, begin with the same intervals, or share a third of their
runs of eight intervals: variants of a dance, a chorale tune that Bach set several times.
"""

from collections import Counter, defaultdict
from itertools import pairwise

OPENING = 12  # intervals
RUN = 8
SHARED = 1 / 3  # of the shorter melody's runs


def intervals(pitches):
    """Steps between notes that differ: the same in every key, and however notes are repeated."""
    return [b - a for a, b in pairwise(pitches) if b != a]


def runs(steps):
    return {tuple(steps[i : i + RUN]) for i in range(len(steps) - RUN + 1)}


def families(melodies):
    """The family of each `(title, pitches)`: the first of its titles by the alphabet."""
    parent = list(range(len(melodies)))

    def find(i):
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    steps = [intervals(pitches) for _, pitches in melodies]
    spoken = [runs(s) for s in steps]
    first, holders = {}, defaultdict(list)
    for i, (title, _) in enumerate(melodies):
        for sign in (("title", title.casefold()), ("opening", tuple(steps[i][:OPENING]))):
            parent[find(i)] = find(first.setdefault(sign, i))
        for run in spoken[i]:
            holders[run].append(i)
    for i in range(len(melodies)):
        common = Counter(j for run in spoken[i] for j in holders[run] if j > i)
        for j, n in common.items():
            if n >= SHARED * max(1, min(len(spoken[i]), len(spoken[j]))):
                parent[find(i)] = find(j)
    names = defaultdict(list)
    for i, (title, _) in enumerate(melodies):
        names[find(i)].append(title)
    return [min(names[find(i)]) for i in range(len(melodies))]
