//! Campaigns as merchants ask for them and see them: lists of numbers, and what becomes of whoever answers.

use std::collections::BTreeMap;

use facts::campaign::{CampaignChange, CampaignTurn, Tally};
use facts::media::Record;
use facts::{Hours, UnixMillis, Zone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::problem::FieldError;
use super::request::RecordWord;
use super::scenario::NewScenario;
use super::sound::Sound;
use super::{instant, read_instant};

/// How far ahead one may begin.
const AHEAD_MAX_MS: i64 = 366 * 86_400_000;
/// How long after each key is waited for, seconds.
const KEY_WAIT_S: u16 = 5;
/// The step that plays a `sound`.
const HEAR: &str = "hear";
/// What steps are called that lead where a key does.
const KEY: &str = "key-";

/// A campaign to begin. It has one of `agents`, `scenario` and `sound`.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    /// What the merchant calls it.
    #[schemars(length(min = 1, max = 100))]
    pub name: String,
    /// Who is called, each once; more by `POST /v1/campaigns/{campaign}/numbers`. Without any it waits for `resume`.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub numbers: Vec<NewTarget>,
    /// Whoever answers is led to one of these.
    #[serde(default)]
    pub agents: Option<NewAgents>,
    /// Whoever answers is led by this.
    #[serde(default)]
    pub scenario: Option<NewScenario>,
    /// Whoever answers hears this.
    #[serde(default)]
    #[schemars(with = "Option<Sound>")]
    pub sound: Option<Value>,
    /// With `sound`: keys, and whom each leads to: an extension or a group of the merchant's, or a public number.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// With `agents`: how many are called for each who is free.
    #[serde(default)]
    pub pacing: Option<Pacing>,
    /// Calls at a time, at most; 100 unless given. What the merchant may have at a time comes before.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000))]
    pub calls_at_once: Option<u32>,
    /// How often a number is called at most that is busy, does not answer or cannot be reached; once unless given.
    #[serde(default)]
    #[schemars(range(min = 1, max = 10))]
    pub tries: Option<u32>,
    /// How long it waits before it is called again, seconds; half an hour unless given.
    #[serde(default)]
    #[schemars(range(min = 10, max = 604_800))]
    pub retry_s: Option<u32>,
    /// Calls start then alone, e.g. `mon-fri 09:00-20:00`; always unless given.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub hours: Vec<String>,
    /// Where the clock hangs that `hours` are read by, an IANA name, e.g. `Asia/Shanghai`; UTC unless given.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// When it begins (RFC 3339), a year ahead at most; at once unless given.
    #[serde(default)]
    pub start_at: Option<String>,
    /// It waits for `resume`.
    #[serde(default)]
    pub hold: bool,
    /// Numbers to show, each in its turn: those that the key may show.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub caller_ids: Vec<String>,
    /// How long it may ring, 5 to 180 seconds; 40 unless given.
    #[serde(default)]
    #[schemars(range(min = 5, max = 180))]
    pub ring_s: Option<u16>,
    /// Longest talk time of a call in seconds, below the merchant's own limit.
    #[serde(default)]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_talk_s: Option<u32>,
    /// Whether conversations are recorded; the merchant's setting unless given.
    #[serde(default)]
    #[schemars(with = "Option<RecordWord>")]
    pub record: Option<Record>,
    /// The merchant's own words, up to 500 characters: what is told of it and of its calls bears them.
    #[serde(default)]
    #[schemars(length(max = 500))]
    pub reference: Option<String>,
}

/// Numbers to add.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNumbers {
    /// Who is called; whoever waits in it already is called once.
    #[schemars(length(min = 1, max = 10_000))]
    pub numbers: Vec<NewTarget>,
}

/// A number to call.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTarget {
    /// As it is dialled at home or with `+`.
    pub number: String,
    /// The merchant's own words: what is told of its calls bears them, in place of those of the campaign.
    #[serde(default)]
    #[schemars(length(max = 200))]
    pub reference: Option<String>,
}

/// Who takes the calls.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum NewAgents {
    /// A group of the merchant's, by its number.
    Group(String),
    /// Extensions of the merchant's; each customer begins with another one.
    Extensions(Vec<String>),
}

/// How many customers are called for each agent who is free.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pacing {
    /// So many is found out.
    pub predictive: bool,
    /// So many, in thousandths; one unless given.
    #[schemars(range(min = 1_000, max = 10_000))]
    pub lines_per_agent_permille: Option<u32>,
    /// Of those who answer, so many thousandths may find nobody; 30 unless given.
    #[schemars(range(max = 200))]
    pub abandoned_permille: Option<u16>,
}

/// What those hear who are called for no agent, as it is kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Script {
    /// What leads whoever answers.
    pub scenario: NewScenario,
    /// It may lead into conferences.
    pub confers: bool,
    /// It was asked for as a `sound`, with `keys`.
    pub plain: bool,
}

impl NewCampaign {
    /// What is wrong with it that no schema says.
    #[must_use]
    pub fn mistakes(&self) -> Vec<FieldError> {
        let ways = [self.agents.is_some(), self.scenario.is_some(), self.sound.is_some()];
        let mut wrong = Vec::new();
        if ways.iter().filter(|given| **given).count() != 1 {
            let words = "a campaign has one of `agents`, `scenario` and `sound`";
            wrong.push(FieldError::new("", words));
        }
        if self.agents.is_none() && self.pacing.is_some() {
            wrong.push(FieldError::new("/pacing", "is for campaigns that have `agents`"));
        }
        if self.sound.is_none() && !self.keys.is_empty() {
            wrong.push(FieldError::new("/keys", "are for campaigns that have a `sound`"));
        }
        for (nth, hours) in self.hours.iter().enumerate() {
            if let Err(error) = Hours::try_from(vec![hours.clone()]) {
                wrong.push(FieldError::new(format!("/hours/{nth}"), error.to_string()));
            }
        }
        if let Some(zone) = &self.time_zone
            && let Err(error) = Zone::named(zone)
        {
            wrong.push(FieldError::new("/time_zone", error.to_string()));
        }
        wrong
    }

    /// When it begins by itself.
    ///
    /// # Errors
    /// When that is no instant, has passed, or is more than a year ahead.
    pub fn start(&self, now: UnixMillis) -> Result<Option<UnixMillis>, FieldError> {
        let Some(text) = &self.start_at else { return Ok(None) };
        let wrong = |words| FieldError::new("/start_at", words);
        if self.hold {
            return Err(wrong("one that waits for `resume` begins at no time"));
        }
        let at =
            read_instant(text).ok_or_else(|| wrong("must be an instant as RFC 3339 has it"))?;
        if (now.0..=now.0 + AHEAD_MAX_MS).contains(&at.0) {
            Ok(Some(at))
        } else {
            Err(wrong("must be to come, and a year ahead at most"))
        }
    }

    /// What leads whoever answers, where no agent is to have him. A `sound` is a scenario of one step that plays it, and
    /// one for each key.
    #[must_use]
    pub fn script(&self, confers: bool) -> Option<Script> {
        if let Some(scenario) = self.scenario.clone() {
            return Some(Script { scenario, confers, plain: false });
        }
        let sounds = json!([self.sound.clone()?]);
        let mut steps = BTreeMap::new();
        let mut choices = BTreeMap::new();
        for (nth, (key, number)) in self.keys.iter().enumerate() {
            let name = format!("{KEY}{nth}");
            choices.insert(key.clone(), name.clone());
            steps.insert(name, json!({ "do": "dial", "number": number }));
        }
        let hear = if choices.is_empty() {
            json!({ "do": "play", "sounds": sounds })
        } else {
            json!({ "do": "gather", "sounds": sounds, "choices": choices, "timeout_s": KEY_WAIT_S })
        };
        steps.insert(HEAR.to_owned(), hear);
        let scenario = NewScenario { start: HEAR.to_owned(), language: None, steps };
        Some(Script { scenario, confers, plain: true })
    }

    /// Mistakes in a [`NewCampaign::script`] as mistakes of what was asked for.
    #[must_use]
    pub fn mistaken(&self, script: &Script, wrong: Vec<FieldError>) -> Vec<FieldError> {
        let said = |error: FieldError| {
            let at = error.pointer.strip_prefix("/scenario/steps/").unwrap_or_default();
            let sound = at.strip_prefix("hear/sounds/0");
            let key = at.strip_prefix(KEY).and_then(|rest| rest.split('/').next()?.parse().ok());
            let key = key.and_then(|nth| self.keys.keys().nth(nth));
            let pointer = match (sound, key) {
                (Some(rest), _) => format!("/sound{rest}"),
                (_, Some(key)) => {
                    format!("/keys/{}", key.replace('~', "~0").replace('/', "~1"))
                }
                _ => "/keys".to_owned(),
            };
            FieldError { pointer, ..error }
        };
        if script.plain { wrong.into_iter().map(said).collect() } else { wrong }
    }
}

/// A campaign that was begun. A repeat under the same `Idempotency-Key` is told the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct CampaignMade {
    /// Names it.
    pub id: String,
    /// Numbers that were kept: each once.
    pub numbers: u64,
    /// When.
    pub created: String,
    /// Where it is found.
    pub url: String,
}

/// Numbers that were added.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct NumbersAdded {
    /// The campaign.
    pub id: String,
    /// So many; those that wait in it already are not among them.
    pub added: u64,
}

/// A campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Campaign {
    /// Names it.
    pub id: String,
    /// What the merchant calls it.
    pub name: String,
    /// `waiting`, `running`, `paused`, `ended`, `cancelled`.
    pub state: String,
    /// Why the switch paused it: `no_balance`, `merchant_disabled`, `no_route`, `no_price`, `bad_caller`, `no_agents`, `scenario`, `sound`.
    pub reason: Option<String>,
    /// The merchant's own words.
    pub reference: String,
    /// When it was made.
    pub created: String,
    /// When it begins by itself.
    pub start_at: Option<String>,
    /// When it ended.
    pub ended: Option<String>,
    /// How many numbers stand where.
    pub numbers: Counts,
    /// Who takes the calls; null where nobody waits for them.
    pub agents: Option<NewAgents>,
    /// How many are called for each agent.
    pub pacing: Option<Pacing>,
    /// Calls at a time, at most.
    pub calls_at_once: u32,
    /// Calls of a number, at most.
    pub tries: u32,
    /// How long it waits in between, seconds.
    pub retry_s: u32,
    /// Calls start then alone; none: always.
    pub hours: Vec<String>,
    /// Where these are read.
    pub time_zone: String,
    /// How it stands just now, as the process sees it that was asked; null where it does not dial it.
    pub now: Option<PacingNow>,
}

/// How many numbers of a campaign stand where.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// To be called, for the first time or once more.
    pub waiting: u64,
    /// Being called.
    pub calling: u64,
    /// Called for the last time.
    pub done: u64,
    /// Cannot be called.
    pub refused: u64,
    /// Of those that were called, who answered.
    pub answered: u64,
    /// Of these, who spoke with somebody.
    pub connected: u64,
}

impl From<Tally> for Counts {
    fn from(tally: Tally) -> Counts {
        let Tally { total, waiting, calling, done, answered, joined, refused } = tally;
        Counts { total, waiting, calling, done, refused, answered, connected: joined }
    }
}

/// How a campaign that is dialled stands just now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct PacingNow {
    /// Agents who could take a call.
    pub agents_free: u32,
    /// Customers who are rung.
    pub ringing: u32,
    /// Customers who have answered, and hear something or wait for an agent.
    pub waiting: u32,
    /// Customers who talk.
    pub talking: u32,
    /// As many calls may start as its pacing says.
    pub may_start: u32,
    /// It is within its hours.
    pub open: bool,
}

/// A number of a campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct CampaignNumber {
    /// As it was sent.
    pub number: String,
    /// The merchant's own words.
    pub reference: String,
    /// `waiting`, `calling`, `done`, `refused`.
    pub state: String,
    /// Why it cannot be called, or what its last call failed by: `busy`, `no_answer`, …; `abandoned` of whoever waited for an
    /// agent and hung up, `no_agent` of whom nobody took.
    pub reason: Option<String>,
    /// Whoever was called answered.
    pub answered: bool,
    /// And spoke with somebody.
    pub connected: bool,
    /// Calls so far.
    pub tries: u32,
    /// The last of them.
    pub call: Option<String>,
    /// Until when it was put off.
    pub not_before: Option<String>,
}

/// What became of a campaign.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct CampaignEvent {
    /// What the merchant calls it.
    pub name: String,
    /// `ended`, `cancelled`, `paused`.
    pub state: String,
    /// Why the switch paused it.
    pub reason: Option<String>,
    /// How its numbers stood.
    pub numbers: Counts,
}

impl CampaignEvent {
    pub(super) fn of(change: &CampaignChange) -> CampaignEvent {
        let state = match change.turn {
            CampaignTurn::Ended => "ended",
            CampaignTurn::Cancelled => "cancelled",
            CampaignTurn::Paused => "paused",
        };
        CampaignEvent {
            name: change.name.clone(),
            state: state.to_owned(),
            reason: Some(change.reason.clone()).filter(|reason| !reason.is_empty()),
            numbers: change.tally.into(),
        }
    }
}

impl CampaignMade {
    /// Of a campaign with so many numbers.
    #[must_use]
    pub fn of(id: String, numbers: u64, created: UnixMillis) -> CampaignMade {
        let url = format!("/v1/campaigns/{id}");
        CampaignMade { id, numbers, created: instant(created), url }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse_leniently;
    use super::*;

    fn pointers(body: &Value) -> Vec<String> {
        let read = parse_leniently::<NewCampaign>(body.to_string().as_bytes());
        let found = match read {
            Ok((new, mut found)) => {
                found.extend(new.mistakes());
                found.extend(new.start(UnixMillis(1_795_376_400_000)).err());
                found
            }
            Err(problem) => problem.errors,
        };
        found.into_iter().map(|error| error.pointer).collect()
    }

    #[test]
    fn a_campaign_has_one_way_with_whoever_answers_and_is_within_bounds() {
        let agents = json!({ "group": "80100" });
        let good = json!({ "name": "winter", "agents": agents, "hours": ["mon-fri 09:00-20:00"],
            "time_zone": "Asia/Shanghai", "pacing": { "predictive": true }, "start_at": "2026-11-23T00:00:00Z" });
        assert_eq!(pointers(&good), [""; 0]);
        assert_eq!(pointers(&json!({ "name": "winter" })), [""]);
        let both = json!({ "name": "winter", "agents": agents, "sound": { "prompt": "welcome" } });
        assert_eq!(pointers(&both), [""]);
        let bad = json!({ "name": "", "agents": agents, "keys": { "1": "80000" }, "calls_at_once": 0, "tries": 11,
            "retry_s": 1, "hours": ["soon"], "time_zone": "Mars/Base", "start_at": "2026-11-22T00:00:00Z" });
        let all = [
            "/calls_at_once",
            "/name",
            "/retry_s",
            "/tries",
            "/keys",
            "/hours/0",
            "/time_zone",
            "/start_at",
        ];
        assert_eq!(pointers(&bad), all);
        let form =
            json!({ "name": "winter", "agents": { "group": 5 }, "numbers": ["138"], "extra": 1 });
        assert_eq!(pointers(&form), ["/agents/group", "/extra", "/numbers/0"]);
        assert_eq!(pointers(&json!({ "name": "x", "agents": "80100" })), ["/agents"]);
    }

    #[test]
    fn a_sound_with_keys_is_a_scenario_whose_mistakes_are_told_where_they_were_made() {
        let body = json!({ "name": "x", "sound": { "prompt": "welcome" }, "keys": { "1": "80100", "2": "80000" } });
        let (new, wrong) = parse_leniently::<NewCampaign>(body.to_string().as_bytes()).unwrap();
        assert!(wrong.is_empty(), "{wrong:?}");
        let script = new.script(false).unwrap();
        assert_eq!(script.scenario.steps["hear"]["choices"], json!({ "1": "key-0", "2": "key-1" }));
        assert_eq!(script.scenario.steps["key-1"]["number"], "80000");
        let found =
            ["/scenario/steps/hear/sounds/0", "/scenario/steps/key-1/number", "/scenario/steps"];
        let found = found.map(|at| FieldError::new(at, "")).to_vec();
        let told: Vec<String> =
            new.mistaken(&script, found).into_iter().map(|error| error.pointer).collect();
        assert_eq!(told, ["/sound", "/keys/2", "/keys"]);
    }
}
