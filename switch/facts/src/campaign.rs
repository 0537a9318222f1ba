//! Campaigns as all rooms speak of them: the name of a call that is one of a number's, how the numbers of a campaign
//! stand, and what is told of it.

use serde::{Deserialize, Serialize};

use crate::command::{CallCommand, Dialect, Purpose};
use crate::time::UnixMillis;

/// What the keys of such calls begin with.
const KEY: &str = "task:";

/// The request key of a call of a number that was tried so often before: the same whenever this one is placed.
#[must_use]
pub fn try_key(campaign: &str, number: i64, tries: u32) -> String {
    format!("{KEY}{campaign}:{number}:{tries}")
}

impl CallCommand {
    /// The campaign that the call is of, and how often its number was tried before; `None` when it is of none.
    #[must_use]
    pub fn campaign(&self) -> Option<(&str, u32)> {
        let places = matches!(self.dialect, Dialect::Sipcall | Dialect::Rest)
            && matches!(self.purpose, Purpose::Campaign | Purpose::Notice);
        if !places {
            return None;
        }
        let (campaign, rest) = self.key.as_ref()?.key.strip_prefix(KEY)?.split_once(':')?;
        let (_, tries) = rest.split_once(':')?;
        Some((campaign, tries.parse().ok()?))
    }
}

/// How many numbers of a campaign stand where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// All.
    pub total: u64,
    /// Not called yet, or to be called once more.
    pub waiting: u64,
    /// Being called.
    pub calling: u64,
    /// Called.
    pub done: u64,
    /// Of these, who answered.
    pub answered: u64,
    /// Of these, who spoke with an agent, or with whom a key led to.
    pub joined: u64,
    /// Cannot be called.
    pub refused: u64,
}

impl Tally {
    /// No number is waiting or being called.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.waiting == 0 && self.calling == 0
    }
}

/// Something that became of a campaign by itself, or by its end, and that its merchant is told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CampaignChange {
    /// Which.
    pub campaign: String,
    /// What the merchant calls it.
    pub name: String,
    /// What became of it.
    pub turn: CampaignTurn,
    /// Why it paused: `no_balance`, `no_route`, …; empty where it ended.
    pub reason: String,
    /// When.
    pub at: UnixMillis,
    /// Its place among those of the campaign, from 1.
    pub sequence: u32,
    /// How its numbers stood.
    pub tally: Tally,
}

/// What became of a campaign.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignTurn {
    /// All its numbers were called.
    Ended,
    /// Somebody ended it before that.
    Cancelled,
    /// The switch starts no more calls of it until somebody has done something.
    Paused,
}

impl CampaignTurn {
    /// The name of the event.
    #[must_use]
    pub const fn event(self) -> &'static str {
        match self {
            CampaignTurn::Ended | CampaignTurn::Cancelled => CAMPAIGN_ENDED,
            CampaignTurn::Paused => CAMPAIGN_PAUSED,
        }
    }
}

/// The name of the event of a campaign that is over.
pub const CAMPAIGN_ENDED: &str = "campaign.ended";
/// And of one that the switch paused.
pub const CAMPAIGN_PAUSED: &str = "campaign.paused";
