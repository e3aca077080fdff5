"""Events -> sound: a MIDI file, FluidSynth with FluidR3 GM, then level, tail and FLAC."""

import os
import subprocess
import tempfile
from pathlib import Path

import mido
import numpy as np
import soundfile
import soxr

TICKS = 480
TAIL = 3.0  # seconds that the last chord may ring before the silence is trimmed
RMS, PEAK = 0.1, 0.98
SILENCE = 10 ** (-60 / 20)  # of full scale, after levelling
LOWEST = 20.0  # hertz; nothing below is kept
SUBTYPE = "PCM_16"


class RenderError(Exception):
    """The synthesizer or a decoder gave no sound."""


def write_midi(events, channels, tempo, path, cut=0.0):
    """`tempo` in beats a minute; pitches outside of the piano's range are moved in by octaves; `cut` seconds are taken off
    the beginning."""
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=round(6e7 / tempo))])
    for channel, (program, volume) in channels.items():
        track.append(mido.Message("program_change", channel=channel, program=program))
        track.append(mido.Message("control_change", channel=channel, control=7, value=volume))
    queue = []
    for onset, length, pitch, channel, velocity in events:
        while pitch < 21:
            pitch += 12
        while pitch > 108:
            pitch -= 12
        start, end = (max(0, round((beat - cut * tempo / 60) * TICKS)) for beat in (onset, onset + length))
        queue.append((start, 1, channel, pitch, min(127, max(1, velocity))))
        queue.append((max(start + 1, end - 1), 0, channel, pitch, 0))
    now = 0
    for tick, on, channel, pitch, velocity in sorted(queue):
        kind = "note_on" if on else "note_off"
        track.append(mido.Message(kind, channel=channel, note=pitch, velocity=velocity, time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=int(TAIL * tempo / 60 * TICKS)))
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    midi.tracks.append(track)
    midi.save(path)


def synthesize(events, channels, tempo, end, soundfont, rate):
    """Mono samples of the events; `end` is the length in beats."""
    with tempfile.TemporaryDirectory() as folder:
        midi, raw = Path(folder, "a.mid"), Path(folder, "a.raw")
        write_midi(events, channels, tempo, midi)
        command = ["fluidsynth", "-ni", "-q", "-g", "0.6", "-C", "0", "-R", "1", "-r", str(rate), "-O", "s16", "-T", "raw"]
        command += ["-o", "synth.reverb.room-size=0.4", "-o", "synth.reverb.level=0.5", "-o", "synth.dynamic-sample-loading=1"]
        done = subprocess.run([*command, "-F", str(raw), str(soundfont), str(midi)], capture_output=True, text=True, timeout=600)
        if done.returncode != 0 or not raw.exists() or raw.stat().st_size == 0:
            raise RenderError(f"fluidsynth made no sound: {done.stderr.strip()[-200:]}")
        stereo = np.fromfile(raw, np.int16).reshape(-1, 2)
    return stereo.mean(1)[: int((end * 60 / tempo + TAIL) * rate)].astype(np.float32) / 32768


def decode(paths, rate):
    """Mono samples at `rate` of a recording; several files are its stems and are summed."""
    stems = []
    for path in paths:
        samples, own = soundfile.read(path, dtype="float32", always_2d=True)
        stems.append(soxr.resample(samples.mean(1), own, rate, quality="VHQ"))
    length = min(map(len, stems))
    return np.sum([s[:length] for s in stems], axis=0)


def without_offset(samples, rate):
    """Take out what is below 20 Hz: soundfont loops drift, and a drifting offset would hide the silent tail."""
    padded = np.fft.rfft(samples, 1 << (len(samples) + rate).bit_length())
    frequency = np.arange(len(padded)) * (rate / 2) / (len(padded) - 1)
    padded *= np.clip((frequency - LOWEST / 2) / (LOWEST / 2), 0.0, 1.0)
    return np.fft.irfft(padded)[: len(samples)].astype(np.float32)


def level(samples):
    """RMS 0.1 (-20 dBFS), and not over 0.98 anywhere: the codec's losses then weigh all tracks alike."""
    samples = samples * (RMS / max(1e-4, float(np.sqrt((samples**2).mean()))))
    return samples * min(1.0, PEAK / max(1e-6, float(np.abs(samples).max())))


def trim(samples, rate):
    """Cut silence at both ends, and fade the last 50 ms so that the cut is not heard; -> (samples, seconds cut before)."""
    loud = np.flatnonzero(np.abs(samples) > SILENCE)
    if len(loud) == 0:
        raise RenderError("only silence")
    first = max(0, loud[0] - rate // 50)
    samples = samples[first : loud[-1] + rate // 20].copy()
    fade = min(len(samples), rate // 20)
    samples[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=samples.dtype)
    return samples, first / rate


def finished(samples, rate):
    """Levelled and trimmed; -> (samples, seconds cut at the beginning)."""
    samples, cut = trim(level(without_offset(samples, rate)), rate)
    return level(samples), cut


def save(samples, rate, path):
    """Write a FLAC file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        soundfile.write(file, samples, rate, format="FLAC", subtype=SUBTYPE)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
