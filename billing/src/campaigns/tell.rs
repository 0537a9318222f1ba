//! What the merchant of a campaign of `/v1` is told of it: an event in his list, and at his webhooks, written in the
//! transaction that makes it true.

use facts::campaign::{CampaignChange, CampaignTurn};
use facts::{CallId, Dialect, Push, PushKind, UnixMillis};

use super::{COLUMNS, both_of};
use crate::db::{Batch, Conn, args, json};
use crate::error::Result;
use crate::outbox;
use crate::rows::Payload;

/// Tells what became of a campaign, if its system is told. Whoever asks has just changed its row, so that nobody else
/// tells of it meanwhile.
pub(super) async fn tell(
    conn: &mut Conn,
    id: &str,
    (turn, reason): (CampaignTurn, &str),
    at: UnixMillis,
) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM campaigns WHERE id = $1");
    let Some(row) = conn.row(&sql, args![id]).await? else { return Ok(()) };
    // One that nobody can read is paused and ended all the same.
    let Ok((campaign, tally)) = both_of(&row) else { return Ok(()) };
    // Ids of calls have more digits: no event of a call is in its way.
    let (Some(own), Ok(place)) = (campaign.plan.own, id.parse::<u64>()) else { return Ok(()) };
    // Told rows are forgotten, and an id is never given twice.
    let sql = "UPDATE campaigns SET events = events + 1 WHERE id = $1";
    conn.exec(sql, args![id]).await?;
    let sql = "SELECT s.version, c.events FROM campaigns c CROSS JOIN settings s WHERE c.id = $1";
    let Some(row) = conn.row(sql, args![id]).await? else { return Ok(()) };
    let sequence = row.small::<u32>(1)?;
    let (campaign_id, name, reason) = (campaign.id, campaign.name, reason.to_owned());
    let change = CampaignChange { campaign: campaign_id, name, turn, reason, at, sequence, tally };
    let payload = json(&Payload::Campaign(change))?;
    let listed = Push {
        kind: PushKind::State,
        dialect: Dialect::Rest,
        endpoint: String::new(),
        context: own.context,
    };
    let event = outbox::Event {
        call: CallId(place),
        merchant: campaign.merchant,
        pushes: &[listed],
        kind: PushKind::State,
        name: turn.event(),
        sequence,
        at,
        settings_version: row.int(0)?,
        payload: &payload,
    };
    let mut batch = Batch::default();
    outbox::insert(&mut batch, &event)?;
    conn.batch(batch).await
}
