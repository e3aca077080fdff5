"""A four-part chorale in compressed MusicXML -> its voices, repeats written out and fermatas held."""

import xml.etree.ElementTree as ElementTree
import zipfile
from dataclasses import dataclass
from fractions import Fraction

STEP = dict(C=0, D=2, E=4, F=5, G=7, A=9, B=11)
HELD = Fraction(1, 2)  # beats that a fermata adds


class Unreadable(Exception):
    """The score is not a plain four-part chorale."""


@dataclass
class Chorale:
    """`voices` is four lists of `(onset, length, midi pitch)` in crotchets, soprano first."""

    title: str
    sharps: int
    voices: list

    def melody(self):
        """Pitches of the soprano."""
        return [p for _, _, p in self.voices[0]]


def root_of(path):
    with zipfile.ZipFile(path) as z:
        name = next(n for n in z.namelist() if "META-INF" not in n and n.lower().endswith("xml"))
        return ElementTree.fromstring(z.read(name))


def order(measures):
    """Indices of the measures in the order in which they sound."""
    out, start = [], 0
    for i, measure in enumerate(measures):
        signs = {r.get("direction") for r in measure.iter("repeat")}
        if "forward" in signs:
            start = i
        out.append(i)
        if "backward" in signs:
            out += range(start, i + 1)
            start = i + 1
    return out


def measure_notes(measure, divisions):
    """`[(onset, length, pitch, tied to the one before)]`, fermata ends, length, and the divisions from here on."""
    notes, held, now, last = [], [], Fraction(0), Fraction(0)
    for item in measure:
        if item.tag == "attributes" and item.find("divisions") is not None:
            divisions = int(item.find("divisions").text)
        if item.tag in ("backup", "forward"):
            raise Unreadable("several voices on one staff")
        if item.tag != "note" or item.find("grace") is not None:
            continue
        length = Fraction(int(item.find("duration").text), divisions)
        chord = item.find("chord") is not None
        onset = last if chord else now
        pitch = item.find("pitch")
        if pitch is not None:
            alter = int(float(pitch.findtext("alter", "0")))
            midi = 12 * (int(pitch.findtext("octave")) + 1) + STEP[pitch.findtext("step")] + alter
            stops = any(t.get("type") == "stop" for t in item.findall("tie"))
            notes.append((onset, length, midi, stops))
        if not chord:
            last, now = now, now + length
            if item.find(".//fermata") is not None:
                held.append(now)
    return notes, held, now, divisions


def voice(part, sequence):
    """Notes, fermata ends and length of one voice."""
    divisions, measures = 1, []
    for measure in part.findall("measure"):
        *read, divisions = measure_notes(measure, divisions)
        measures.append(read)
    out, held, start = [], [], Fraction(0)
    for i in sequence:
        notes, ends, length = measures[i]
        for onset, duration, pitch, stops in notes:
            before = out[-1] if out else None
            if stops and before and before[2] == pitch and before[0] + before[1] == start + onset:
                out[-1] = (before[0], before[1] + duration, pitch)
            else:
                out.append((start + onset, duration, pitch))
        held += [start + e for e in ends]
        start += length
    return out, held, start


def read(path):
    """Read one `.mxl` file. Raises `Unreadable` when it is not four parts of one voice each."""
    root = root_of(path)
    parts = root.findall("part")
    if len(parts) != 4 or root.find(".//ending") is not None or root.find(".//transpose") is not None:
        raise Unreadable("not four plain parts")
    sequence = order(max((p.findall("measure") for p in parts), key=lambda ms: sum(len(list(m.iter("repeat"))) for m in ms)))
    if any(len(p.findall("measure")) <= max(sequence) for p in parts):
        raise Unreadable("parts of different lengths")
    voices = [voice(p, sequence) for p in parts]
    if len({length for _, _, length in voices}) != 1 or not all(notes for notes, _, _ in voices):
        raise Unreadable("parts of different lengths")
    held = sorted(set(voices[0][1]))

    def warped(time):  # what ends at a fermata is held, what begins there waits
        return time + HELD * sum(h <= time for h in held)

    notes = [[(float(warped(o)), float(warped(o + d) - warped(o)), p) for o, d, p in ns] for ns, _, _ in voices]
    sharps = int(root.findtext(".//fifths", "0"))
    title = path.stem.replace("bwv", "BWV ", 1)
    return Chorale(title, sharps, notes)
