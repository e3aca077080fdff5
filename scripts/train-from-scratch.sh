#!/usr/bin/env bash
# From a folder of songs to music: codec, tokens, top prior, two upsamplers, sample.
#
#   scripts/train-from-scratch.sh SONGS OUT [small]
#
# SONGS is a folder of recordings, or a manifest that `data scan` wrote. With `small` every network and run is tiny:
# a minute on two cores that proves the way, not the music.
set -euo pipefail
songs=$1
out=$2
size=${3:-full}
here=$(cd "$(dirname "$0")/.." && pwd)
run=(cargo run --quiet --manifest-path "$here/Cargo.toml" --)

codec=() prior=()
if [ "$size" = small ]; then
  codec=(--set codec.crop=4096 --set codec.network.width=8 --set codec.network.codebook_size=64 --set data.batch=2
    --set run.steps=8 --set run.save_every=8 --set run.log_every=2 --set run.evaluation_batches=1)
  prior=(--set prior.transformer.width=32 --set prior.transformer.depth=3 --set prior.transformer.context=256 --set data.batch=2
    --set run.steps=8 --set run.save_every=8 --set run.log_every=2 --set run.evaluation_batches=1 --set run.warmup=2)
fi

mkdir -p "$out"
manifest=$songs
if [ -d "$songs" ]; then
  manifest=$out/songs.jsonl
  "${run[@]}" data scan "$songs" --out "$manifest" --valid 0.1 --test 0.1
fi
"${run[@]}" train "$here/recipes/tiny/codec.toml" --data "$manifest" --out "$out/codec" "${codec[@]}"
"${run[@]}" data tokenize "$manifest" --model "$out/codec" --out "$out/tokens"
"${run[@]}" train "$here/recipes/tiny/top.toml" --tokens "$out/tokens" --model "$out/codec" --out "$out/top" "${prior[@]}"
"${run[@]}" train "$here/recipes/tiny/upsampler-1.toml" --tokens "$out/tokens" --model "$out/top" --out "$out/up1" "${prior[@]}"
"${run[@]}" train "$here/recipes/tiny/upsampler-0.toml" --tokens "$out/tokens" --model "$out/up1" --out "$out/up0" "${prior[@]}"
"${run[@]}" sample --model "$out/up0" --seconds 6 --song-seconds 60 --seed 1 --out "$out/music"
