"""Who plays, and what: tunes and chorales -> events for the synthesizer.

A band is an *artist* of the data set. It has a fixed sound (lead, bass, chords, percussion) and plays all kinds of scores,
so artist and genre are independent labels. The chords of a dance are found by a small harmoniser: the triad of the key
that covers most of the melody's time. A dance begins with two bars without the tune and ends with a held chord; a chorale
begins with its first note.
"""

import random
from dataclasses import dataclass

# An event: (onset, length, midi pitch, channel, velocity), times in beats. Channel 9 is percussion (General MIDI).
MELODY, BASS, CHORDS, PERCUSSION = 0, 1, 2, 9
# Beats a minute. A bar of a reel or hornpipe has 4 beats, a bar of a jig 3.
TEMPO = dict(reel=200, hornpipe=152, jig=160, chorale=84)
BAR = dict(reel=4, hornpipe=4, jig=3)
VAMP = 2  # bars of a dance before its tune
KICK, STICK, SHAKER, LOW_DRUM, HIGH_DRUM = 36, 37, 70, 64, 63


@dataclass(frozen=True)
class Band:
    """`lead`, `bass` and `chords` are General MIDI programs counted from 0.

    The volumes (0 to 127) put the bass about 4 dB and the chords 7 dB or more below the lead.
    """

    name: str
    lead: int
    bass: int = 32
    chords: int = 25
    broken: bool = False
    percussion: str = ""
    bass_volume: int = 100
    chord_volume: int = 100

    def channels(self):
        """`{channel: (program, volume)}`"""
        return {
            MELODY: (self.lead, 127),
            BASS: (self.bass, self.bass_volume),
            CHORDS: (self.chords, self.chord_volume),
            PERCUSSION: (0, 127),
        }


BANDS = (
    Band("Fiddle Band", lead=40, bass_volume=88, chord_volume=82),
    Band("Accordion Band", lead=21, chords=0, percussion="brushes", bass_volume=92),
    Band("Banjo Band", lead=105, percussion="shaker"),
    Band("Flute Band", lead=73, bass=45, chords=46, broken=True, percussion="frame drum"),
)


def transposition(sharps, keys, turn):
    """Semitones (-6..5) that carry a key signature to one of `keys`, the nearest first, and that key."""
    moves = [((7 * (key - sharps) + 6) % 12 - 6, key) for key in keys]
    return sorted(moves, key=lambda m: (abs(m[0]), m))[turn % len(moves)]


def triads(tonic):
    """Diatonic triads of the major key on `tonic` as (pitch classes, bias), the usual ones first."""
    degrees = [(0, 4, 7, 0.30), (7, 11, 2, 0.22), (5, 9, 0, 0.18), (9, 0, 4, 0.15), (2, 5, 9, 0.05), (4, 7, 11, 0.0)]
    return [(tuple((tonic + x) % 12 for x in d[:3]), d[3]) for d in degrees]


def triad_over(notes, start, end, sharps, home):
    """The triad that fits the melody between `start` and `end`; the one on the tune's last note is favoured."""
    weight = [0.0] * 12
    for onset, length, pitch in notes:
        overlap = min(onset + length, end) - max(onset, start)
        if overlap > 0:
            weight[pitch % 12] += overlap * (1.3 if abs(onset - start) < 1e-6 else 1.0)

    def fit(candidate):
        tones, bias = candidate
        own = bias + (0.15 if tones[0] == home else 0.0)
        return sum(weight[t] for t in tones) + 0.3 * weight[tones[0]] + own * (end - start) / 2

    return max(triads(7 * sharps % 12), key=fit)[0]


def place(tones, lowest):
    """The tones at or above the midi pitch `lowest`."""
    return [lowest + (t - lowest) % 12 for t in tones]


def accompany(band, start, half, jig, tones, second, rng):
    """Bass and chords for half a bar."""
    root, fifth = place(tones[:1], 36)[0], place(tones[2:], 36)[0]
    events = [(start, half * 0.6, fifth if second else root, BASS, rng.randint(80, 92))]
    chord = sorted(place(tones, 52))
    if band.broken:
        step = half / 3 if jig else half / 4
        line = chord if jig else chord + [chord[1]]
        return events + [(start + i * step, step * 1.5, p, CHORDS, rng.randint(58, 70)) for i, p in enumerate(line)]
    after = half * 2 / 3 if jig else half / 2
    loud = rng.randint(58, 70)
    return events + [(start + after, (half - after) * 0.8, p, CHORDS, loud) for p in chord]


def beat(band, start, half, jig, rng):
    """Light percussion for half a bar."""
    quavers = 3 if jig else 4
    step = half / quavers
    if band.percussion == "brushes":
        hits = [(0, KICK, 62), (quavers - 1 if jig else 2, STICK, 44)]
    elif band.percussion == "shaker":
        hits = [(i, SHAKER, 84 if i == 0 else 60) for i in range(quavers)]
    elif band.percussion == "frame drum":
        hits = [(0, LOW_DRUM, 70), (quavers - 1, HIGH_DRUM, 46)]
    else:
        hits = []
    return [(start + i * step, step * 0.8, p, PERCUSSION, v + rng.randint(-5, 5)) for i, p, v in hits]


def play_tune(tune, band, shift, sharps, seed):
    """Events of a tune played once through, moved by `shift` semitones into the key of so many `sharps`, with two bars
    before it and a closing chord; -> (events, length in beats)."""
    rng = random.Random(seed)
    jig, full = tune.rhythm == "jig", float(tune.full)
    pickup = float(tune.bars[0].length) % full
    now = VAMP * full - pickup
    melody, downbeats = [], [i * full for i in range(VAMP)]
    for i, bar in enumerate(tune.bars):
        if bar.length == tune.full or (i > 0 and bar.length > tune.full / 2):
            downbeats.append(now)
        melody += [(now + float(o), float(d), p + shift) for o, d, p in bar.notes]
        now += float(bar.length)
    home = melody[-1][2] % 12
    onset, _, last = melody[-1]
    close = onset
    melody[-1] = (onset, full, last)  # the last note is held over the closing chord
    events = []
    for o, d, p in melody:
        strong = abs((o - downbeats[0]) / (full / 2) % 1) < 1e-6
        events.append((o, d * 0.95, p, MELODY, (104 if strong else 90) + rng.randint(-5, 5)))
    half = full / 2
    at_rest = triad_over([(0, 1, home)], 0, 1, sharps, home)
    for start in downbeats:
        spans = [(start, start + full)] * 2 if jig else [(start, start + half), (start + half, start + full)]
        before = None
        for k, (a, b) in enumerate(spans):
            at = start + k * half
            if at >= close - 1e-6:
                break
            tones = triad_over(melody, a, b, sharps, home) if start >= VAMP * full else at_rest
            events += accompany(band, at, half, jig, tones, before == tones, rng)
            events += beat(band, at, half, jig, rng)
            before = tones
    events.append((close, full, place(at_rest[:1], 36)[0], BASS, 88))
    events += [(close, full, p, CHORDS, 66) for p in place(at_rest, 52)]
    return events, close + full


def play_chorale(chorale, shift, seed):
    """Events of a chorale moved by `shift` semitones: lead, two inner voices, bass; -> (events, length in crotchets)."""
    rng = random.Random(seed)
    parts = [(MELODY, 92), (CHORDS, 78), (CHORDS, 78), (BASS, 84)]
    events = [
        (onset, length * 0.98, pitch + shift, channel, loud + rng.randint(-5, 5))
        for (channel, loud), voice in zip(parts, chorale.voices, strict=True)
        for onset, length, pitch in voice
    ]
    return events, max(onset + length for voice in chorale.voices for onset, length, _ in voice)
