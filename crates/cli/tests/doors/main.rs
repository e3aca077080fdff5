//! Every door through which a stranger's file comes in, under mutated files: a result or an error that says what is wrong;
//! no panic, no hang, and memory within a bound.
//!
//! `ORCHESTRION_INPUTS` is how many inputs each door gets, `ORCHESTRION_FIRST` the number of the first one. An input is a
//! function of its door and number, so a failure names all that is needed to see it again.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod mutate;
mod open;
mod seeds;
mod siege;

use siege::besiege;

macro_rules! doors {
    ($($name:ident by $open:ident)*) => {$(
        #[test]
        fn $name() {
            besiege(stringify!($name), &seeds::$name(), open::$open);
        }
    )*};
}

doors!(
    wav by sound  aiff by sound  flac by sound  mp3 by sound  ogg by sound  m4a by sound  aac by sound
    manifest by manifest  recipe by recipe  tokens by tokens  session by session  weights by weights
    config by folder  index by folder  checkpoint by checkpoint  labels by labels  cache by cache  lyrics by lyrics
);
