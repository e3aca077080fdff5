"""Sound and token files."""

import json
import wave

import numpy as np
from safetensors.numpy import save_file

RATE = 44100


def write_wav(path, sound):
    """Samples in [-1, 1) as 16-bit mono."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32768).astype("<i2").tobytes())


def read_wav(path):
    with wave.open(str(path), "rb") as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def write_tokens(path, level, hop, bins, codes):
    """A token file of one level (docs/formats.md)."""
    streams = [{"level": level, "hop_length": hop, "codebook_size": bins}]
    about = {"format_version": 1, "kind": "tokens", "sample_rate": RATE, "streams": streams, "metadata": {}}
    save_file({f"level_{level}": codes.reshape(1, 1, -1).astype("<i4")}, path, {"orchestrion": json.dumps(about)})
