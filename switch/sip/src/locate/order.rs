//! RFC 2782: the order in which the hosts of a service are tried.

use super::Srv;

/// By priority; among equals each as likely to be next as its weight says.
pub(super) fn ordered<'s>(
    mut records: Vec<&'s Srv>,
    draw: &mut dyn FnMut(u64) -> u64,
) -> Vec<&'s Srv> {
    // "Usage rules": those of weight 0 stand first in the running sum.
    records.sort_by_key(|srv| (srv.priority, srv.weight));
    let mut ordered = Vec::with_capacity(records.len());
    while let Some(first) = records.first() {
        let priority = first.priority;
        let equals = records.iter().take_while(|srv| srv.priority == priority).count();
        let chosen = chosen(&records[..equals], draw);
        ordered.push(records.remove(chosen));
    }
    ordered
}

/// The first whose running sum of weights reaches a number drawn from 0 to the sum of all.
fn chosen(equals: &[&Srv], draw: &mut dyn FnMut(u64) -> u64) -> usize {
    if equals.len() == 1 {
        return 0;
    }
    let total: u64 = equals.iter().map(|srv| u64::from(srv.weight)).sum();
    let drawn = draw(total + 1);
    let mut sum = 0;
    let reaches = |srv: &&Srv| {
        sum += u64::from(srv.weight);
        sum >= drawn
    };
    equals.iter().position(reaches).unwrap_or(0)
}
