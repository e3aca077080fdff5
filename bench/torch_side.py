"""The PyTorch half: random checkpoints, and what the reference implementation makes of them."""

import math
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

import published
from files import RATE, write_wav

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fixtures" / "jukebox"))

from reference import sampling, text
from reference.prior import Prior
from reference.settings import codec_settings, prior_settings
from reference.vqvae import VqVae

SEED = 2005_00341
CLIP = 44032  # samples of the codec's clip: whole tokens of every level


def module_of(part, small):
    """The model without weights."""
    with torch.device("meta"):
        return (VqVae if part == "vqvae" else Prior)(published.config_of(part, small))


def random_weight(name, like, g):
    """Noise that keeps the sizes of what passes through: the layers' outputs are of the inputs' order."""
    weight = torch.empty(like.shape).normal_(generator=g)
    if name.endswith("weight") and like.dim() == 1:  # of a norm
        return weight.mul_(0.1).add_(1)
    if name.endswith(".w"):
        return weight.mul_(like.shape[0] ** -0.5)
    if like.dim() == 3:
        return weight.mul_(like[0].numel() ** -0.5)
    return weight.mul_(0.02 if name.endswith("x_emb.weight") else 0.1)


def make(part, folder, tokens, small):
    """Writes the part's checkpoint as the published ones are: a stream of before PyTorch 1.6."""
    config, g = published.config_of(part, small), torch.Generator().manual_seed(SEED + published.PARTS.index(part))
    empty = module_of(part, small).state_dict()
    state = OrderedDict((name, random_weight(name, like, g)) for name, like in empty.items())
    state._metadata = empty._metadata
    if part == "vqvae":
        settle_codec(state, small, g)
        settings = codec_settings(config)
    else:
        state["prior.x_out.weight"] = state["prior.x_emb.weight"]  # tied
        settings = prior_settings(config)
    checkpoint = {"hps": {"name": part} | settings, "model": state, "opt": None, "step": 0}
    torch.save(checkpoint, folder / published.file_of(part), _use_new_zipfile_serialization=False)


@torch.no_grad()
def settle_codec(state, small, g):
    """Entries as far spread as what the encoders make of noise, so that many are used, and sound within full scale."""
    codec = module_of("vqvae", small)
    codec.load_state_dict(state, assign=True)
    noise = clip(CLIP, g)[None, None]
    for book, encoder, decoder in zip(codec.codebooks, codec.encoders, codec.decoders):
        latents = encoder(noise)
        book.k.normal_(generator=g).mul_(latents[0].std(1)).add_(latents[0].mean(1))
        loudest = decoder(book.decode(book.encode(latents))).abs().max()
        decoder.out.weight.mul_(0.5 / loudest)
        decoder.out.bias.mul_(0.5 / loudest)


def clip(samples, g):
    """Noise and a tone, in steps of 16-bit sound."""
    sound = 0.1 * torch.randn(samples, generator=g) + 0.3 * torch.sin(torch.arange(samples) * 2 * math.pi * 440 / RATE)
    return (sound.clamp(-0.99, 0.99) * 32768).round() / 32768


def load(part, folder, small):
    """The model with the checkpoint's weights, which are in memory once."""
    module = module_of(part, small)
    checkpoint = torch.load(folder / published.file_of(part), weights_only=True)
    module.load_state_dict(checkpoint["model"], assign=True)
    return module.eval()


@torch.inference_mode()
def reference(part, folder, tokens, small):
    """Writes `expected-PART.safetensors`, and the sound that the program is to read."""
    samples = CLIP if part == "vqvae" else tokens * {"upsampler-1": 32, "1b-lyrics": 128}[part]
    sound = clip(samples, torch.Generator().manual_seed(SEED))
    write_wav(folder / f"{part}.wav", sound.numpy())
    model = load(part, folder, small)
    if part == "vqvae":
        expected = codec_numbers(model, sound)
    else:
        levels = encode(load("vqvae", folder, small), sound)
        expected = prior_numbers(model, levels, tokens)
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / f"expected-{part}.safetensors")


def encode(codec, sound):
    """Codes `[1, time]` of each level."""
    latents = [encoder(sound[None, None]) for encoder in codec.encoders]
    return [book.encode(x) for book, x in zip(codec.codebooks, latents)]


def codec_numbers(codec, sound):
    """Codes of each level, how clear they are, and the sound that they stand for."""
    out = {}
    for level, book in enumerate(codec.codebooks):
        latents = codec.encoders[level](sound[None, None])
        codes = book.encode(latents)
        nearest = book.distances(latents).topk(2, largest=False).values
        out[f"level_{level}"] = codes[0]
        out[f"margin_{level}"] = nearest[:, 1] - nearest[:, 0]
        out[f"sound_{level}"] = codec.decoders[level](book.decode(codes))[0, 0]
    return out


def prior_numbers(prior, levels, tokens):
    """Greedy tokens with their logits from nothing, and hidden states of the clip's codes behind the last layer."""
    config, level = prior.config, prior.config["level"]
    upper = None if config["top"] else levels[level + 1]
    cache, greedy = {}, sampling.Greedy(prior)
    nothing = torch.zeros(1, 0, dtype=torch.long)
    words = text.tokenise(text.clean(published.WORDS, text.VOCABULARY_V3), text.VOCABULARY_V3)
    y = labels(prior, published.ARTIST, published.GENRE, published.SONG_SECONDS * RATE, words)
    drawn, logits = sampling.draw(prior, nothing, tokens, greedy, y, upper, cache)
    out = {"tokens": drawn[0], "logits": logits[0], "gap": torch.tensor(greedy.gap)}

    # A recording of nobody in particular, as short as the model's timing allows, without words.
    total = math.ceil(config["min_duration"] * RATE) if config["top"] else tokens * prior.hop
    y = labels(prior, 0, 0, total, [])
    seen = []
    hook = prior.prior.transformer._attn_mods[-1].register_forward_hook(lambda _, __, given: seen.append(given[0]))
    stream = prior.stream(levels[level], y)
    prior.prior.states(stream[:, :-1], **prior.conditions(y, upper))
    hook.remove()
    out |= {"hidden": seen[0][0, prior.lyrics :], "codes": levels[level][0]}
    if upper is not None:
        out["upper"] = upper[0]
    return out


def labels(prior, artist, genre, total, words):
    """One row for the window at the song's start."""
    config = prior.config
    length = config["n_ctx"] * prior.hop
    row = [total, 0, length, artist, genre] + [-1] * (config["G"] - 1)
    if config["n_tokens"]:
        row += text.lyric_window(words, config["n_tokens"], total, 0, length)[0]
    return torch.tensor([row])
