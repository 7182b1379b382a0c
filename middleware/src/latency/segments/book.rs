//! The accounts of all routes over time.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{account::Account, accounts::MAX_SEGMENT_ROUTES};
use crate::latency::{Window, recorder::registry::OVERFLOW_ROUTE};

/// The layer's number of a route, and a method.
pub(crate) type RouteKey = (u32, &'static str);
/// Where requests are counted for whose route there is no room.
pub(super) const OVERFLOW: RouteKey = (OVERFLOW_ROUTE as u32, "*");

/// Bytes that the slots of all routes take at most: 160 routes with four kinds of segments each and requests all the time. Where they would take
/// more, the older half of each route's slots goes.
pub const SEGMENT_BYTES: usize = 3 << 19;

/// The slots that windows are made of: how long one is in seconds, and how many there are.
const RINGS: [(u64, u64); 3] = [(10, 6), (60, 15), (300, 12)];

/// Slots of one length. Those without a request are left out.
#[derive(Debug, Default)]
struct Ring {
    slots: VecDeque<(u64, Account)>,
}

impl Ring {
    fn add(&mut self, slot: u64, slots: u64, account: &Account) {
        while self
            .slots
            .front()
            .is_some_and(|(first, _)| first + slots <= slot)
        {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            Some((last, sums)) if *last == slot => sums.add(account),
            _ => self.slots.push_back((slot, account.clone())),
        }
    }

    fn sum(&self, newest: u64, slots: u64) -> Account {
        let mut sum = Account::default();
        let within = self.slots.iter().filter(|(slot, _)| slot + slots > newest);
        within.for_each(|(_, account)| sum.add(account));
        sum
    }
}

#[derive(Debug, Default)]
struct Page {
    total: Account,
    rings: [Ring; RINGS.len()],
}

/// All routes of a layer. Touched by who folds and who reads, never by a request.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pages: BTreeMap<RouteKey, Page>,
    /// Slots that went for want of room.
    forgotten: u64,
}

impl Book {
    /// A route is known, or there is room for it.
    pub(crate) fn has_room(&self, key: &RouteKey) -> bool {
        // One place is kept for `overflow`.
        let kept = usize::from(!self.pages.contains_key(&OVERFLOW));
        *key == OVERFLOW
            || self.pages.contains_key(key)
            || self.pages.len() + kept < MAX_SEGMENT_ROUTES
    }

    pub(crate) fn add(&mut self, key: RouteKey, account: &Account, now: Duration) {
        let page = self.pages.entry(key).or_default();
        page.total.add(account);
        for (ring, (seconds, slots)) in page.rings.iter_mut().zip(RINGS) {
            ring.add(now.as_secs() / seconds, slots, account);
        }
    }

    /// Lets slots go where they take too much.
    pub(crate) fn keep_bound(&mut self) {
        let rings = self.pages.values().flat_map(|page| &page.rings);
        let slots = rings.flat_map(|ring| &ring.slots);
        let bytes: usize = slots.map(|(_, account)| account.bytes()).sum();
        if bytes <= SEGMENT_BYTES {
            return;
        }
        for ring in self.pages.values_mut().flat_map(|page| &mut page.rings) {
            let older = ring.slots.len() / 2;
            self.forgotten += ring.slots.drain(..older).len() as u64;
        }
    }

    /// Slots that went for want of room.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// The accounts of a window; routes without a request in it are left out.
    pub(crate) fn read(&self, window: Window, now: Duration) -> Vec<(RouteKey, Account)> {
        let read = |page: &Page| -> Account {
            let (ring, wanted) = match window {
                Window::OneMinute => (0, 6),
                Window::FiveMinutes => (1, 5),
                Window::FifteenMinutes => (1, 15),
                Window::OneHour => (2, 12),
                Window::SinceStart => return page.total.clone(),
            };
            page.rings[ring].sum(now.as_secs() / RINGS[ring].0, wanted)
        };
        let pages = self.pages.iter();
        let accounts = pages.map(|(key, page)| (*key, read(page)));
        accounts
            .filter(|(_, account)| account.requests > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_routes_with_all_that_they_may_keep_stay_within_the_bound() {
        let mut book = Book::default();
        let mut account = one(1);
        for kind in 0..super::super::names::KINDS as u8 {
            account.parts.push(super::super::account::Part {
                kind,
                ..Default::default()
            });
        }
        for now in (0..4_000).step_by(10) {
            for route in 0..MAX_SEGMENT_ROUTES as u32 {
                book.add((route, "GET"), &account, Duration::from_secs(now));
            }
            book.keep_bound();
            let rings = book.pages.values().flat_map(|page| &page.rings);
            let slots = rings.flat_map(|ring| &ring.slots);
            let bytes: usize = slots.map(|(_, account)| account.bytes()).sum();
            assert!(bytes <= SEGMENT_BYTES, "{bytes}");
        }
        assert!(book.forgotten() > 0);
        let now = Duration::from_secs(3_990);
        assert_eq!(book.read(Window::OneMinute, now).len(), MAX_SEGMENT_ROUTES);
        let total = book.read(Window::SinceStart, now);
        assert!(total.iter().all(|(_, account)| account.requests == 400));
    }

    fn one(nanos: u64) -> Account {
        Account {
            requests: 1,
            nanos,
            max_nanos: nanos,
            ..Account::default()
        }
    }

    proptest! {
        /// A window holds nothing that is older than its length, and all that is younger than its length less one slot.
        #[test]
        fn windows_hold_what_their_length_says(gaps in prop::collection::vec(0..400_u64, 1..60)) {
            let key: RouteKey = (7, "GET");
            let mut book = Book::default();
            let mut times = Vec::new();
            let mut now = 0;
            for gap in gaps {
                now += gap;
                times.push(now);
                book.add(key, &one(1), Duration::from_secs(now));
            }
            for (window, slot) in [
                (Window::OneMinute, 10), (Window::FiveMinutes, 60), (Window::FifteenMinutes, 60), (Window::OneHour, 300),
            ] {
                let length = window.length().unwrap().as_secs();
                let read = book.read(window, Duration::from_secs(now));
                let read = read.first().map_or(0, |(_, account)| account.requests) as usize;
                let younger = |than: u64| times.iter().filter(|time| now - **time < than).count();
                prop_assert!(read >= younger(length - slot) && read <= younger(length), "{window}: {read}");
            }
            let total = book.read(Window::SinceStart, Duration::from_secs(now));
            prop_assert_eq!(total[0].1.requests as usize, times.len());
        }
    }
}
