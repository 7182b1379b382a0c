//! Nothing is found with the rules, and something without each of them.

use super::{
    super::position::narrow,
    Bounds, Fault, INNER,
    bounds::{
        disconnects, fails_over, fails_over_with_l2, flushes, lapses, nested, patterns, plain,
        replies, restarts, softly, tokens, trims, waits,
    },
    explore::explore,
    world::{Step, World},
};

/// No fault within these bounds, and more within those of the environment.
fn holds(name: &str, mut bounds: Bounds) {
    let size = std::env::var("PITCREW_MODEL");
    let more = size.ok().and_then(|size| size.parse().ok()).unwrap_or(1) - 1;
    bounds.budget.purges += more;
    bounds.budget.fills += more;
    if more > 0 {
        bounds.asked = bounds.nodes;
    }
    let explored = explore(&bounds);
    println!("{name}: {} worlds", explored.worlds);
    assert!(explored.fault.is_none(), "{:?}", explored.fault);
    let explored = with_one_local_bit(|| explore(&bounds));
    println!("{name}, borrowing: {} worlds", explored.worlds);
    assert!(explored.fault.is_none(), "{:?}", explored.fault);
}

/// With so few positions of an instance's own that each second purge borrows one of Redis.
fn with_one_local_bit<T>(explore: impl FnOnce() -> T) -> T {
    narrow::set(1);
    let explored = explore();
    narrow::set(12);
    explored
}

/// Wrong without the rule.
fn needs(fault: Fault, bounds: Bounds) {
    let fault = Some(fault);
    let explored = explore(&Bounds { fault, ..bounds });
    assert!(explored.fault.is_some(), "{fault:?} was not found");
}

#[test]
fn plain_holds() {
    holds("plain", plain());
}

#[test]
fn disconnects_holds() {
    holds("disconnects", disconnects());
}

#[test]
fn trims_holds() {
    holds("trims", trims());
}

#[test]
fn flushes_holds() {
    holds("flushes", flushes());
}

#[test]
fn fails_over_holds() {
    holds("fails_over", fails_over());
}

#[test]
fn fails_over_with_l2_holds() {
    holds("fails_over_with_l2", fails_over_with_l2());
}

#[test]
fn restarts_holds() {
    holds("restarts", restarts());
}

#[test]
fn lapses_holds() {
    holds("lapses", lapses());
}

#[test]
fn waits_holds() {
    holds("waits", waits());
}

#[test]
fn nested_holds() {
    holds("nested", nested());
}

#[test]
fn softly_holds() {
    holds("softly", softly());
}

#[test]
fn patterns_holds() {
    holds("patterns", patterns());
}

#[test]
fn tokens_holds() {
    holds("tokens", tokens());
}

#[test]
fn replies_holds() {
    holds("replies", replies());
}

// Each rule taken out. The bounds are those within which nothing is found with the rule.

#[test]
fn rule_2_local_and_redis_numbers_share_no_space() {
    needs(Fault::OneSpace, plain());
}

#[test]
fn rule_2_what_is_borrowed_is_made_up_for() {
    with_one_local_bit(|| needs(Fault::NotMadeUp, patterns()));
}

#[test]
fn rule_3_a_reply_moves_nothing() {
    needs(Fault::ReplyJumps, replies());
}

#[test]
fn rule_4_a_purge_is_pending_until_its_record_is_read_back() {
    needs(Fault::ReplyConfirms, replies());
}

#[test]
fn rule_4_a_purge_is_sent_again() {
    needs(Fault::NeverSentAgain, disconnects());
}

#[test]
fn rule_5_an_import_is_no_newer_than_its_stamp() {
    needs(Fault::ImportedAsBegun, plain());
}

#[test]
fn rule_5_an_import_is_no_newer_than_its_request() {
    needs(Fault::ImportedAsStamped, plain());
}

#[test]
fn rule_6_an_answer_from_cached_values_takes_their_stamp() {
    needs(Fault::OwnStamp, nested());
}

#[test]
fn rule_6_an_answer_from_cached_values_takes_their_tags() {
    needs(Fault::OwnTags, nested());
}

#[test]
fn rule_7_cursor_and_table_are_read_at_once() {
    needs(Fault::CursorApart, disconnects());
}

#[test]
fn rule_7_what_a_fail_over_lost_is_purged_again() {
    needs(Fault::NeverHealed, fails_over());
}

#[test]
fn rule_8_a_record_names_the_one_before_it() {
    needs(Fault::NoPredecessor, trims());
}

#[test]
fn rule_8_a_heartbeat_names_the_last_record() {
    needs(Fault::NoHeartbeat, fails_over());
}

#[test]
fn rule_9_a_token_is_satisfied_by_slots() {
    needs(Fault::TokenByPosition, tokens());
}

#[test]
fn rule_10_a_new_header_kills_everything() {
    needs(Fault::NoAllInNewHeader, flushes());
}

#[test]
fn rule_11_a_hand_over_looks_again() {
    needs(Fault::NoCheckAtHandOver, waits());
}

#[test]
fn rule_12_slots_only_rise() {
    needs(Fault::SlotsFall, fails_over());
}

#[test]
fn rule_13_hard_and_soft_purges_share_the_counter() {
    needs(Fault::SoftCountedApart, softly());
}

/// With a clock that stands still (rule 1).
#[test]
fn rule_1_needs_the_time() {
    let stopped = Bounds {
        clock: false,
        ..fails_over()
    };
    assert!(explore(&stopped).fault.is_some());
}

/// What the caller knows mends a clock that stands still, as far as the caller knows it.
#[test]
fn rule_1_needs_the_callers_highest() {
    let steps = [
        Step::Purge(0, 0),
        Step::Deliver(0, 1),
        Step::Follow(0),
        Step::Follow(1),
        Step::Begin(1, INNER),
        Step::Fetch(1),
        Step::Store(1),
        Step::FailOver,
        Step::Purge(0, 0),
        Step::Deliver(0, 2),
        // Who purged is gone, so nobody sends it again.
        Step::Restart(0),
        Step::Connect(0),
        Step::Read(0),
        Step::Answer(0),
    ];
    let mut stopped = Bounds {
        clock: false,
        ..fails_over()
    };
    stopped.budget.restarts = 1;
    stopped.asked = 2;
    assert_eq!(goes(&stopped, &steps), Ok(()));
    let fault = Some(Fault::NoHighest);
    let without = goes(&Bounds { fault, ..stopped }, &steps);
    assert_eq!(without, Err("L1 holds an answer alive that was purged"));
}

/// One way, step by step.
fn goes(bounds: &Bounds, steps: &[Step]) -> Result<(), &'static str> {
    let mut world = World::new(bounds);
    steps.iter().try_for_each(|step| {
        assert!(world.steps().contains(step), "{step:?} cannot happen");
        world.take(*step)?;
        world.check()
    })
}
