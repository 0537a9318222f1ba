//! Random operations in random order, each perhaps repeated: the books stay in order after all of it.

use std::collections::BTreeMap;

use billing::Store;
use facts::ledger::Authorized;
use facts::{CallCommand, CallId, LegNo, Micros};

use crate::support::*;

/// xorshift64*: the same walk on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// PostgreSQL answers each statement over a socket: there a shorter walk has to do.
fn steps(url: &str) -> u64 {
    if url.starts_with("sqlite") { 10_000 } else { 2_000 }
}

pub(crate) async fn random_steps_keep_the_books(store: Store, url: String) {
    let walk = steps(&url);
    let merchant = fill(&store, "40").await;
    let mut dice = Dice(0x7463_1a2b_99c0_ffee);
    let mut open: BTreeMap<u64, (CallCommand, [u32; 2])> = BTreeMap::new();
    let mut settled: Vec<(u64, CallCommand)> = Vec::new();
    let (mut next, mut top_ups, mut granted, mut exhausted) = (1, 0_i64, 0, 0);
    let numbers = [HOME, BEIJING, "442079460000", "70000"];
    for step in 0..walk {
        let some = dice.roll(open.len().max(1) as u64) as usize;
        let picked = open.keys().nth(some).copied();
        match (dice.roll(100), picked) {
            (0..40, _) => {
                let a = numbers[dice.roll(4) as usize];
                let b = numbers[dice.roll(4) as usize];
                let command = command(merchant, a, b);
                let repeats = 1 + dice.roll(2);
                for _ in 0..repeats {
                    let ask = authorize(next, &command, at(step));
                    if let Authorized::Granted { .. } = store.authorize(ask).await.unwrap() {
                        granted += 1;
                        open.insert(next, (command.clone(), [0, 0]));
                    }
                }
                next += 1;
            }
            (40..65, Some(call)) => {
                let (_, steps) = open.get_mut(&call).unwrap();
                let no = dice.roll(2) as u8;
                let fresh = dice.roll(4) > 0 || steps[usize::from(no)] == 0;
                steps[usize::from(no)] += u32::from(fresh);
                let ask = extend(call, LegNo(no), steps[usize::from(no)]);
                if store.extend(ask).await.unwrap() == facts::ledger::Extended::Exhausted {
                    exhausted += 1;
                    steps[usize::from(no)] -= 1;
                }
            }
            (65..96, Some(call)) => {
                let (command, _) = open.remove(&call).unwrap();
                let mut leg = || match dice.roll(4) {
                    0 => None,
                    1 => Some((None, 30)),
                    _ => Some((Some(5), 5 + dice.roll(400))),
                };
                let facts = facts(call, &command, leg(), leg());
                let record = store.settle(facts, context()).await.unwrap();
                assert_eq!(record.charges.len(), record.facts.legs.len());
                settled.push((call, command));
            }
            (96..98, _) if !settled.is_empty() => {
                let (call, command) = &settled[dice.roll(settled.len() as u64) as usize];
                let facts = facts(*call, command, Some((Some(0), 9999)), None);
                store.settle(facts, context()).await.unwrap();
            }
            (98, _) => {
                let mut desired = basics("7.5");
                desired.top_ups[0].id = format!("more-{}", dice.roll(step + 1) % 20);
                let changes = store.apply(&desired, at(step), false).await.unwrap();
                top_ups += i64::from(changes.count(billing::desired::Act::Created) == 1);
            }
            _ => {
                let balance = store.balance(merchant).await.unwrap();
                assert!(balance.posted >= balance.held && balance.held >= Micros::ZERO);
            }
        }
        if step % 2000 == 0 {
            in_order(&store).await;
        }
    }
    for (call, (command, _)) in open {
        store.settle(facts(call, &command, None, None), context()).await.unwrap();
    }
    in_order(&store).await;
    let audit = store.check_books().await.unwrap();
    assert_eq!((audit.open_calls, audit.open_holds), (0, 0));
    let balance = store.balance(merchant).await.unwrap();
    assert_eq!(balance.held, Micros::ZERO);
    // What came in is what is left and what was charged.
    let mut charged = Micros::ZERO;
    let mut after = 0;
    loop {
        let page = store.cdrs(Some(merchant), after, 1000).await.unwrap();
        let Some(last) = page.last() else { break };
        after = last.id;
        charged += page.iter().map(|cdr| cdr.price).sum();
    }
    assert_eq!(balance.posted + charged, Micros::units(40) + Micros(7_500_000 * top_ups));
    // The walk went where it should.
    assert!(granted > 50 && exhausted > 10 && top_ups > 3, "{granted} {exhausted} {top_ups}");
    assert!(store.call(CallId(1)).await.unwrap().is_some());
}
