#!/usr/bin/env python3
"""Prepare the data set that the shipped `tiny` model is trained on.

Fetches scores, a soundfont and recordings from the package registries, renders the scores, and writes mono FLAC files with
`manifest.jsonl` and `ATTRIBUTION.txt`. Run it again after an interruption: what is done is skipped. See README.md beside it.
"""

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

import fetch

RECORDED = ("ufoai-music", "naev-data")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the data set")
    parser.add_argument("--hours", type=float, default=30.0, help="length of the whole set, recordings included")
    parser.add_argument(
        "--recordings",
        nargs="*",
        default=list(RECORDED),
        choices=RECORDED,
        metavar="PACKAGE",
        help="Debian packages of recordings; none after the option: rendered scores only",
    )
    parser.add_argument("--chorale-share", type=float, default=0.2, help="part of the rendered hours that is chorales")
    parser.add_argument(
        "--keys",
        type=int,
        nargs="+",
        default=[-1, 0, 1, 2, 3],
        metavar="SHARPS",
        help="key signatures in sharps (flats negative); a score goes to the nearest one first, to the next nearest when it is played again",
    )
    parser.add_argument("--sample-rate", type=int, default=22050, help="hertz")
    parser.add_argument("--jobs", type=int, default=2, help="tracks made at a time")
    parser.add_argument("--cache", type=Path, help="folder for what is fetched (default: cache beside --out)")
    given = parser.parse_args()
    if not 0 < given.hours <= 1000:
        parser.error("--hours must be above 0 and at most 1000")
    if not 0 <= given.chorale_share <= 1:
        parser.error("--chorale-share must be from 0 to 1")
    if any(not -7 <= k <= 7 for k in given.keys):
        parser.error("--keys must be from -7 to 7")
    if not 8000 <= given.sample_rate <= 48000:
        parser.error("--sample-rate must be from 8000 to 48000")
    if given.jobs < 1:
        parser.error("--jobs must be 1 or more")
    return given


def work(job):
    """One track in a worker: nothing, or why it could not be made."""
    import tracks

    track, soundfont, rate, path = job
    try:
        tracks.make(track, soundfont, rate, path)
        return track, None
    except Exception as e:  # one damaged file must not end a long run; it is reported and counted
        return track, f"{type(e).__name__}: {e}"


def make_all(todo, given, soundfont):
    """Make the tracks that are not there yet; returns those that failed."""
    jobs = [(t, soundfont, given.sample_rate, given.out / t.path()) for t in todo]
    jobs = [j for j in jobs if not j[-1].exists()]
    print(f"{len(todo)} tracks, {len(todo) - len(jobs)} already there", file=sys.stderr)
    failed, begun = [], time.monotonic()
    with multiprocessing.Pool(given.jobs) as pool:
        for n, (track, why) in enumerate(pool.imap_unordered(work, jobs), 1):
            if why:
                failed.append(track)
                print(f"left out: {track.title} ({track.artist}): {why}", file=sys.stderr)
            if n % 25 == 0 or n == len(jobs):
                left = (time.monotonic() - begun) / n * (len(jobs) - n)
                print(f"{n}/{len(jobs)} made, about {left / 60:.1f} min left", file=sys.stderr, flush=True)
    return failed


def main():
    given = arguments()
    fetch.check_tools()
    try:
        import manifest
        import tracks
    except ImportError as e:
        raise fetch.Missing(f"the Python package `{e.name}` is missing; hint: pip install -r {Path(__file__).with_name('requirements.txt')}") from e
    given.out.mkdir(parents=True, exist_ok=True)
    cache = (given.cache or given.out.absolute().parent / "cache").absolute()
    soundfont = fetch.soundfont(cache)
    corpus = fetch.scores(cache)
    packages = {p: fetch.debian(p, cache) for p in given.recordings}

    recorded = tracks.recordings(packages)
    rendered = max(0.0, given.hours * 3600 - sum(t.seconds for t in recorded))
    chorales = tracks.until(tracks.chorale_tracks(corpus / "bach", given.keys), rendered * given.chorale_share)
    dances = tracks.until(tracks.dance_tracks(corpus / "ryansMammoth", given.keys), rendered * (1 - given.chorale_share))
    todo = recorded + chorales + dances

    failed = make_all(todo, given, soundfont)
    rows = manifest.write_manifest([t for t in todo if t not in failed], given.out)
    manifest.write_attribution(rows, given.out)
    print(manifest.table(rows))
    if len(failed) > len(todo) // 100:
        raise fetch.Missing(f"{len(failed)} of {len(todo)} tracks could not be made; hint: the lines above say why")


if __name__ == "__main__":
    try:
        main()
    except fetch.Missing as e:
        print(f"error: {e}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
