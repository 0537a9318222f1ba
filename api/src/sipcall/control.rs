//! What is done to calls that are up: `HangupCall`, `TransferCall`, `SpyCall`, `ForceCall`.

use dialect::sipcall::call::{Supervise, Transfer, Wish, extension};
use dialect::sipcall::{Answer, Code, Rules, Service, Stop};
use facts::conference::{Act, ActRefused};
use facts::control::{Control, ControlRefused, Led, Mode};
use facts::station::{Stage, Station, StationCall};
use facts::{CallId, Number};

use super::make::is_registered;
use super::play::{Groups, refused};
use super::status::own;
use super::{Asker, Gate, ours};
use crate::settings::{View, dialled};
use crate::state::ApiState;

/// Reads the parameters, passes the gate, and does it.
pub(super) async fn run(gate: Gate<'_>, view: &View, rules: Rules<'_>) -> Result<Answer, Stop> {
    let (state, service) = (gate.state, gate.service);
    match service {
        Service::TransferCall => {
            let asked = Transfer::read(rules)?;
            let world = World { state, view, asker: gate.open()? };
            world.transfer(asked?).await?;
            Ok(Answer::done("转接命令发送成功", "transfer command sent"))
        }
        Service::SpyCall => {
            let asked = Supervise::read_spy(rules)?;
            let world = World { state, view, asker: gate.open()? };
            world.supervise(asked).await?;
            Ok(Answer::done("监听命令发送成功", "spy command sent"))
        }
        Service::ForceCall => {
            let asked = Supervise::read_force(rules)?;
            let breaks = asked.wish == Wish::Break;
            let world = World { state, view, asker: gate.open()? };
            world.supervise(asked).await?;
            Ok(match breaks {
                true => Answer::done("强拆命令发送成功", "break command sent"),
                false => Answer::done("强插命令发送成功", "barge command sent"),
            })
        }
        _ => {
            let number = extension(rules)?;
            let world = World { state, view, asker: gate.open()? };
            world.hang_up(&number).await?;
            Ok(Answer::done("挂断命令发送成功", "hang-up command sent"))
        }
    }
}

/// Who asks, and where.
struct World<'a> {
    state: &'a ApiState,
    view: &'a View,
    asker: Asker,
}

impl World<'_> {
    /// Ends the call of an extension: that in which it talks, or else its oldest. Who supervises leaves, and the others
    /// talk on; where it is only rung, it is rung no longer, and what becomes of the call is as if it had refused.
    async fn hang_up(&self, number: &str) -> Result<(), Stop> {
        let station = self.station(number).await?;
        let talks = station.calls.iter().find(|call| call.stage == Stage::Talks);
        let call = talks.or(station.calls.first()).ok_or(Code::NotInCall)?;
        if call.supervises {
            let supervisor = number.to_owned();
            return self.control(call.call, Control::Leave { supervisor }).await;
        }
        if call.stage == Stage::Rings {
            let extension = number.to_owned();
            return self.control(call.call, Control::Decline { extension }).await;
        }
        self.end(call.call, number).await
    }

    /// Ends a call of an extension. A conference goes on without it.
    async fn end(&self, call: CallId, number: &str) -> Result<(), Stop> {
        let live = self.state.0.calls.look(call).await.map_err(|_| Code::Connection)?;
        if live.is_some_and(|live| live.state == "conference") {
            let who = Number::Internal(number.to_owned());
            let kicked = self.state.0.calls.confer(call, Act::Kick { who }).await;
            return Ok(kicked.map_err(|why| match why {
                ActRefused::Refused(refusal) => refused(refusal),
                ActRefused::Unknown
                | ActRefused::NotThere
                | ActRefused::Full
                | ActRefused::AlreadyThere
                | ActRefused::Locked
                | ActRefused::Repeated
                | ActRefused::KeyConflict => Code::NotInCall,
            })?);
        }
        let ended = self.state.0.calls.hang_up(call).await.map_err(|_| Code::Connection)?;
        Ok(ended.then_some(()).ok_or(Code::NotInCall)?)
    }

    /// A supervisor takes part in the call of an extension, or ends it.
    async fn supervise(&self, asked: Supervise) -> Result<(), Stop> {
        let Supervise { extnumber: supervisor, destnumber, wish } = asked;
        let own = self.station(&supervisor).await?;
        let station = self.station(&destnumber).await?;
        let talks = |call: &&StationCall| call.stage == Stage::Talks && !call.supervises;
        let call = station.calls.iter().find(talks).ok_or(Code::NotInCall)?.call;
        let takes_part = own.calls.iter().any(|one| one.call == call && one.supervises);
        let mode = match wish {
            Wish::Break => return self.end(call, &destnumber).await,
            Wish::Part(mode) => mode,
            Wish::Hush if takes_part => Mode::Listen,
            Wish::Hush => return Err(Code::NotInCall.into()),
        };
        let control = match takes_part {
            true => Control::Part { supervisor, mode },
            false => {
                if !own.registered {
                    return Err(Code::NotRegistered.into());
                }
                Control::Monitor { who: Number::Internal(destnumber), supervisor, mode }
            }
        };
        self.control(call, control).await
    }

    /// A customer who talks is led on, and the extension that talks with him leaves.
    async fn transfer(&self, asked: Transfer) -> Result<(), Stop> {
        let Transfer { anumber, destnumber, group } = asked;
        let to = match group {
            true => {
                let groups = Groups { view: self.view, merchant: self.asker.merchant.id };
                groups.number(&destnumber)?
            }
            false => {
                self.own(&destnumber).await?;
                // A bound phone is outside, and nobody asked for it.
                if !is_registered(self.state, &destnumber).await? {
                    return Err(Code::NotRegistered.into());
                }
                Number::Internal(destnumber.clone())
            }
        };
        let (call, who) = self.led(&anumber).await?;
        self.control(call, Control::Transfer { who, to, as_sent: destnumber }).await
    }

    /// The call of somebody who is to be led on: an extension of the company leads on whoever talks with it.
    async fn led(&self, anumber: &str) -> Result<(CallId, Led), Stop> {
        let store = &self.state.0.store;
        let whom = dialled(store, self.view, anumber).await.map_err(ours)?;
        let number = whom.number().ok_or(Code::Bad("anumber"))?;
        if let Number::Internal(_) = number {
            let station = self.station(anumber).await?;
            let talks = |call: &&StationCall| call.stage == Stage::Talks && !call.supervises;
            let call = station.calls.iter().find(talks).ok_or(Code::NotInCall)?.call;
            return Ok((call, Led::OtherOf(number)));
        }
        let live = self.state.0.calls.live().await.map_err(|_| Code::Connection)?;
        let is = |written: &str| self.view.plan.parse(written).is_ok_and(|parsed| parsed == number);
        let mine = live.into_iter().filter(|call| call.merchant == self.asker.merchant.id);
        let mut found = mine.filter(|call| call.state == "bridged" && (is(&call.a) || is(&call.b)));
        let call = found.next().ok_or(Code::NotInCall)?;
        Ok((call.call, Led::This(number)))
    }

    /// What an extension of the company is at.
    async fn station(&self, number: &str) -> Result<Station, Stop> {
        self.own(number).await?;
        let stations = self.state.0.calls.stations(vec![number.to_owned()]).await;
        Ok(stations.and_then(|mut all| all.pop()).ok_or(Code::Connection)?)
    }

    async fn own(&self, number: &str) -> Result<std::sync::Arc<billing::rows::Extension>, Stop> {
        Ok(own(self.state, self.view, &self.asker, number).await??)
    }

    async fn control(&self, call: CallId, control: Control) -> Result<(), Stop> {
        let done = self.state.0.calls.control(call, self.asker.merchant.id, control).await;
        Ok(done.map_err(|why| match why {
            ControlRefused::NotTalking => Code::NotInCall,
            ControlRefused::Offline => Code::NotRegistered,
            ControlRefused::Codec => Code::Unmixable,
            ControlRefused::Pending | ControlRefused::Busy | ControlRefused::Full => Code::Failed,
            ControlRefused::Refused(refusal) => refused(refusal),
        })?)
    }
}
