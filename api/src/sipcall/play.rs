//! `App.Sip_Call.PlayVoice`: from a checked request to a command for the switch.

use std::sync::Arc;
use std::time::Duration;

use billing::library::Address;
use billing::rows::{CdrVersion, Company, StateMethod};
use dialect::sipcall::{Answer, Code, Json, Menu, PlayVoice, PushContext, Stop, Voice, call_uuid};
use facts::group::Group;
use facts::media::Prompt;
use facts::scenario::{Choice, Collect, Next, Say, Scenario, Step};
use facts::settings::Snapshot;
use facts::sound::Clip;
use facts::{
    CallCommand, Dialect, MerchantId, Number, Party, Placed, Purpose, Push, PushKind, Refusal,
    RequestKey, SubAccountId,
};
use sha2::{Digest as _, Sha256};

use super::{Asker, ours};
use crate::settings::{View, dialled};
use crate::state::ApiState;

/// How long a key is waited for when the sound is over.
const KEY_WAIT: Duration = Duration::from_secs(5);
/// What is said where nobody of a group can be had.
const NOBODY: &str = "callee-busy";

pub(super) async fn play(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: PlayVoice,
) -> Result<Answer, Stop> {
    let fingerprint = hex::encode(Sha256::digest(asked.said().as_bytes()));
    let key = key(&asker.company, &asked.echo.customuuid, fingerprint);
    // What was taken once is taken, whatever became of its sound or its group since.
    if let Some(key) = &key
        && let Some(placed) = state.earlier(asker.merchant.id, key).await.map_err(refused)?
    {
        return Ok(told(placed));
    }
    let whom = callee(state, view, asker.merchant.id, &asked.destnumber).await?;
    let command = command(state, view, asker, asked, whom).await?;
    let placed = state.place(CallCommand { key, ..command }).await.map_err(refused)?;
    Ok(told(placed))
}

fn told(placed: Placed) -> Answer {
    let uuid = call_uuid(placed.call);
    let result = Some(Json::object([("uuid", uuid.into())]));
    Answer { result, ..Answer::done("播放命令发送成功", "play command sent") }
}

/// Whom a number means, and the sub-account that an extension belongs to.
pub(super) struct Callee {
    pub(super) number: Number,
    pub(super) sub_account: Option<SubAccountId>,
}

/// Whom a number means that a merchant may have rung by a machine: no short code.
pub(super) async fn callee(
    state: &ApiState,
    view: &View,
    merchant: MerchantId,
    written: &str,
) -> Result<Callee, Stop> {
    let whom = dialled(&state.0.store, view, written).await.map_err(ours)?;
    if whom.is_foreign_to(merchant) || whom.is_short() {
        return Err(Code::Bad("destnumber").into());
    }
    let sub_account = whom.sub_account();
    let number = whom.number().ok_or(Code::Bad("destnumber"))?;
    Ok(Callee { number, sub_account })
}

/// The call that plays it to somebody, under no key.
pub(super) async fn command(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    asked: PlayVoice,
    Callee { number, sub_account }: Callee,
) -> Result<CallCommand, Stop> {
    let company = asker.company.as_ref();
    let clip = clip(state, view, asker, &asked.voice).await?;
    let groups = Groups { view, merchant: asker.merchant.id };
    let scenario = scenario(asker, clip, &asked, groups)?;
    let shown = shown(company, view, asked.disnumber.as_deref())?;
    let custom = serde_json::to_string(&asked.echo).unwrap_or_default();
    Ok(CallCommand {
        dialect: Dialect::Sipcall,
        merchant: asker.merchant.id,
        sub_account,
        app: company.companycode.clone(),
        key: None,
        pushes: {
            let method = match company.state_method {
                StateMethod::Dial => "2",
                StateMethod::Ivr => "6",
            };
            // What was sent comes back as it was sent.
            let national = || shown.as_ref().map(|number| view.plan.national(number));
            let told = asked.disnumber.clone().or_else(national);
            let customer = (asked.destnumber.as_str(), asked.echo.customuuid.as_str());
            pushes(company, customer, told.unwrap_or_default(), (method, ""))
        },
        a: Party { number, as_sent: asked.destnumber, shown, ring: asked.ring },
        b: None,
        scenario: Some(Arc::new(scenario)),
        conference: None,
        purpose: Purpose::Notice,
        max_talk: Some(asked.talk),
        record: company.record,
        custom,
    })
}

/// The sound; a stored one has to be there.
async fn clip(state: &ApiState, view: &View, asker: &Asker, voice: &Voice) -> Result<Clip, Stop> {
    let name = match voice {
        Voice::Url(url) => {
            // What no visit could bring is told at once; what a name leads to, the visit finds out.
            state.0.guard.admits(url).map_err(|_| Code::Bad("voicefile"))?;
            return Ok(Clip::Url(url.clone()));
        }
        Voice::Stored(name) => name,
    };
    let (company, store) = (&asker.company.companycode, &state.0.store);
    // What the company has sent in comes first.
    if let Some(sound) = store.sound(company, name).await.map_err(ours)? {
        let address = Address { company: company.clone(), sum: sound.sum };
        return Ok(Clip::Url(address.to_string()));
    }
    let language = asker.language();
    let own = format!("{company}-{name}");
    let of = |name: String| Clip::Prompt(Prompt { name, language: language.clone() });
    let there = |clip: &Clip| state.0.calls.playable(clip).is_ok();
    // The company's own comes before what everybody has.
    let own = of(own);
    if there(&own) {
        return Ok(own);
    }
    let common = of(name.clone());
    if !there(&common) {
        return Err(Code::NoFile.into());
    }
    // What another company has is not what everybody has. Only the names of the operator's own
    // files are looked at so.
    for (at, _) in name.match_indices('-') {
        let code = name.get(..at).unwrap_or_default();
        if view.company(store, code).await.map_err(ours)?.is_some() {
            return Err(Code::NoFile.into());
        }
    }
    Ok(common)
}

/// Groups of a merchant.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) view: &'a Snapshot,
    pub(super) merchant: MerchantId,
}

impl<'a> Groups<'a> {
    /// The number of a group by its number or its name. What is a number is no name: it may have
    /// been one before it was a number.
    pub(super) fn find(self, name: &str) -> Option<&'a String> {
        let own = |group: &Group| group.merchant == self.merchant;
        let numbered = self.view.groups.get_key_value(name).filter(|(_, group)| own(group));
        let named = || self.view.groups.iter().find(|(_, group)| own(group) && group.name == name);
        numbered.or_else(named).map(|(number, _)| number)
    }

    /// The same, as somebody who is called.
    pub(super) fn number(self, name: &str) -> Result<Number, Code> {
        self.find(name).map(|number| Number::Internal(number.clone())).ok_or(Code::NoGroup)
    }
}

/// The sound, the groups that keys lead to, and a word where nobody is there.
fn scenario(
    asker: &Asker,
    clip: Clip,
    asked: &PlayVoice,
    groups: Groups<'_>,
) -> Result<Scenario, Code> {
    let Menu { keys, none } = &asked.menu;
    let mut steps = Vec::new();
    let mut lead = |name: &str| -> Result<Next, Code> {
        let to = groups.number(name)?;
        steps.push(to);
        // Behind the sound and the word.
        u8::try_from(steps.len() + 1).map(Next::Step).map_err(|_| Code::Bad("userid"))
    };
    let mut choices = Vec::new();
    for (keys, group) in keys {
        choices.push(Choice { keys: keys.clone(), next: lead(group)? });
    }
    let none = none.as_deref().map(&mut lead).transpose()?.unwrap_or(Next::HangUp);
    let collect = Collect { max: 1, secret: false, next: Next::HangUp };
    let say = Say {
        choices,
        collect: asked.collect.then_some(collect),
        wait: KEY_WAIT,
        none,
        ..Say::only(vec![clip], 1)
    };
    let word = Prompt { name: NOBODY.to_owned(), language: asker.language() };
    let word = Step::Say(Say::only(vec![Clip::Prompt(word)], 1));
    let failed = Next::Step(1);
    let leads = steps.into_iter().map(|to| Step::Lead { to, failed });
    let all = [Step::Say(say), word].into_iter().chain(leads);
    Scenario::new(all.collect()).map_err(|fault| {
        tracing::warn!(%fault, "system 002: a request makes no scenario");
        Code::Bad("userid")
    })
}

/// The number to show: one of the company's, any of them where none is asked for.
pub(super) fn shown(
    company: &Company,
    view: &Snapshot,
    asked: Option<&str>,
) -> Result<Option<Number>, Code> {
    let Some(asked) = asked else {
        let mut lot = [0_u8; 8];
        // Without randomness it is the first.
        let _ = getrandom::fill(&mut lot);
        let many = u64::try_from(company.callers.len()).unwrap_or(1).max(1);
        let nth = usize::try_from(u64::from_be_bytes(lot) % many).unwrap_or_default();
        return Ok(company.callers.get(nth).map(|digits| Number::public(digits.clone())));
    };
    let parsed = view.plan.parse(asked).map_err(|_| Code::ForeignNumber)?;
    let own = company.callers.iter().any(|digits| digits == parsed.digits());
    own.then_some(Some(parsed)).ok_or(Code::ForeignNumber)
}

/// Where the company wants it, its own name of a request makes it one.
pub(super) fn key(company: &Company, name: &str, fingerprint: String) -> Option<RequestKey> {
    let wanted = company.dedupe_customuuid && !name.is_empty();
    wanted.then(|| RequestKey {
        dialect: Dialect::Sipcall,
        key: format!("{}:{name}", company.companycode),
        fingerprint,
    })
}

/// What a company is told of a call: the customer and its `customuuid` as sent, the number that he
/// is shown, and `method` of states and the extension that the call is for, if it is for one.
pub(crate) fn pushes(
    company: &Company,
    (customer, customuuid): (&str, &str),
    disnumber: String,
    (method, extension): (&str, &str),
) -> Vec<Push> {
    let context = PushContext {
        companycode: company.companycode.clone(),
        customer: customer.to_owned(),
        disnumber,
        customuuid: customuuid.to_owned(),
        method: method.to_owned(),
        cdr_2025: company.cdr_version == CdrVersion::Y2025,
        extnumber: extension.to_owned(),
    };
    let context = serde_json::to_string(&context).unwrap_or_default();
    let to = [(PushKind::Extension, &company.state_url), (PushKind::Record, &company.cdr_url)];
    to.into_iter()
        .filter_map(|(kind, url)| {
            let endpoint = url.clone()?;
            Some(Push { kind, dialect: Dialect::Sipcall, endpoint, context: context.clone() })
        })
        .collect()
}

pub(super) const fn refused(refusal: Refusal) -> Code {
    match refusal {
        Refusal::NoBalance => Code::NoBalance,
        Refusal::TooManyCalls => Code::TooMany,
        Refusal::Blocked => Code::Blocked,
        Refusal::OutsideHours | Refusal::TooOften => Code::OutsideHours,
        Refusal::NoPrice | Refusal::NoRoute | Refusal::SameNumber => Code::Bad("destnumber"),
        Refusal::BadCaller => Code::Validation,
        Refusal::UnknownMerchant | Refusal::Disabled | Refusal::KeyConflict => Code::Failed,
        Refusal::Busy | Refusal::Internal => Code::Connection,
    }
}
