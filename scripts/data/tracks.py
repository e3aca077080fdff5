"""Which tracks the data set has: rendered scores and recordings, their labels, splits and licences.

A track is a plain description; `make` turns it into a FLAC file, and the notes of a score into a MIDI file beside it. The
split of a score is a hash of its family, so that neither another title of the same tune nor another band playing it is in
two splits; recordings have their split in `recordings.jsonl`, by whole track.
"""

import hashlib
import json
import re
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import band
import chorale
import render
import tune
from families import families

RECORDINGS = Path(__file__).with_name("recordings.jsonl")
VERSION = "3"  # change when the same score would sound different: it is part of a file's name
LINKS = {"CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/"}
SCORE_LICENCE = "public domain (composition); MIT (FluidR3 GM soundfont)"
SHARE_TEST, SHARE_VALID = 0.05, 0.05
TURNS = 20  # renderings of a score, at most
TEMPO_SPREAD = 0.12
RECORDED_WEIGHT = 3.0  # how often a second of a recording is drawn: there are few


@dataclass
class Track:
    """`source` is a `Tune`, a `Chorale`, or the list of a recording's files; `seconds` is an estimate; `tempo` is in beats a
    minute, `shift` in semitones, and `sharps` the key that the score is played in."""

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
    shift: int = 0
    sharps: int = 0

    def path(self):
        """File name below the output folder; it changes when the sound would."""
        name = "-".join(re.sub(r"[^a-z0-9]+", "-", s.lower().replace("'", "")).strip("-")[:48] for s in (self.artist, self.title))
        return Path(self.genre) / f"{name}-{digest(self.identity)[:8]}.flac"


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


def fraction(text):
    """A stable hash of a text in [0, 1)."""
    return int(digest(text)[:12], 16) / 16**12


def split_of(family):
    place = fraction("split:" + family)
    return "test" if place < SHARE_TEST else "valid" if place < SHARE_TEST + SHARE_VALID else "train"


def score_track(score, family, genre, turn, place, keys, attribution):
    """The rendering number `turn` of a score that stands at `place`: band, key and tempo change from turn to turn."""
    player = band.BANDS[(place + turn) % len(band.BANDS)]
    shift, sharps = band.transposition(score.sharps, keys, turn)
    tempo = band.TEMPO[genre] * (1 - TEMPO_SPREAD + 2 * TEMPO_SPREAD * fraction(f"tempo:{score.title}{player.name}{shift}"))
    identity = f"{VERSION}|{player}|{shift}|{tempo:.3f}|{score}"
    track = Track(player.name, genre, score.title, split_of(family), SCORE_LICENCE, attribution, 0.0, score, identity, player, tempo, shift, sharps)
    track.seconds = arranged(track)[1] * 60 / tempo
    return track


def arranged(track):
    """Events of a rendered track and their length in beats."""
    if isinstance(track.source, tune.Tune):
        return band.play_tune(track.source, track.player, track.shift, track.sharps, track.identity)
    return band.play_chorale(track.source, track.shift, track.identity)


def scores(folder, pattern, read, unreadable):
    """The scores of a folder that can be read, in a fixed random order."""
    for path in sorted(folder.glob(pattern), key=lambda p: fraction(p.name)):
        try:
            yield read(path)
        except unreadable:
            continue


def tunes(folder):
    """`{genre: [(tune, family)]}`; a second copy of a tune is left out."""
    found, seen = [], set()
    for score in scores(folder, "*.abc", tune.read, tune.Unreadable):
        melody = [p for bar in score.bars for _, _, p in bar.notes]
        signs = {(score.rhythm, score.title), (score.rhythm, *(b - a for a, b in pairwise(melody)))}
        if band.BAR.get(score.rhythm) == score.full and not signs & seen:
            seen |= signs
            found.append((score, melody))
    named = families([(score.title, melody) for score, melody in found])
    return {genre: [(s, f) for (s, _), f in zip(found, named, strict=True) if s.rhythm == genre] for genre in band.BAR}


def dance_tracks(folder, keys):
    """Every tune once, bands and genres in turn; then every tune again by the next band in another key, and so on."""
    found = tunes(folder)
    for turn in range(TURNS):
        for i in range(max(map(len, found.values()))):
            for genre, tuned in found.items():
                if i < len(tuned):
                    score, family = tuned[i]
                    credit = f"traditional, from Ryan's Mammoth Collection (1883); ABC transcription: {score.transcriber}"
                    yield score_track(score, family, genre, turn, i, keys, credit)


def chorale_tracks(folder, keys):
    """Every chorale once, bands in turn; then every chorale again by the next band in another key, and so on."""
    found = list(scores(folder, "*.mxl", chorale.read, chorale.Unreadable))
    named = families([(score.title, score.melody()) for score in found])
    for turn in range(TURNS):
        for i, (score, family) in enumerate(zip(found, named, strict=True)):
            yield score_track(score, "chorale:" + family, "chorale", turn, i, keys, "Johann Sebastian Bach; encoding: music21 corpus")


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


def make(track, soundfont, rate, path):
    """Render or decode a track into the FLAC file `path`; the notes of a score go beside it, in the time of the sound."""
    if isinstance(track.source, list):
        samples, _ = render.finished(render.decode(track.source, rate), rate)
    else:
        events, end = arranged(track)
        channels = track.player.channels()
        sound = render.synthesize(events, channels, track.tempo, end, soundfont, rate)
        samples, cut = render.finished(sound, rate)
        path.parent.mkdir(parents=True, exist_ok=True)
        render.write_midi(events, channels, track.tempo, path.with_suffix(".mid"), cut)
    render.save(samples, rate, path)
