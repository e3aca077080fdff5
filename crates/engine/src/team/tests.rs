//! Every item once, whatever the threads; panics come through; teams end.
#![allow(clippy::unwrap_used)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Grid, Team};

/// Many short jobs, some after a pause in which helpers fall asleep.
#[test]
fn every_item_is_done_once() {
    for threads in [1, 2, 3, 7, 16] {
        let team = Team::new(threads);
        for round in 0..400 {
            let items = round % 37;
            let counts: Vec<AtomicUsize> = (0..items).map(|_| AtomicUsize::new(0)).collect();
            team.gather().each(items, |item| {
                counts[item].fetch_add(1, Ordering::Relaxed);
            });
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads} threads, {items} items");
            if round % 100 == 99 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[test]
fn rectangles_cover_the_matrix() {
    let team = Team::new(3);
    for (rows, stride, columns, tile) in [(1, 16, 16, [1, 4]), (5, 7, 6, [2, 4]), (9, 3, 3, [9, 1]), (4, 8, 5, [1, 8])]
    {
        let mut values = vec![0.0; rows * stride];
        let mut parts = vec![0usize; 64];
        let grid = Grid { values: &mut values, stride, columns, tile };
        team.gather().tiles(grid, &mut parts, |mut tile, part| {
            *part += 1;
            let (row, column) = (tile.row, tile.column);
            for r in 0..tile.rows {
                for (c, value) in tile.row(r).iter_mut().enumerate() {
                    *value += (1 + (row + r) * stride + column + c) as f32;
                }
            }
        });
        for (at, value) in values.iter().enumerate() {
            let expected = if at % stride < columns { 1.0 + at as f32 } else { 0.0 };
            assert_eq!(*value, expected, "{rows} x {columns} at {at}");
        }
        assert_eq!(parts.iter().sum::<usize>(), rows.div_ceil(tile[0]) * columns.div_ceil(tile[1]));
    }
}

#[test]
fn a_panic_comes_to_the_owner_and_the_team_goes_on() {
    let team = Team::new(4);
    for round in 0..50 {
        let result = catch_unwind(AssertUnwindSafe(|| {
            team.gather().each(40, |item| assert!(item != round % 40, "item {item}"));
        }));
        let message = result.unwrap_err();
        assert_eq!(message.downcast_ref::<String>().unwrap(), &format!("item {}", round % 40));
        let done = AtomicUsize::new(0);
        team.gather().each(40, |_| {
            done.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(done.into_inner(), 40);
    }
}

#[test]
fn teams_end_idle_asleep_or_unused() {
    for pause in [None, Some(0), Some(2)] {
        let team = Team::new(5);
        if let Some(pause) = pause {
            team.gather().each(10, |_| ());
            std::thread::sleep(Duration::from_millis(pause));
        }
    }
}

/// More teams than cores, all at work: each finishes what it has to do.
#[test]
fn teams_do_not_wait_for_each_other() {
    std::thread::scope(|scope| {
        for seed in 0..6 {
            scope.spawn(move || {
                let team = Team::new(3);
                for round in 0..300 {
                    let sum = AtomicUsize::new(0);
                    team.gather().each(20, |item| {
                        sum.fetch_add(item * (seed + round), Ordering::Relaxed);
                    });
                    assert_eq!(sum.into_inner(), 190 * (seed + round));
                }
            });
        }
    });
}
