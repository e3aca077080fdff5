//! Bad input gets one clear line that names the thing, a hint, and exit code 1 or 2; and it leaves nothing behind.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use support::{SMALL_CODEC, SMALL_PRIOR, Studio, melody};

/// What was not refused as it should be.
static FAULTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Takes note if a command does not fail as it should: `names` are in what it says.
fn refused(line: &str, code: i32, names: &[&str]) {
    let studio = Studio::shared();
    let before = listing(&studio.path(""));
    let ended = studio.run(line);
    let lines = |start: &str| ended.stderr.lines().filter(|l| l.starts_with(start)).count();
    let mut faults = Vec::new();
    if ended.code != Some(code) {
        faults.push(format!("exit code {:?}, not {code}", ended.code));
    }
    if !ended.stdout.is_empty() {
        faults.push(format!("it says on stdout: {}", ended.stdout));
    }
    if lines("error: ") != 1 || lines("hint: ") != 1 || ended.stderr.matches("hint: ").count() != 1 {
        faults.push("not one error with one hint".to_owned());
    }
    faults.extend(names.iter().filter(|name| !ended.stderr.contains(**name)).map(|name| format!("no `{name}`")));
    if listing(&studio.path("")) != before {
        faults.push("it leaves something behind".to_owned());
    }
    if !faults.is_empty() {
        FAULTS.lock().unwrap().push(format!("orchestrion {line}\n{}-> {}", ended.stderr, faults.join("; ")));
    }
}

/// All files below a folder.
fn listing(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(listing(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

/// A copy of a model folder with one file changed.
fn copy_of(model: &str, name: &str, file: &str, change: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>) {
    let studio = Studio::shared();
    fs::create_dir_all(studio.path(name)).unwrap();
    for entry in fs::read_dir(studio.path(model)).unwrap().map(|e| e.unwrap()).filter(|e| e.path().is_file()) {
        fs::copy(entry.path(), studio.path(name).join(entry.file_name())).unwrap();
    }
    let path = studio.path(name).join(file);
    match change(fs::read(&path).unwrap()) {
        Some(bytes) => fs::write(&path, bytes).unwrap(),
        None => fs::remove_file(&path).unwrap(),
    }
}

fn half(mut bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes.truncate(bytes.len() / 2);
    Some(bytes)
}

/// One after the other, because each looks at what the others would leave.
#[test]
fn everything_bad_is_refused_by_name() {
    let studio = Studio::shared();
    recordings(studio);
    models();
    requests();
    labels();
    sessions(studio);
    places(studio);
    training(studio);
    manifests(studio);
    let faults = FAULTS.lock().unwrap();
    assert!(faults.is_empty(), "{} commands:\n\n{}", faults.len(), faults.join("\n\n"));
}

fn recordings(studio: &Studio) {
    let song = fs::read(studio.path("songs/bell choir/hymn 0.wav")).unwrap();
    let put = |name: &str, bytes: &[u8]| fs::write(studio.path(name), bytes).unwrap();
    put("empty.wav", b"");
    put("cut.wav", &song[..40]);
    put("text.wav", b"This is a letter, not a song. Many greetings from someone who renamed a file.");
    put("noise.mp3", &(0..20_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>());
    let short = orchestrion_audio::Clip::from_mono(melody(2, 2.0, 0, 100), 22_050);
    orchestrion_audio::write(&studio.path("short.wav"), &short, &[]).unwrap();
    for file in ["missing.wav", "empty.wav", "cut.wav", "text.wav", "noise.mp3", "songs"] {
        refused(&format!("encode {file} --model up0 --out x.safetensors"), 1, &[&format!("`{file}`")]);
        refused(&format!("sample --model up0 --seconds 2 --prompt {file} --out x"), 1, &[&format!("`{file}`")]);
    }
    refused("encode short.wav --model up0 --out x.safetensors", 2, &["`short.wav`", "256 samples"]);
    refused("encode riff.wav --offset NaN --model up0 --out x.safetensors", 1, &["`riff.wav`"]);

    let long = orchestrion_audio::Clip::from_mono(melody(2, 2.0, 0, 3 * 22_050), 22_050);
    orchestrion_audio::write(&studio.path("long.wav"), &long, &[]).unwrap();
    refused("sample --model up0 --seconds 2 --prompt long.wav --out x", 2, &["3.00 seconds or more"]);
    refused("encode long.wav --offset 60 --model up0 --out x.safetensors", 1, &["`long.wav`", "60"]);
    refused("encode long.wav --seconds 0 --model up0 --out x.safetensors", 1, &["`long.wav`"]);
    refused("sample --model up0 --prompt long.wav --prompt-seconds -1 --out x", 1, &["`long.wav`", "-1"]);
}

fn models() {
    refused("sample --model nowhere --out x", 2, &["no model `nowhere`"]);
    refused("model info --model songs", 1, &["`songs`", "config.json"]);
    copy_of("up0", "half-config", "config.json", half);
    refused("sample --model half-config --out x", 1, &["`half-config/config.json`"]);
    copy_of("up0", "half-codec", "codec.safetensors", half);
    refused("sample --model half-codec --out x", 1, &["`half-codec/codec.safetensors`"]);
    copy_of("up0", "half-prior", "prior-2.safetensors", half);
    refused("sample --model half-prior --seconds 1 --out x", 1, &["`half-prior/prior-2.safetensors`"]);
    copy_of("up0", "no-prior-file", "prior-1.safetensors", |_| None);
    refused("sample --model no-prior-file --seconds 1 --out x", 1, &["no-prior-file/prior-1.safetensors"]);
    copy_of("up0", "wider", "config.json", |bytes| {
        let text = String::from_utf8(bytes).unwrap();
        let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
        config["codec"]["width"] = 16.into();
        Some(config.to_string().into_bytes())
    });
    refused("encode long.wav --model wider --out x.safetensors", 1, &["weights don't fit", "wider/"]);
    copy_of("up0", "stranger", "config.json", |bytes| {
        let mut config: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        config["codec"]["flavour"] = "sweet".into();
        Some(config.to_string().into_bytes())
    });
    refused("doctor --model stranger", 1, &["`stranger/config.json`", "flavour"]);
    copy_of("up0", "garbage-codec", "codec.safetensors", |b| Some(vec![0xff; b.len()]));
    refused("encode long.wav --model garbage-codec --out x.safetensors", 1, &["`garbage-codec/codec.safetensors`"]);
    refused("sample --model top --seconds 1 --out x", 2, &["no prior for level 1"]);
    refused("eval likelihood --tokens tokens --model codec --level 2", 2, &["no prior for level 2"]);
    refused("model merge top garbage-codec --out x", 2, &["`garbage-codec`"]);
    refused("sample --model up0 --device abacus --out x", 2, &["`abacus`"]);
}

fn requests() {
    for (options, names) in [
        ("--seconds 0", ["0 seconds", "3600"]),
        ("--seconds -1", ["-1 seconds", "3600"]),
        ("--seconds 1e9", ["1000000000 seconds", "3600"]),
        ("--seconds NaN", ["NaN seconds", "3600"]),
        ("--seconds 0.001", ["0.001 seconds", "top-level token"]),
        ("--seconds 1000", ["a song of 1000", "600 s"]),
        ("--seconds 2 --song-seconds NaN", ["song of NaN", "2"]),
        ("--seconds 2 --song-seconds 1", ["song of 1 ", "2"]),
        ("--seconds 2 --takes 0", ["0 takes", "64"]),
        ("--seconds 2 --takes 1000", ["1000 takes", "64"]),
        ("--seconds 2 --top-p 0", ["top-p is 0", "level 0"]),
        ("--seconds 2 --top-p 1.5", ["top-p is 1.5", "level 0"]),
        ("--seconds 2 --top-k 0", ["top-k is 0", "level 0"]),
        ("--seconds 2 --temperature -1", ["temperature is -1", "level 0"]),
        ("--seconds 2 --temperature 1,1,inf", ["temperature is inf", "level 2"]),
        ("--seconds 2 --temperature 1,1", ["`--temperature` has 2 values", "3 levels"]),
        ("--seconds 2 --hop-fraction 0.5,0.5,0.5,0.5", ["`--hop-fraction` has 4 values", "3 levels"]),
        ("--seconds 2 --hop-fraction 0", ["hop fraction of 0", "level 0"]),
        ("--seconds 2 --hop-fraction 2", ["hop fraction of 2", "level 0"]),
        ("--seconds 2 --levels 9", ["level 9", "0 to 2"]),
        ("--seconds 2 --levels 2,2", ["level 2", "twice"]),
        ("--seconds 2 --levels 0", ["level 0", "level 1"]),
    ] {
        refused(&format!("sample --model up0 --out x {options}"), 2, &names);
    }
}

fn labels() {
    refused("sample --model up0 --seconds 2 --artist organ --out x", 2, &["no artist `organ`", "reed organ"]);
    refused("sample --model up0 --seconds 2 --genre hym --out x", 2, &["no genre `hym`", "`hymn`"]);
    refused("sample --model up0 --seconds 2 --genre hymn:0.5,real:0.5 --out x", 2, &["no genre `real`", "`reel`"]);
    refused("sample --model up0 --seconds 2 --genre hymn:-1,reel:2 --out x", 2, &["weight of `hymn`"]);
}

fn sessions(studio: &Studio) {
    studio.good("sample --model up0 --seconds 0.5 --seed 1 --out session");
    let whole = fs::read(studio.path("session/session.safetensors")).unwrap();
    refused("sample --model up0 --continue gone.safetensors", 1, &["`gone.safetensors`"]);
    refused("sample --model up0 --continue session/take-1.wav", 1, &["`session/take-1.wav`"]);
    refused("sample --model up0 --continue session/take-1.tokens.safetensors", 1, &["no session"]);
    refused("sample --model top --continue session/session.safetensors", 1, &["tiny-top"]);
    refused("sample --model up0 --continue session/session.safetensors --takes 2", 2, &["1 takes"]);
    refused("sample --model up0 --continue session/session.safetensors --seconds 0.2", 2, &["0.50 seconds"]);
    refused("sample --model up0 --seconds 0.5 --out session", 1, &["`session/session.safetensors` exists"]);
    let name = "`damaged.safetensors`";
    for offset in [0, 1, 7, 9, 60, whole.len() / 3, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[offset] ^= 0x40;
        fs::write(studio.path("damaged.safetensors"), damaged).unwrap();
        refused("sample --model up0 --continue damaged.safetensors", 1, &[name]);
    }
    for length in [0, 4, 100, whole.len() - 1] {
        fs::write(studio.path("damaged.safetensors"), &whole[..length]).unwrap();
        refused("sample --model up0 --continue damaged.safetensors", 1, &[name]);
        refused("sample --model up0 --upsample damaged.safetensors --out x", 1, &[name]);
        refused("decode damaged.safetensors --model up0 --out x.wav", 1, &[name]);
    }
    refused(
        "decode session/session.safetensors --model up0 --level 7 --out x.wav",
        2,
        &["session/session.safetensors`"],
    );
    refused("decode session/session.safetensors --model up0 --out x.ogg", 1, &["`x.ogg`"]);
}

fn places(studio: &Studio) {
    fs::write(studio.path("file"), "not a folder").unwrap();
    refused("sample --model up0 --seconds 0.5 --out file", 1, &["`file`"]);
    refused("sample --model up0 --seconds 0.5 --out file/music", 1, &["`file/music`"]);
    refused("encode long.wav --model up0 --out file/x.safetensors", 1, &["`file/x.safetensors`"]);
    refused("encode long.wav --model up0 --out nowhere/x.safetensors", 1, &["`nowhere/x.safetensors`"]);
    refused("decode session/session.safetensors --model up0 --out nowhere/x.wav", 1, &["`nowhere/x.wav`"]);
    refused("data scan songs --out nowhere/x.jsonl", 1, &["`nowhere/x.jsonl`"]);
    refused("data scan nowhere --out x.jsonl", 1, &["`nowhere`"]);
    refused("model merge up0 --out file/model", 1, &["`file/model`"]);
    let sealed = studio.path("sealed");
    fs::create_dir_all(&sealed).unwrap();
    let mut permissions = fs::metadata(&sealed).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&sealed, permissions.clone()).unwrap();
    // A superuser writes anyway, and so do all on systems where folders cannot be sealed.
    if fs::write(sealed.join("probe"), "").is_ok() {
        fs::remove_file(sealed.join("probe")).unwrap();
    } else {
        refused("sample --model up0 --seconds 0.5 --out sealed", 1, &["`sealed/session.safetensors"]);
        refused("sample --model up0 --seconds 0.5 --out sealed/music", 1, &["`sealed/music`"]);
    }
    #[allow(clippy::permissions_set_readonly_false, reason = "the next run removes the folder")]
    permissions.set_readonly(false);
    fs::set_permissions(&sealed, permissions).unwrap();
}

fn training(studio: &Studio) {
    let recipe = fs::read_to_string(studio.path("recipes/codec.toml")).unwrap();
    let put = |name: &str, text: &str| fs::write(studio.path(name), text).unwrap();
    put("broken.toml", &recipe[..recipe.len() / 2].replace("[codec.network]", "[codec.network"));
    put("unknown-key.toml", &recipe.replace("lr = ", "learning_rait = "));
    put("wrong-type.toml", &recipe.replace("steps = 20000", "steps = \"many\""));
    put("circle.toml", "base = \"circle.toml\"\n");
    for file in ["broken.toml", "unknown-key.toml", "wrong-type.toml", "circle.toml", "missing.toml"] {
        let key = if file == "unknown-key.toml" { "learning_rait" } else { file };
        let code = if file == "missing.toml" { 1 } else { 2 };
        refused(&format!("train {file} --data songs.jsonl --out x"), code, &[&format!("`{file}`"), key]);
    }
    let codec = format!("train recipes/codec.toml --data songs.jsonl --out x {SMALL_CODEC}");
    refused(&format!("{codec} --set run.steps=0"), 2, &["steps"]);
    refused(&format!("{codec} --set run.steps"), 2, &["`run.steps`"]);
    refused(&format!("{codec} --set run.stepz=3"), 2, &["stepz"]);
    refused(&format!("{codec} --set optimizer.lr=-1"), 2, &["optimizer"]);
    refused(&format!("{codec} --set codec.crop=5000"), 2, &["codec.crop: 5000", "256"]);
    refused(&format!("{codec} --set codec.network.strides=[]"), 2, &["strides"]);
    let other_sizes = format!("{codec} --set codec.network.width=16 --from top");
    refused(&other_sizes, 1, &["codec.network", "tiny-top"]);
}

fn manifests(studio: &Studio) {
    let songs = fs::read_to_string(studio.path("songs.jsonl")).unwrap();
    let put = |name: &str, text: &str| fs::write(studio.path(name), text).unwrap();
    put("broken.jsonl", &format!("{songs}{{\"path\": 3"));
    put("empty.jsonl", "");
    put("gone.jsonl", &songs.replace(".wav", ".ogg"));
    for file in ["missing.jsonl", "broken.jsonl", "empty.jsonl"] {
        refused(&format!("train recipes/codec.toml --data {file} --out x {SMALL_CODEC}"), 1, &[file]);
        refused(&format!("data tokenize {file} --model codec --out x"), 1, &[file]);
        refused(&format!("eval reconstruction --data {file} --model codec"), 1, &[file]);
    }
    refused(&format!("train recipes/codec.toml --data gone.jsonl --out x {SMALL_CODEC}"), 1, &[".ogg`"]);
    refused(&format!("train recipes/top.toml --tokens nowhere --model codec --out x {SMALL_PRIOR}"), 1, &["nowhere"]);
    refused(
        &format!("train recipes/top.toml --tokens tokens --model nowhere --out x {SMALL_PRIOR}"),
        2,
        &["`nowhere`"],
    );
    refused(&format!("train recipes/top.toml --model codec --out x {SMALL_PRIOR}"), 2, &["--tokens"]);
    refused(&format!("train recipes/codec.toml --out x {SMALL_CODEC}"), 2, &["--data"]);
}
