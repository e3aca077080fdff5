"""The program's half: import a part, run it, compare with what PyTorch expects.

Everything that knows the program's command line stands here.
"""

import shutil

import numpy as np
from safetensors.numpy import load_file

import published
from files import read_wav, write_tokens

# Largest difference that rounding explains: of sound, in steps of 16 bits; of hidden states, relative to their spread.
SOUND, HIDDEN = 1.5 / 32768, 1e-3


def import_model(given, folder, step, part):
    """A model folder with the codec and, if the part is a prior, that prior alone."""
    out = folder / f"model-{part}"
    shutil.rmtree(out, ignore_errors=True)
    for one in ["vqvae"] if part == "vqvae" else ["vqvae", part]:
        # Small ones are not of the published sizes: they say themselves what they are.
        name = [] if given.small else ["--as", one]
        words = ["--out", out, "--dtype", given.dtype, "--accept-license", *name]
        step(f"model import {one}", [given.program, "model", "import", folder / published.file_of(one), *words])
    stored = sum(file.stat().st_size for file in out.iterdir())
    return ["--model", out], {"stored_GB": round(stored / 1e9, 3)}


def check_codec(given, folder, step):
    """Codes of a clip, and the sound of given codes."""
    model, found = import_model(given, folder, step, "vqvae")
    expected = load_file(folder / "expected-vqvae.safetensors")
    tokens = folder / "program-codes.safetensors"
    step("encode", [given.program, "encode", folder / "vqvae.wav", "--out", tokens, *model])
    codes, good = load_file(tokens), True
    for level in range(3):
        wrong = codes[f"level_{level}"].reshape(-1) != expected[f"level_{level}"]
        clear = wrong & (expected[f"margin_{level}"] > 1e-4)
        found[f"level {level}: codes that differ"] = int(wrong.sum())
        good &= not clear.any()
        if wrong.any():
            continue
        sound = folder / f"program-{level}.wav"
        step(f"decode level {level}", [given.program, "decode", tokens, "--level", level, "--out", sound, *model])
        difference = np.abs(read_wav(sound) - expected[f"sound_{level}"].clip(-1, 32767 / 32768)).max()
        found[f"level {level}: sound differs by"] = float(f"{difference:.2g}")
        good &= bool(difference <= SOUND)
    return found | {"equal": good}


def check_prior(part, level, hop):
    def check(given, folder, step):
        """Greedy tokens, and the hidden states of a clip."""
        model, found = import_model(given, folder, step, part)
        expected = load_file(folder / f"expected-{part}.safetensors")
        drawn = sample(given, folder, step, model, part, level, hop)
        found["tokens that differ"] = int((drawn != expected["tokens"]).sum())
        found["smallest lead of a token"] = float(f"{expected['gap']:.2g}")
        hidden = embed(given, folder, step, model, part, level)
        difference = np.abs(hidden - expected["hidden"]).max() / expected["hidden"].std()
        found["hidden states differ by, relative"] = float(f"{difference:.2g}")
        good = found["tokens that differ"] == 0 and difference <= HIDDEN
        return found | {"equal": bool(good)}

    return check


def sample(given, folder, step, model, part, level, hop):
    """The program's greedy tokens at the start of a song."""
    out, words = folder / f"program-{part}", ["--temperature", 0, "--top-p", 1, "--levels", level]
    shutil.rmtree(out, ignore_errors=True)
    words += ["--artist", published.ARTIST, "--genre", published.GENRE]
    if part == "1b-lyrics":
        words += ["--seconds", given.tokens * hop / 44100 + 1e-4, "--song-seconds", published.SONG_SECONDS]
        words += ["--lyrics", published.WORDS]
    else:
        upper = folder / f"upper-{part}.safetensors"
        codes = load_file(folder / f"expected-{part}.safetensors")["upper"]
        write_tokens(upper, level + 1, 4 * hop, published.CODEC["l_bins"], codes)
        words += ["--upsample", upper]
    step(f"sample {given.tokens} tokens", [given.program, "sample", "--out", out, *words, *model])
    return load_file(out / "session.safetensors")[f"level_{level}"].reshape(-1)


def embed(given, folder, step, model, part, level):
    """The program's hidden states behind the last layer, `[tokens, width]`."""
    out = folder / f"program-{part}-hidden.safetensors"
    layer = published.config_of(part, given.small)["depth"] - 1
    words = ["--level", level, "--layer", layer, "--out", out]
    step("embed", [given.program, "embed", folder / f"{part}.wav", *words, *model])
    return load_file(out)["hidden"]


CHECKS = {
    "vqvae": check_codec,
    "upsampler-1": check_prior("upsampler-1", 1, 32),
    "1b-lyrics": check_prior("1b-lyrics", 2, 128),
}
