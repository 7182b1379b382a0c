//! One request's time, cut into parts.
//!
//! Whatever happens, an instant belongs to one part: the time since the last event is given out at the next one, all of it, to
//! the segments that are open and have no open segment inside. So parts can overlap, nest and be left open, and their sum is
//! still never more than the whole.

#[cfg(feature = "statements")]
use super::super::statements::Counts;
use super::names::KINDS;

/// Segments that are open at one time in one request; those beyond are not measured, and counted.
pub(crate) const MAX_OPEN: usize = 16;
/// No segment: the request itself.
pub(crate) const ROOT: u8 = u8::MAX;

#[derive(Clone, Copy, Debug, Default)]
struct Open {
    kind: u8,
    parent: u8,
    /// Open segments inside.
    children: u8,
}

/// Where a request's time went so far. Times are nanoseconds of the layer's clock.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// Tells it from all others of the process, so that a segment that outlives its request meets no other.
    pub(crate) id: u64,
    last: u64,
    /// Bit n: slot n is taken.
    taken: u16,
    slots: [Open; MAX_OPEN],
    /// Time of each kind, exclusive.
    pub(crate) nanos: [u64; KINDS],
    /// Segments of each kind that were opened.
    pub(crate) segments: [u32; KINDS],
    /// Segments that were not measured: too many were open.
    pub(crate) unmeasured: u32,
    /// The request is over; what happens later is nobody's.
    is_over: bool,
    #[cfg(feature = "statements")]
    pub(crate) statements: Counts,
}

impl Timeline {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            last: 0,
            taken: 0,
            slots: [Open::default(); MAX_OPEN],
            nanos: [0; KINDS],
            segments: [0; KINDS],
            unmeasured: 0,
            is_over: false,
            #[cfg(feature = "statements")]
            statements: Counts::default(),
        }
    }

    /// Opens a segment inside of `parent`. `None` where there is no room, or the request is over.
    pub(crate) fn open(&mut self, kind: u8, parent: u8, now: u64) -> Option<u8> {
        if self.is_over {
            return None;
        }
        let slot = self.taken.trailing_ones() as usize;
        if slot >= MAX_OPEN {
            self.unmeasured = self.unmeasured.saturating_add(1);
            return None;
        }
        self.give_out(now);
        // A parent that has ended meanwhile is one no more.
        let parent = if self.is_taken(parent) { parent } else { ROOT };
        if let Some(parent) = self.slots.get_mut(usize::from(parent)) {
            parent.children += 1;
        }
        self.taken |= 1 << slot;
        self.slots[slot] = Open {
            kind,
            parent,
            children: 0,
        };
        let segments = &mut self.segments[usize::from(kind)];
        *segments = segments.saturating_add(1);
        Some(slot as u8)
    }

    /// Ends a segment. What is open inside goes on inside of its parent.
    pub(crate) fn close(&mut self, slot: u8, now: u64) {
        if self.is_over || !self.is_taken(slot) {
            return;
        }
        self.give_out(now);
        self.taken &= !(1 << slot);
        let ended = self.slots[usize::from(slot)];
        for at in 0..MAX_OPEN as u8 {
            let inside = &mut self.slots[usize::from(at)];
            if self.taken & (1 << at) != 0 && inside.parent == slot {
                inside.parent = ended.parent;
            }
        }
        if let Some(parent) = self.slots.get_mut(usize::from(ended.parent)) {
            parent.children = parent.children.saturating_sub(1) + ended.children;
        }
    }

    /// Ends all that is open.
    pub(crate) fn end(&mut self, now: u64) {
        if !self.is_over {
            self.give_out(now);
            self.taken = 0;
            self.is_over = true;
        }
    }

    fn is_taken(&self, slot: u8) -> bool {
        usize::from(slot) < MAX_OPEN && self.taken & (1 << slot) != 0
    }

    /// Gives the time since the last event to the innermost open segments, in equal shares; the odd nanoseconds to the first.
    fn give_out(&mut self, now: u64) {
        // Events of other threads may come with a slightly older time.
        let passed = now.saturating_sub(self.last);
        self.last = self.last.max(now);
        if self.taken == 0 || passed == 0 {
            return;
        }
        let mut innermost = 0_u16;
        let mut left = self.taken;
        while left != 0 {
            let slot = left.trailing_zeros();
            left &= left - 1;
            if self.slots[slot as usize].children == 0 {
                innermost |= 1 << slot;
            }
        }
        let sharers = u64::from(innermost.count_ones());
        let (share, mut odd) = (passed / sharers.max(1), passed % sharers.max(1));
        while innermost != 0 {
            let slot = innermost.trailing_zeros() as usize;
            innermost &= innermost - 1;
            self.nanos[usize::from(self.slots[slot].kind)] += share + std::mem::take(&mut odd);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: u8 = 4;
    const B: u8 = 5;

    fn timeline() -> Timeline {
        Timeline::new(1)
    }

    #[test]
    fn what_is_outside_of_all_segments_is_no_part() {
        let mut time = timeline();
        let slot = time.open(A, ROOT, 100).unwrap();
        time.close(slot, 130);
        time.end(500);
        assert_eq!(time.nanos.iter().sum::<u64>(), 30);
        assert_eq!((time.nanos[4], time.segments[4]), (30, 1));
    }

    #[test]
    fn nested_time_belongs_to_the_innermost() {
        let mut time = timeline();
        let outer = time.open(A, ROOT, 0).unwrap();
        let inner = time.open(B, outer, 10).unwrap();
        time.close(inner, 30);
        time.close(outer, 100);
        assert_eq!((time.nanos[4], time.nanos[5]), (80, 20));
    }

    #[test]
    fn concurrent_segments_share_and_the_sum_is_exact() {
        let mut time = timeline();
        let one = time.open(A, ROOT, 0).unwrap();
        let two = time.open(B, ROOT, 0).unwrap();
        let three = time.open(A, ROOT, 0).unwrap();
        time.close(two, 100);
        time.close(one, 150);
        time.close(three, 151);
        assert_eq!(time.nanos.iter().sum::<u64>(), 151);
        // 34 + 33 and then all that B left.
        assert_eq!(time.nanos[5], 33);
    }

    #[test]
    fn what_is_left_open_ends_with_the_request_and_nothing_counts_after() {
        let mut time = timeline();
        let slot = time.open(A, ROOT, 5).unwrap();
        time.end(25);
        time.close(slot, 100);
        assert_eq!(time.open(B, ROOT, 200), None);
        time.end(300);
        assert_eq!(time.nanos.iter().sum::<u64>(), 20);
    }

    #[test]
    fn a_parent_that_ends_first_hands_its_children_on() {
        let mut time = timeline();
        let outer = time.open(A, ROOT, 0).unwrap();
        let middle = time.open(B, outer, 10).unwrap();
        let inner = time.open(A, middle, 20).unwrap();
        time.close(middle, 30);
        time.close(inner, 40);
        time.close(outer, 50);
        assert_eq!((time.nanos[4], time.nanos[5]), (10 + 10 + 10 + 10, 10));
    }

    #[test]
    fn more_than_the_bound_are_not_measured_and_counted() {
        let mut time = timeline();
        for _ in 0..MAX_OPEN {
            assert!(time.open(A, ROOT, 0).is_some());
        }
        assert_eq!(time.open(A, ROOT, 0), None);
        assert_eq!(time.unmeasured, 1);
    }

    #[derive(Clone, Debug)]
    enum Event {
        Open { kind: u8, parent: u8 },
        Close { slot: u8 },
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (0..KINDS as u8, 0..20_u8).prop_map(|(kind, parent)| Event::Open { kind, parent }),
            (0..20_u8).prop_map(|slot| Event::Close { slot }),
        ]
    }

    proptest! {
        /// By construction: parts never sum to more than the whole, and to exactly the time in which something was open.
        #[test]
        fn parts_are_exactly_the_time_in_which_something_was_open(
            events in prop::collection::vec((event(), 0..50_u64), 0..80),
        ) {
            let mut time = timeline();
            let (mut now, mut covered) = (0, 0);
            for (event, after) in events {
                covered += if time.taken == 0 { 0 } else { after };
                now += after;
                match event {
                    Event::Open { kind, parent } => { time.open(kind, parent, now); }
                    Event::Close { slot } => time.close(slot, now),
                }
            }
            covered += if time.taken == 0 { 0 } else { 7 };
            now += 7;
            time.end(now);
            prop_assert_eq!(time.nanos.iter().sum::<u64>(), covered);
            prop_assert!(covered <= now);
        }
    }
}
