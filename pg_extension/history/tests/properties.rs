//! What holds for every input.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something unexpected happens"
)]

use std::collections::BTreeMap;

use pg_pitcrew_history::{
    Before, Block, FINE_S, HOUR_S, Layout, Point, Tick, Wanted, counted, forgotten, merge, merges,
    regression,
};
use proptest::prelude::*;

const LAYOUT: Layout = Layout {
    counters: 2,
    gauges: 1,
};

fn rows() -> impl Strategy<Value = Vec<(i32, Vec<i64>)>> {
    let row = (0..20_i32, prop::collection::vec(0..1_000_i64, 3));
    prop::collection::vec(row, 0..30)
}

/// Ticks at rising times.
fn ticks() -> impl Strategy<Value = Vec<Tick>> {
    prop::collection::vec((1..2_000_i64, 0..5_000_i64), 0..300).prop_map(|steps| {
        let mut at_s = 1_700_000_000;
        let tick = |(id, (step, bytes))| {
            at_s += step;
            Tick { id, at_s, bytes }
        };
        (1..).zip(steps).map(tick).collect()
    })
}

proptest! {
    /// A server that counts, and forgets whenever it likes: nothing is ever negative, nothing is invented, and without
    /// forgetting nothing is lost.
    #[test]
    fn counts_are_never_negative_nor_invented(
        steps in prop::collection::vec((0..100_i64, prop::bool::weighted(0.2), 0..100_i64), 1..60),
    ) {
        let (mut counter, mut last, mut happened, mut seen, mut has_forgotten) = (0, 0, 0, 0, false);
        for (before, forgets, after) in steps {
            counter += before;
            if forgets {
                counter = 0;
                has_forgotten = true;
            }
            counter += after;
            happened += before + after;
            let delta = counted(Before::Counters(&[last]), &[counter]);
            prop_assert!(delta.values[0] >= 0);
            seen += delta.values[0];
            last = counter;
        }
        prop_assert!(seen <= happened);
        prop_assert!(has_forgotten || seen == happened);
    }

    #[test]
    fn what_is_packed_comes_out_again(rows in rows()) {
        let wanted: BTreeMap<i32, Vec<i64>> = rows.iter().cloned().collect();
        let block = Block::pack(LAYOUT, rows);
        let found: BTreeMap<i32, Vec<i64>> = block.rows(LAYOUT).collect();
        prop_assert_eq!(found, wanted);
        prop_assert!(block.objects.is_sorted_by(|one, next| one < next));
    }

    /// Counters lose nothing, and merging in two steps is merging in one.
    #[test]
    fn merging_adds_up(blocks in prop::collection::vec(rows(), 0..6), cut in 0..6_usize) {
        let blocks: Vec<Block> = blocks.into_iter().map(|rows| Block::pack(LAYOUT, rows)).collect();
        let merged = merge(LAYOUT, &blocks);
        for metric in 0..LAYOUT.counters {
            let total = |block: &Block| block.rows(LAYOUT).map(|(_, row)| row[metric]).sum::<i64>();
            prop_assert_eq!(total(&merged), blocks.iter().map(total).sum::<i64>());
        }
        for (object, row) in merged.rows(LAYOUT) {
            let last = blocks.iter().flat_map(|block| block.rows(LAYOUT)).filter(|(id, _)| *id == object).last();
            prop_assert_eq!(row[2], last.unwrap().1[2]);
        }
        let (old, new) = blocks.split_at(cut.min(blocks.len()));
        let in_steps = merge(LAYOUT, &[merge(LAYOUT, old), merge(LAYOUT, new)]);
        prop_assert_eq!(in_steps, merged);
    }

    /// Every tick is merged once or stays; what is younger than a day stays; each group is one hour and ends with its newest.
    #[test]
    fn merging_hours_loses_no_tick(ticks in ticks(), late in 0..200_000_i64) {
        let now_s = ticks.last().map_or(0, |tick| tick.at_s) + late;
        let groups = merges(&ticks, now_s);
        let mut merged: Vec<i64> = groups.concat();
        prop_assert!(merged.is_sorted_by(|one, next| one < next));
        let of = |id: i64| ticks.iter().find(|tick| tick.id == id).unwrap();
        for group in &groups {
            prop_assert!(group.len() > 1);
            prop_assert!(group.iter().all(|id| of(*id).at_s / HOUR_S == of(group[0]).at_s / HOUR_S));
            prop_assert!(group.iter().all(|id| of(*id).at_s < now_s - FINE_S));
        }
        // Once merged there is nothing left to merge.
        merged.retain(|id| !groups.iter().any(|group| group.last() == Some(id)));
        let rest: Vec<Tick> = ticks.iter().filter(|tick| !merged.contains(&tick.id)).copied().collect();
        prop_assert_eq!(merges(&rest, now_s), Vec::<Vec<i64>>::new());
    }

    #[test]
    fn the_oldest_go_until_the_rest_has_room(ticks in ticks(), room in 0..500_000_i64) {
        let gone = forgotten(&ticks, room);
        let (old, kept) = ticks.split_at(gone.len());
        prop_assert!(old.iter().map(|tick| tick.id).eq(gone.iter().copied()));
        let bytes = |ticks: &[Tick]| ticks.iter().map(|tick| tick.bytes).sum::<i64>();
        prop_assert!(bytes(kept) <= room || kept.len() == 1);
        // No more than had to.
        if let Some(last) = old.last() {
            prop_assert!(bytes(kept) + last.bytes > room);
        }
    }

    /// Whatever the numbers are, what is reported is slower by what was asked for.
    #[test]
    fn a_regression_is_slower_than_its_baseline(
        means in prop::collection::vec((1..200_i64, 0..1_000_000_i64), 0..60), ratio in 1.0..4.0_f64,
    ) {
        let points: Vec<Point> = (0_u32..).zip(means).map(|(place, (calls, exec_us))| {
            let at_s = f64::from(place) * 300.0;
            Point { began_s: at_s - 300.0, at_s, calls, exec_us }
        }).collect();
        let recent_from_s = points.len() as f64 * 300.0 * 0.7;
        if let Some(found) = regression(&points, Wanted { recent_from_s, least_calls: 20, least_ratio: ratio }) {
            prop_assert!(found.recent_ms >= ratio * found.baseline_ms * 0.999_999);
            prop_assert!(found.extra_ms >= 0.0 && found.score >= 3.5 && found.baseline_calls >= 20);
        }
    }
}
