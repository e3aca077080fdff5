"""Which tracks the data set has: rendered scores and recordings, their labels, splits and licences.

A track is a plain description; `make` turns it into a FLAC file. The split of a score is a hash of how its melody begins,
so that neither another title of the same tune nor another band playing it is in two splits; recordings have their split
in `recordings.jsonl`, by whole track.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import band
import chorale
import render
import tune

RECORDINGS = Path(__file__).with_name("recordings.jsonl")
VERSION = "2"  # change when the same score would sound different: it is part of a file's name
LINKS = {"MIT": "https://opensource.org/license/mit", "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/"}
SCORE_LICENCE = "public domain (composition); MIT (FluidR3 GM soundfont)"
SHARE_TEST, SHARE_VALID = 0.05, 0.05
TEMPO_SPREAD = 0.08
OPENING = 20  # intervals that identify a melody


@dataclass
class Track:
    """`source` is a `Tune`, a `Chorale`, or the list of a recording's files; `seconds` is an estimate."""

    artist: str
    genre: str
    title: str
    split: str
    licence: str
    attribution: str
    seconds: float
    source: object
    identity: str
    player: object = None
    tempo: float = 0.0

    def path(self):
        """File name below the output folder; it changes when the sound would."""
        name = "-".join(re.sub(r"[^a-z0-9]+", "-", s.lower().replace("'", "")).strip("-")[:48] for s in (self.artist, self.title))
        return Path(self.genre) / f"{name}-{digest(self.identity)[:8]}.flac"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def fraction(text):
    """A stable hash of a text in [0, 1)."""
    return int(digest(text)[:12], 16) / 16**12


def split_of(opening):
    place = fraction("split:" + opening)
    return "test" if place < SHARE_TEST else "valid" if place < SHARE_TEST + SHARE_VALID else "train"


def opening_of(pitches):
    """The first intervals of a melody as a text: the same in every key."""
    return ",".join(str(b - a) for a, b in zip(pitches, pitches[1:OPENING], strict=False))


def score_track(score, opening, genre, player, keys, attribution):
    tempo = band.TEMPO[genre] * (1 - TEMPO_SPREAD + 2 * TEMPO_SPREAD * fraction("tempo:" + score.title + player.name))
    identity = f"{VERSION}|{player}|{keys}|{tempo:.3f}|{score}"
    length = arranged(score, player, keys, identity)[1]
    return Track(player.name, genre, score.title, split_of(opening), SCORE_LICENCE, attribution, length * 60 / tempo, score, identity, player, tempo)


def arranged(score, player, keys, seed):
    if isinstance(score, tune.Tune):
        return band.play_tune(score, player, keys, seed)
    return band.play_chorale(score, keys)


def tunes(folder):
    """`{genre: [(tune, opening)]}` in a fixed random order; a second copy of a tune is left out."""
    found = {genre: [] for genre in band.BAR}
    seen = set()
    for path in sorted(folder.glob("*.abc"), key=lambda p: fraction(p.name)):
        try:
            score = tune.read(path)
        except tune.Unreadable:
            continue
        if band.BAR.get(score.rhythm) != score.full:
            continue
        opening = opening_of([p for bar in score.bars if bar.length == score.full for _, _, p in bar.notes])
        if (score.rhythm, opening) not in seen and (score.rhythm, score.title) not in seen:
            seen |= {(score.rhythm, opening), (score.rhythm, score.title)}
            found[score.rhythm].append((score, opening))
    return found


def dance_tracks(folder, keys):
    """Every tune once, bands and genres in turn; then every tune again by the next band, and so on."""
    found = tunes(folder)
    for turn in range(len(band.BANDS)):
        for i in range(max(map(len, found.values()))):
            for genre, scores in found.items():
                if i < len(scores):
                    score, opening = scores[i]
                    player = band.BANDS[(i + turn) % len(band.BANDS)]
                    credit = f"traditional, from Ryan's Mammoth Collection (1883); ABC transcription: {score.transcriber}"
                    yield score_track(score, opening, genre, player, keys, credit)


def chorale_tracks(folder, keys):
    """Every chorale once, choirs in turn; then every chorale again by the next choir."""
    scores = []
    for path in sorted(folder.glob("*.mxl"), key=lambda p: fraction(p.name)):
        try:
            score = chorale.read(path)
        except chorale.Unreadable:
            continue
        scores.append((score, "chorale:" + opening_of(score.soprano[:12])))
    for turn in range(len(band.CHOIRS)):
        for i, (score, opening) in enumerate(scores):
            player = band.CHOIRS[(i + turn) % len(band.CHOIRS)]
            yield score_track(score, opening, "chorale", player, keys, "Johann Sebastian Bach; encoding: music21 corpus")


def recordings(packages):
    """The recordings of the given Debian packages; `packages` maps a package's name to its unpacked folder."""
    out = []
    for line in RECORDINGS.read_text(encoding="utf-8").splitlines():
        r = json.loads(line)
        if r["package"] not in packages:
            continue
        files = [packages[r["package"]] / f for f in r["files"]]
        lacking = [f for f in files if not f.exists()]
        if lacking:
            print(f"left out: `{lacking[0]}` is not in this version of {r['package']}", file=sys.stderr)
            continue
        credit = f"{r['author']}, from the Debian package {r['package']}; {r['licence']}, {LINKS[r['licence']]}"
        identity = f"{VERSION}|{r['package']}|{r['files']}"
        out.append(Track(r["artist"], r["genre"], r["title"], r["split"], r["licence"], credit, r["seconds"], files, identity))
    return out


def until(tracks, seconds):
    """The first tracks, up to so many seconds."""
    out, total = [], 0.0
    for track in tracks:
        if total >= seconds:
            break
        out.append(track)
        total += track.seconds
    return out


def make(track, keys, soundfont, rate, path):
    """Render or decode a track into the FLAC file `path`."""
    if isinstance(track.source, list):
        samples = render.decode(track.source, rate)
    else:
        events, end = arranged(track.source, track.player, keys, track.identity)
        samples = render.synthesize(events, track.player.channels(), track.tempo, end, soundfont, rate)
    render.save(samples, rate, path)
