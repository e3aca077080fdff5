"""Sizes of the published checkpoints, by the names that the reference implementation gives them."""

# The order matters: the codec is imported first.
PARTS = ("vqvae", "upsampler-1", "1b-lyrics")

CODEC = {
    "levels": 3, "downs_t": [3, 2, 2], "strides_t": [2, 2, 2], "emb_width": 64, "l_bins": 2048, "width": 32, "depth": 4,
    "m_conv": 1.0, "multipliers": [2, 1, 1], "dilation_growth_rate": 3, "dilation_cycle": None,
    "reverse_decoder_dilation": True, "loss": {"sr": 44100},
}  # fmt: skip
PRIOR = {
    "bins": 2048, "sr": 44100, "min_duration": 17.84, "max_duration": 600.0, "labels": True, "merged": False,
    "prime_frac": 0.4, "downs_t": [3, 2, 2], "strides_t": [2, 2, 2], "depth": 72,
}  # fmt: skip
UPSAMPLER = PRIOR | {
    "level": 1, "top": False, "mode": "none", "n_tokens": 0, "n_vocab": 80, "width": 1920, "heads": 1, "n_ctx": 8192,
    "blocks": 128, "order": 2, "t_bins": 128, "genre_bins": 120, "artist_bins": 4111, "G": 5, "cond_width": 1024,
    "cond_depth": 16, "cond_growth": 3, "cond_cycle": 8, "cond_res_scale": True, "cond_downs": 2, "cond_stride": 2,
}  # fmt: skip
LYRICS = PRIOR | {
    "level": 2, "top": True, "mode": "single", "n_tokens": 384, "n_vocab": 79, "width": 2048, "heads": 2, "n_ctx": 6144,
    "blocks": 64, "order": 12, "t_bins": 64, "genre_bins": 604, "artist_bins": 7898, "G": 1,
}  # fmt: skip
CONFIGS = dict(zip(PARTS, (CODEC, UPSAMPLER, LYRICS)))
SMALL = {
    "vqvae": {"width": 8, "emb_width": 16},
    "upsampler-1": {"width": 64, "n_ctx": 256, "blocks": 8, "depth": 6, "cond_width": 16, "cond_depth": 4, "artist_bins": 20},
    "1b-lyrics": {"width": 64, "n_ctx": 200, "n_tokens": 24, "blocks": 8, "depth": 32, "artist_bins": 20},
}  # fmt: skip

# What the priors are told: rows of their tables, seconds of the song, and words of our own.
ARTIST, GENRE, SONG_SECONDS = 3, 2, 60
WORDS = (
    "Count the lanterns on the water, count the gulls above the pier; all the boats are turning homeward, and the evening "
    "finds us here.\nTell the tide to take it slowly, tell the wind to hold its tune: we have bread and salt and stories, "
    "and a borrowed yellow moon.\n"
) * 3


def config_of(part, small):
    return CONFIGS[part] | (SMALL[part] if small else {})


def file_of(part):
    return f"{part}.pth.tar"
