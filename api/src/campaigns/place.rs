//! From a number of a campaign to a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use billing::campaigns::{Campaign, CampaignNumber, Takers};
use billing::rows::{Company, Merchant, MerchantStatus};
use dialect::sipcall::Echo;
use facts::scenario::{Next, Scenario, Step};
use facts::settings::Snapshot;
use facts::{CallCommand, Dialect, MerchantId, Number, Party, Purpose, Strategy};

use super::{Look, Refused, own};
use crate::rest;
use crate::settings::{View, dialled};
use crate::sipcall::{key, notice, pushes};
use crate::state::{ApiState, now};

/// How long a customer's phone rings.
const RING: Duration = Duration::from_secs(40);
/// `method` of states of extensions that are rung for a campaign.
const METHOD: &str = "5";
/// A number that may not be called at this hour is looked at again then.
const NOT_NOW: Duration = Duration::from_secs(600);
/// Numbers that are asked for at a time: whoever pauses a campaign is rung no more than these.
const AT_A_TIME: u32 = 10;
/// Numbers of one look that cannot be called, or not at this hour, at most.
const IN_VAIN_MAX: u32 = 50;
/// Numbers that cannot be called for what may be wrong with all, one behind the other, at which a
/// campaign pauses.
const PASSED_MAX: u32 = 20;

impl Look<'_> {
    /// Places so many calls of a campaign; how many it were. Numbers that cannot be called are
    /// passed over; where that is the lot of many and no matter of theirs, or the company may do
    /// nothing any more, the campaign pauses.
    pub(super) async fn some(
        &self,
        state: &ApiState,
        campaign: &Campaign,
        count: u32,
    ) -> billing::Result<u32> {
        let (store, id) = (&state.0.store, &campaign.id);
        let side = match side(state, self.view, campaign).await? {
            Ok(side) => side,
            Err(why) => {
                pause(state, campaign, why).await?;
                return Ok(0);
            }
        };
        let (mut placed, mut passed, mut in_vain, mut seen) = (0, 0, 0, 0);
        while placed < count {
            let limit = (count - placed).min(AT_A_TIME);
            let numbers = store.next_numbers(self.me, id, now(), limit).await?;
            if numbers.is_empty() {
                break;
            }
            for number in numbers {
                // One at least, however long the look has taken by now.
                if in_vain == IN_VAIN_MAX || seen > 0 && Instant::now() >= self.until {
                    return Ok(placed);
                }
                seen += 1;
                let outcome = match command(state, self.view, (campaign, &side), &number).await? {
                    Ok(command) => state.place(command).await.map_err(super::refused),
                    Err(refused) => Err(refused),
                };
                match outcome {
                    Ok(call) => {
                        store.calling(id, number.seq, number.tries, call.call).await?;
                        (placed, passed) = (placed + 1, 0);
                    }
                    Err(Refused::Never(why)) => {
                        store.uncallable(id, number.seq, why).await?;
                        in_vain += 1;
                    }
                    Err(Refused::All(why)) => {
                        store.uncallable(id, number.seq, why).await?;
                        passed += 1;
                        if passed == PASSED_MAX {
                            pause(state, campaign, why).await?;
                            return Ok(placed);
                        }
                    }
                    // Those behind it may be somewhere else, where it is day.
                    Err(Refused::NotNow) => {
                        store.postpone(id, number.seq, now() + NOT_NOW).await?;
                        in_vain += 1;
                    }
                    Err(Refused::Later) => return Ok(placed),
                    Err(Refused::Pause(why)) => {
                        pause(state, campaign, why).await?;
                        return Ok(placed);
                    }
                }
            }
        }
        Ok(placed)
    }
}

async fn pause(state: &ApiState, campaign: &Campaign, why: &str) -> billing::Result<()> {
    let (task, company) = (&campaign.id, &campaign.company);
    state.0.store.pause_campaign(task, why, now()).await?;
    tracing::warn!(task, company, why, "campaign paused");
    Ok(())
}

/// Whose campaign it is, once he may do business, and what is the same for all of its calls.
enum Side<'a> {
    /// A company's of system 002.
    Company(Arc<Company>),
    /// A merchant's of `/v1`.
    Own(Arc<Merchant>, rest::Manner<'a>),
}

/// Whose it is; else why no number of it can be called.
async fn side<'a>(
    state: &ApiState,
    view: &View,
    campaign: &'a Campaign,
) -> billing::Result<Result<Side<'a>, &'static str>> {
    let store = &state.0.store;
    let Some(own) = &campaign.plan.own else {
        let company = view.company(store, &campaign.company).await?;
        let in_use = |company: &Arc<Company>| {
            company.active && company.expires.is_none_or(|expires| now() < expires)
        };
        let company = company.filter(in_use).map(Side::Company);
        return Ok(company.ok_or("company_closed"));
    };
    let merchant = view.merchant(store, campaign.merchant).await?;
    let approved = |merchant: &Arc<Merchant>| merchant.status == MerchantStatus::Approved;
    let Some(merchant) = merchant.filter(approved) else { return Ok(Err("merchant_disabled")) };
    // What he may not show any more is shown to nobody, whatever he might when it was made.
    let shown = rest::still_shown(state, &merchant, &campaign.plan.shown).await?;
    let Some(shown) = shown else { return Ok(Err("bad_caller")) };
    let Takers::Scenario(request) = &campaign.plan.takers else {
        return Ok(Ok(Side::Own(merchant, rest::Manner { own, scenario: None, shown })));
    };
    let scenario = rest::campaign_script(state, view, &merchant, request).await?;
    let Some(scenario) = scenario.map(Arc::new) else { return Ok(Err("scenario")) };
    Ok(Ok(Side::Own(merchant, rest::Manner { own, scenario: Some(scenario), shown })))
}

/// The call of a number; else why it cannot be called.
async fn command(
    state: &ApiState,
    view: &View,
    (campaign, side): (&Campaign, &Side<'_>),
    row: &CampaignNumber,
) -> billing::Result<Result<CallCommand, Refused>> {
    let company = match side {
        Side::Company(company) => company,
        Side::Own(merchant, manner) => {
            let whose = (campaign, merchant.as_ref());
            return rest::campaign_command(state, view, whose, manner, row).await;
        }
    };
    if let Takers::Notice(request) = &campaign.plan.takers {
        return notice(state, view, (campaign, company), (request, row)).await;
    }
    let store = &state.0.store;
    let written = &row.number.phone;
    let dialled = dialled(store, view, written).await?;
    // Emergency numbers are among short codes.
    if dialled.is_foreign_to(campaign.merchant) || dialled.is_short() {
        return Ok(Err(Refused::Never("invalid")));
    }
    let sub_account = dialled.sub_account();
    let Some(number) = dialled.number() else { return Ok(Err(Refused::Never("invalid"))) };
    let Some(scenario) = led(view, campaign.merchant, &campaign.plan.takers, row.seq) else {
        return Ok(Err(Refused::All("no_group")));
    };
    let shown = shown_to(&campaign.plan.shown, row.seq);
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

/// The number that somebody is shown: each in its turn.
pub(crate) fn shown_to(shown: &[String], seq: i64) -> Option<Number> {
    let turn = usize::try_from(seq).unwrap_or(0).checked_rem(shown.len())?;
    shown.get(turn).map(|digits| Number::public(digits.clone()))
}

/// The customer is led to an agent as soon as he answers: to the group, or to whichever of the
/// extensions is free; each customer begins with another. A group that rings all of its members at
/// once would offer one customer to all of them and leave nobody to the next: for a campaign they
/// are rung as extensions are.
pub(crate) fn led(
    view: &Snapshot,
    merchant: MerchantId,
    takers: &Takers,
    seq: i64,
) -> Option<Scenario> {
    let failed = Next::HangUp;
    let rings_all = |number: &String| {
        let group = view.groups.get(number);
        group.is_some_and(|group| group.enabled && group.strategy == Strategy::RingAll)
    };
    match takers {
        Takers::Notice(_) | Takers::Scenario(_) => return None,
        Takers::Group(number) if !rings_all(number) => {
            let to = Number::Internal(number.clone());
            return Scenario::new(vec![Step::Lead { to, failed }]).ok();
        }
        Takers::Group(_) | Takers::Extensions(_) => {}
    }
    let mut among = own(takers, merchant, view);
    let first = usize::try_from(seq).unwrap_or(0).checked_rem(among.len())?;
    among.rotate_left(first);
    Scenario::new(vec![Step::Hunt { among: among.into(), failed }]).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{group, settings};
    use super::*;

    const ME: MerchantId = MerchantId(1);

    #[test]
    fn s4_9_each_customer_begins_with_another_extension_and_may_get_any() {
        let numbers: Vec<String> = (1..=12).map(|n| format!("800{n:02}")).collect();
        let extensions: Vec<(&str, i64)> = numbers.iter().map(|n| (n.as_str(), 1)).collect();
        let view = settings(&extensions);
        let takers = Takers::Extensions(numbers.clone());
        let among = |seq| match led(&view, ME, &takers, seq).unwrap().steps() {
            [Step::Hunt { among, failed: Next::HangUp }] => among.to_vec(),
            other => panic!("{other:?}"),
        };
        for (seq, first) in [(1, "80002"), (2, "80003"), (12, "80001")] {
            assert_eq!((among(seq).len(), among(seq)[0].as_str()), (12, first));
        }
        assert_eq!(led(&view, ME, &Takers::Extensions(vec![]), 1), None);
        assert_eq!(led(&view, MerchantId(2), &takers, 1), None, "they are somebody else's");
    }

    #[test]
    fn s4_9_a_group_that_rings_all_at_once_is_asked_one_after_the_other() {
        let mut view = settings(&[("80001", 1), ("80002", 1), ("80003", 2)]);
        let group = |strategy| group(strategy, &["80001", "80002", "80003"]);
        let leads = |view: &Snapshot| {
            led(view, ME, &Takers::Group("80100".into()), 1).unwrap().steps().to_vec()
        };
        let to = Number::Internal("80100".into());
        let lead = [Step::Lead { to, failed: Next::HangUp }];
        assert_eq!(leads(&view), lead);
        view.groups.insert("80100".into(), group(Strategy::RoundRobin));
        assert_eq!(leads(&view), lead);
        view.groups.insert("80100".into(), group(Strategy::RingAll));
        let among = ["80002".to_owned(), "80001".to_owned()].into();
        assert_eq!(leads(&view), [Step::Hunt { among, failed: Next::HangUp }]);
    }
}
