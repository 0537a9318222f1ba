//! From a number of a campaign to a call.

use std::sync::Arc;
use std::time::Duration;

use billing::campaigns::{Campaign, CampaignNumber, CampaignState, Takers};
use billing::rows::Company;
use dialect::sipcall::Echo;
use facts::scenario::{Next, Scenario, Step};
use facts::settings::Snapshot;
use facts::{CallCommand, Dialect, Number, Party, Purpose, Strategy};

use super::Refused;
use crate::settings::{View, dialled};
use crate::sipcall::{key, notice, pushes};
use crate::state::{ApiState, now};

/// How long a customer's phone rings.
const RING: Duration = Duration::from_secs(40);
/// `method` of states of extensions that are rung for a campaign.
const METHOD: &str = "5";
/// A number that may not be called at this hour is looked at again then.
const NOT_NOW: Duration = Duration::from_secs(600);
/// Numbers of one look that may not be called at this hour, at most.
const NOT_NOW_MAX: u32 = 50;

/// Numbers that cannot be called, one behind the other, at which a campaign pauses.
const PASSED_MAX: u32 = 20;

/// Places so many calls of a campaign; how many it were. Numbers that cannot be called are passed over; where that is
/// the lot of many, or the company may do nothing any more, the campaign pauses.
pub(super) async fn some(
    state: &ApiState,
    view: &View,
    campaign: &Campaign,
    count: u32,
) -> billing::Result<u32> {
    let store = &state.0.store;
    let company = view.company(store, &campaign.company).await?;
    let in_use =
        |company: &Company| company.active && company.expires.is_none_or(|expires| now() < expires);
    let Some(company) = company.filter(|company| in_use(company)) else {
        pause(state, campaign).await?;
        return Ok(0);
    };
    let (mut placed, mut passed, mut put_off) = (0, 0, 0);
    while placed < count {
        let numbers = store.next_numbers(&campaign.id, now(), count - placed).await?;
        if numbers.is_empty() {
            break;
        }
        for number in numbers {
            let outcome = match command(state, view, (campaign, &company), &number).await? {
                Ok(command) => state.place(command).await.map_err(super::refused),
                Err(why) => Err(Refused::Never(why)),
            };
            match outcome {
                Ok(call) => {
                    store.calling(&campaign.id, number.seq, call.call).await?;
                    (placed, passed) = (placed + 1, 0);
                }
                Err(Refused::Never(why)) => {
                    store.uncallable(&campaign.id, number.seq, why).await?;
                    passed += 1;
                    // So many in a row are no matter of the numbers.
                    if passed == PASSED_MAX {
                        pause(state, campaign).await?;
                        return Ok(placed);
                    }
                }
                // Those behind it may be somewhere else, where it is day.
                Err(Refused::NotNow) => {
                    store.postpone(&campaign.id, number.seq, now() + NOT_NOW).await?;
                    put_off += 1;
                    if put_off == NOT_NOW_MAX {
                        return Ok(placed);
                    }
                }
                Err(Refused::Later) => return Ok(placed),
                Err(Refused::Pause) => {
                    pause(state, campaign).await?;
                    return Ok(placed);
                }
            }
        }
    }
    Ok(placed)
}

async fn pause(state: &ApiState, campaign: &Campaign) -> billing::Result<()> {
    let (task, company) = (&campaign.id, &campaign.company);
    state.0.store.set_campaign(company, task, (CampaignState::Paused, now())).await?;
    tracing::warn!(
        task,
        company,
        "campaign paused: no balance, no route for its numbers, or its merchant or company is closed"
    );
    Ok(())
}

/// The call of a number; else why it cannot be called.
async fn command(
    state: &ApiState,
    view: &View,
    (campaign, company): (&Campaign, &Arc<Company>),
    row: &CampaignNumber,
) -> billing::Result<Result<CallCommand, &'static str>> {
    if let Takers::Notice(request) = &campaign.plan.takers {
        return notice(state, view, (campaign, company), (request, row)).await;
    }
    let store = &state.0.store;
    let written = &row.number.phone;
    let dialled = dialled(store, view, written).await?;
    // Emergency numbers are among short codes.
    if dialled.is_foreign_to(campaign.merchant) || dialled.is_short() {
        return Ok(Err("invalid"));
    }
    let sub_account = dialled.sub_account();
    let (Some(number), Some(scenario)) =
        (dialled.number(), scenario(view, &campaign.plan.takers, row.seq))
    else {
        return Ok(Err("invalid"));
    };
    let shown = &campaign.plan.shown;
    let turn = usize::try_from(row.seq).unwrap_or(0).checked_rem(shown.len());
    let shown = turn.and_then(|turn| shown.get(turn)).map(|digits| Number::public(digits.clone()));
    let said = &row.number.said;
    let echo = Echo {
        customuuid: said.customuuid.clone(),
        chengshudu: said.ext.clone(),
        userid: said.userid.clone(),
        memberid: said.memberid.clone(),
        taskid: campaign.id.clone(),
        ..Echo::default()
    };
    let told = shown.as_ref().map(|number| view.plan.national(number)).unwrap_or_default();
    let pushes = pushes(company, (written, &said.customuuid), told, (METHOD, ""));
    Ok(Ok(CallCommand {
        dialect: Dialect::Sipcall,
        merchant: campaign.merchant,
        sub_account,
        app: campaign.company.clone(),
        a: Party { number, as_sent: written.clone(), shown, ring: RING },
        b: None,
        scenario: Some(Arc::new(scenario)),
        conference: None,
        purpose: Purpose::Campaign,
        max_talk: None,
        record: company.record,
        key: Some(key(campaign, row)),
        pushes,
        custom: serde_json::to_string(&echo).unwrap_or_default(),
    }))
}

/// The customer is led to an agent as soon as he answers: to the group, or to whichever of the extensions is free; each
/// customer begins with another. A group that rings all of its members at once would offer one customer to all of them
/// and leave nobody to the next: for a campaign they are rung as extensions are.
fn scenario(view: &Snapshot, takers: &Takers, seq: i64) -> Option<Scenario> {
    let failed = Next::HangUp;
    let among = match takers {
        Takers::Notice(_) => return None,
        Takers::Extensions(extensions) => extensions.clone(),
        Takers::Group(number) => {
            let group = view.groups.get(number);
            match group.filter(|group| group.enabled && group.strategy == Strategy::RingAll) {
                Some(group) if !group.members.is_empty() => group.members.clone(),
                _ => {
                    let to = Number::Internal(number.clone());
                    return Scenario::new(vec![Step::Lead { to, failed }]).ok();
                }
            }
        }
    };
    let mut among = among;
    let first = usize::try_from(seq).unwrap_or(0).checked_rem(among.len())?;
    among.rotate_left(first);
    Scenario::new(vec![Step::Hunt { among: among.into(), failed }]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_9_each_customer_begins_with_another_extension_and_may_get_any() {
        let takers = Takers::Extensions((1..=12).map(|n| format!("800{n:02}")).collect());
        let view = Snapshot::default();
        let among = |seq| match scenario(&view, &takers, seq).unwrap().steps() {
            [Step::Hunt { among, failed: Next::HangUp }] => among.to_vec(),
            other => panic!("{other:?}"),
        };
        for (seq, first) in [(1, "80002"), (2, "80003"), (12, "80001")] {
            assert_eq!((among(seq).len(), among(seq)[0].as_str()), (12, first));
        }
        assert_eq!(scenario(&view, &Takers::Extensions(vec![]), 1), None);
    }

    #[test]
    fn s4_9_a_group_that_rings_all_at_once_is_asked_one_after_the_other() {
        let mut view = Snapshot::default();
        let group = |strategy| facts::Group {
            merchant: facts::MerchantId(1),
            name: "sales".into(),
            enabled: true,
            strategy,
            members: vec!["80001".into(), "80002".into()],
            ring_s: 15,
            timeout_s: 60,
            otherwise: None,
        };
        let led = |view: &Snapshot| {
            scenario(view, &Takers::Group("80100".into()), 1).unwrap().steps().to_vec()
        };
        let to = Number::Internal("80100".into());
        let lead = [Step::Lead { to, failed: Next::HangUp }];
        assert_eq!(led(&view), lead);
        view.groups.insert("80100".into(), group(Strategy::RoundRobin));
        assert_eq!(led(&view), lead);
        view.groups.insert("80100".into(), group(Strategy::RingAll));
        let among = ["80002".to_owned(), "80001".to_owned()].into();
        assert_eq!(led(&view), [Step::Hunt { among, failed: Next::HangUp }]);
    }
}
