"""A fiddle tune in ABC notation -> bars of notes, repeats written out.

Only what Ryan's Mammoth Collection uses is read: notes, chords, broken rhythm, tuplets, ties, accidentals, repeats with
first and second endings, and changes of key, metre or unit length inside the tune. Grace notes, slurs, bowings and quoted
text are passed over. Times are in *beats*, where a melody quaver of the usual notation is half a beat: a tune written in
2/4 with semiquavers gets the same times as one written in 2/2 with quavers.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction

TOKEN = re.compile(
    r"""
    (?P<skip>"[^"]*"|![^!\n]*!|\{[^}]*\}|%.*$|\\)
  | (?P<field>\[[A-Za-z]:[^\]]*\])
  | \((?P<tuplet>[2-9])(?::[2-9]?)?(?::[2-9]?)?
  | (?P<bar>:*\|[|\]:]*\s*\[?\s*[12](?:[,-]\d)*(?![\d/])|:*\|[|\]:]*|::+|\[\||\[[12](?![\d/]))
  | (?P<chord>\[(?:[\^_=]*[A-Ga-g][,']*\d*/*\d*)+\])(?P<chordlength>\d*/*\d*)
  | (?P<accidental>\^\^|\^|__|_|=)?(?P<letter>[A-Gza-gx])(?P<octave>[,']*)(?P<length>\d*/*\d*)
  | (?P<broken>>+|<+)
  | (?P<tie>-)
    """,
    re.X,
)
NOTE = re.compile(r"(\^\^|\^|__|_|=)?([A-Ga-g])([,']*)(\d*/*\d*)")
SEMITONE = dict(C=0, D=2, E=4, F=5, G=7, A=9, B=11)
FIFTHS = dict(F=-1, C=0, G=1, D=2, A=3, E=4, B=5)
MODES = dict(maj=0, ion=0, m=-3, min=-3, aeo=-3, dor=-2, phr=-4, lyd=1, mix=-1, loc=-5)
TUPLET = {2: Fraction(3, 2), 3: Fraction(2, 3), 4: Fraction(3, 4), 5: Fraction(2, 5), 6: Fraction(1, 3), 7: Fraction(2, 7)}
TRANSCRIBERS = ("Ray Davies", "John Chambers", "John Walsh", "Bob Puckette", "Ivan Bradley", "Paul de Grae")
METRES = {"C": (4, 4), "C|": (2, 2)}


class Unreadable(Exception):
    """The tune uses something that this reader does not know."""


@dataclass
class Bar:
    """Notes `(onset in the bar, length, midi pitch)` and the length of the bar, in beats."""

    notes: list = field(default_factory=list)
    length: Fraction = Fraction(0)
    ending: int = 0
    opens: bool = False
    closes: bool = False


@dataclass
class Tune:
    """`sharps` is the key signature (flats are negative), `full` the length of a full bar in beats."""

    title: str
    rhythm: str
    transcriber: str
    sharps: int
    full: Fraction
    bars: list


def key_sharps(text):
    """Sharps of an ABC key field such as `G`, `Am`, `Edor` or `Bb`."""
    m = re.match(r"\s*([A-G])([#b]?)\s*([A-Za-z]*)", text)
    if not m:
        raise Unreadable(f"key `{text}`")
    mode = m[3].lower()
    shift = MODES.get(mode if mode in ("", "m") else mode[:3], 0)
    return FIFTHS[m[1]] + 7 * ((m[2] == "#") - (m[2] == "b")) + shift


def signature(sharps):
    """{letter: alteration} of a key signature."""
    return {c: 1 for c in "FCGDAEB"[: max(0, sharps)]} | {c: -1 for c in "BEADGCF"[: max(0, -sharps)]}


def multiple(text):
    """An ABC length suffix: `2`, `/`, `3/2`, `//`, or nothing."""
    if not text:
        return Fraction(1)
    top, slash, rest = text.partition("/")
    below = int(rest) if rest.isdigit() else 2 ** (1 + rest.count("/")) if slash else 1
    return Fraction(int(top) if top else 1, below or 1)


def fields_and_music(text):
    """The header as a dict (first value of each field) and the list of music lines (body fields as `[K:G]`)."""
    head, music = {}, []
    for line in text.replace("\r", "\n").splitlines():
        m = re.match(r"([A-Za-z]):(.*)", line)
        if m and "K" not in head:
            head.setdefault(m[1], m[2].strip())
        elif m and not line.startswith("|"):
            music += [f"[{m[1]}:{m[2].strip()}]"] if m[1] in "KLM" else []
        elif "K" in head:
            music.append(line)
    return head, music


class Reader:
    """Reads the music lines into bars; one instance per tune."""

    def __init__(self, head):
        self.bars, self.bar = [], Bar()
        self.set_metre(head.get("M", "4/4"))
        self.set_key(head.get("K", "C"))
        self.unit = Fraction(head["L"]) if "L" in head else Fraction(1, 8)
        self.accidentals = {}
        self.tuplet, self.left = Fraction(1), 0
        self.next_broken, self.tied = Fraction(1), False

    def set_metre(self, text):
        over, under = METRES.get(text.strip()) or tuple(int(x) for x in re.match(r"(\d+)/(\d+)", text).groups())
        self.metre = (over, under)
        self.scale = 8 if (over, under) == (2, 4) else 4  # beats in a whole note: see the module's heading

    def set_key(self, text):
        self.sharps = key_sharps(text)
        self.signature = signature(self.sharps)

    def pitch(self, accidental, letter, octave):
        place = (letter, octave)
        if accidental:
            self.accidentals[place] = accidental.count("^") - accidental.count("_")
        up = letter.upper()
        alter = self.accidentals.get(place, self.signature.get(up, 0))
        return 60 + SEMITONE[up] + alter + 12 * (letter.islower() + octave.count("'") - octave.count(","))

    def sound(self, pitches, length):
        beats = length * self.unit * self.scale * self.next_broken
        self.next_broken = Fraction(1)
        if self.left:
            beats *= self.tuplet
            self.left -= 1
        for p in pitches:
            before = self.bar.notes[-1] if self.bar.notes else None
            if self.tied and before and before[2] == p and before[0] + before[1] == self.bar.length:
                self.bar.notes[-1] = (before[0], before[1] + beats, p)
            else:
                self.bar.notes.append((self.bar.length, beats, p))
        self.tied = False
        self.bar.length += beats

    def dot(self, sign):
        """Broken rhythm: the note before gets longer (`>`) or shorter (`<`), the one after the other way."""
        part = Fraction(1, 2 ** len(sign))
        before, after = (2 - part, part) if sign[0] == ">" else (part, 2 - part)
        if self.bar.length == 0:
            return
        last = max((o for o, _, _ in self.bar.notes), default=None)
        if last is None:
            return
        lost = None
        for i, (o, d, p) in enumerate(self.bar.notes):
            if o == last:
                lost = d - d * before
                self.bar.notes[i] = (o, d * before, p)
        self.bar.length -= lost
        self.next_broken = after

    def barline(self, sign):
        self.bar.closes = sign.startswith(":")
        if self.bar.length:
            self.bars.append(self.bar)
        elif self.bar.closes and self.bars:
            self.bars[-1].closes = True
        self.bar = Bar()
        self.accidentals = {}
        digit = re.search(r"[12]", sign)
        self.bar.ending = int(digit[0]) if digit else 0
        self.bar.opens = bool(re.search(r"\|.*:|::", sign)) and not digit

    def line(self, text):
        for m in TOKEN.finditer(text):
            if m["field"]:
                name, value = m["field"][1], m["field"][3:-1]
                if name == "K":
                    self.set_key(value)
                elif name == "L":
                    self.unit = Fraction(value.strip())
                elif name == "M":
                    self.set_metre(value)
            elif m["tuplet"]:
                self.left = int(m["tuplet"])
                self.tuplet = TUPLET.get(self.left, Fraction(1))
            elif m["bar"]:
                self.barline(m["bar"])
            elif m["chord"]:
                inner = NOTE.findall(m["chord"])
                length = multiple(m["chordlength"]) * multiple(inner[0][3])
                self.sound([self.pitch(a, l, o) for a, l, o, _ in inner], length)
            elif m["letter"]:
                rest = m["letter"] in "zx"
                self.sound([] if rest else [self.pitch(m["accidental"] or "", m["letter"], m["octave"])], multiple(m["length"]))
            elif m["broken"]:
                self.dot(m["broken"])
            elif m["tie"]:
                self.tied = True


def unfold(bars):
    """Write the repeats out: `|: A |1 x :|2 y |` becomes `A x A y`."""
    out, start, i, second = [], 0, 0, False
    jumped = set()
    while i < len(bars):
        bar = bars[i]
        if bar.opens and i != start:
            start, second = i, False
        if bar.ending == 1 and second:  # second time: on to the second ending
            while i < len(bars) and bars[i].ending != 2 and not bars[i].closes:
                i += 1
            i += 0 if i < len(bars) and bars[i].ending == 2 else 1
            second, start = False, i
            continue
        out.append(bar)
        if bar.closes and i not in jumped:
            jumped.add(i)
            i, second = start, True
            continue
        if bar.closes:
            second, start = False, i + 1
        i += 1
    return out


def joined(bars, full):
    """Join a bar that a repeat sign cuts in two; a pick-up at the very beginning stays a short bar."""
    out = []
    for bar in bars:
        if len(out) > 1 and out[-1].length < full and out[-1].length + bar.length <= full:
            before = out.pop()
            moved = [(o + before.length, d, p) for o, d, p in bar.notes]
            bar = Bar(before.notes + moved, before.length + bar.length)
        out.append(bar)
    return out


def clean_title(text):
    """`THE BUTCHERS' MARCH -- JIG` -> `The Butchers' March`."""
    title = re.split(r"\s+-+\s+", text)[0].strip().strip(".")
    if title.isupper():
        title = re.sub(r"[A-Za-z]+(?:'[A-Za-z]+)?", lambda m: m[0].capitalize(), title)
    return re.sub(r"\s+", " ", title).replace('"', "")


def read(path):
    """Read one ABC file. Raises `Unreadable` when it has no usable music."""
    head, music = fields_and_music(path.read_text(encoding="utf-8", errors="replace"))
    try:
        reader = Reader(head)
        sharps = reader.sharps
        over, under = reader.metre
        full = Fraction(over, under) * reader.scale
        for text in music:
            reader.line(text)
        reader.barline("|")
    except (ValueError, AttributeError, ZeroDivisionError) as e:
        raise Unreadable(str(e)) from e
    bars = joined(unfold(reader.bars), full)
    whole_bars = sum(b.length == full for b in bars)
    if len(bars) < 8 or whole_bars < 0.9 * len(bars):
        raise Unreadable(f"{whole_bars} of {len(bars)} bars are whole")
    who = next((n for n in TRANSCRIBERS if n.split()[-1] in head.get("Z", "")), "not named")
    return Tune(clean_title(head.get("T", path.stem)), head.get("R", "").strip().lower(), who, sharps, full, bars)
