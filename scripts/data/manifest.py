"""What is written beside the sound: `manifest.jsonl`, `ATTRIBUTION.txt`, and the table at the end."""

import json
import os

import soundfile

import tracks

SCORES = """\
Rendered scores
---------------
The compositions are in the public domain: chorales by Johann Sebastian Bach (died 1750), and dance tunes that William
Bradbury Ryan published in 1883 (Ryan's Mammoth Collection, later Cole's 1000 Fiddle Tunes).
The scores were read from the corpus that comes with music21 (https://pypi.org/project/music21/). Plainly: the corpus makes
no blanket grant. Its encodings of Bach state no terms (many carry the line "PDF (c) 2004 Margaret Greentree", which
names the maker of the printed edition they were taken from). The ABC transcriptions state no terms either; most of them
were contributed by Ray Davies, others by John Chambers, John Walsh, Bob Puckette, Ivan Bradley, Paul de Grae or someone
not named. What is used here is the notes (pitch, length, repeats), not text or layout. Chords, bass and percussion were made by
the script that prepared this folder. "Artists" of rendered scores are names of sounds, not of people.
Synthesizer: FluidSynth. Soundfont: FluidR3 GM by Frank Wen and others, MIT licence, Debian package fluid-soundfont-gm.
"""
CHANGES = "Changes: stems summed, down-mixed to mono, resampled, level changed, silence at the ends trimmed."


def write(path, text):
    """Whole or not at all."""
    part = path.with_name(path.name + ".part")
    with open(part, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def row(track, out):
    """One line of the manifest; `duration` in seconds is that of the file, `midi` the notes of a rendered score."""
    info = soundfile.info(out / track.path())
    own = dict(weight=tracks.RECORDED_WEIGHT) if track.player is None else dict(midi=track.path().with_suffix(".mid").as_posix())
    return dict(
        path=track.path().as_posix(),
        duration=round(info.frames / info.samplerate, 4),
        sample_rate=info.samplerate,
        artist=track.artist,
        genre=track.genre,
        title=track.title,
        split=track.split,
        licence=track.licence,
        attribution=track.attribution,
        **own,
    )


def write_manifest(made, out):
    rows = sorted((row(t, out) for t in made), key=lambda r: r["path"])
    write(out / "manifest.jsonl", "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    return rows


def write_attribution(rows, out):
    """Whom to name for what is in the folder."""
    recorded = [r for r in rows if r["licence"] in tracks.LINKS]
    text = "Attribution of the recordings and scores in this folder\n\n"
    if recorded:
        text += f"Recordings\n----------\n{CHANGES}\n\n"
        text += "".join(f'"{r["title"]}" by {r["attribution"]}\n' for r in recorded) + "\n"
    text += SCORES
    write(out / "ATTRIBUTION.txt", text)


def table(rows):
    """Minutes per artist and genre, by split."""
    splits = ("train", "valid", "test")
    cells = {}
    for r in rows:
        cells.setdefault((r["artist"], r["genre"]), []).append(r)
    lines = [f"{'artist':<18}{'genre':<12}{'tracks':>7}" + "".join(f"{s:>9}" for s in splits) + "   minutes"]
    for (artist, genre), group in [*sorted(cells.items()), (("all", ""), rows)]:
        minutes = [sum(r["duration"] for r in group if r["split"] == s) / 60 for s in splits]
        lines.append(f"{artist:<18}{genre:<12}{len(group):>7}" + "".join(f"{m:9.1f}" for m in minutes))
    return "\n".join([*lines, f"{sum(r['duration'] for r in rows) / 3600:.2f} hours"])
