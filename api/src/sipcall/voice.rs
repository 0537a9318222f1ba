//! `App.Sip_Voice`: sounds that a company sends in, kept in the store.

use billing::library::{Kept, Sound};
use dialect::sipcall::voice::{self, Kind, OCTETS_MAX, Told};
use dialect::sipcall::{Answer, Code, Fault, Rules, Service, Stop};

use super::form::File;
use super::{Asker, Gate, ours};
use crate::counters::count;
use crate::state::{ApiState, now};

/// Each of these services.
pub(super) async fn run(
    gate: Gate<'_>,
    file: Option<File>,
    rules: Rules<'_>,
) -> Result<Answer, Stop> {
    let state = gate.state;
    match gate.service {
        Service::VoiceUpload => {
            let file = file.ok_or(Fault::NoFile("file"))?;
            let name = voice::read_name(rules, Some(&file.name))?;
            let asker = gate.open()?;
            upload(state, &asker, &name?, file).await
        }
        Service::VoiceDelete => {
            let name = voice::read_name(rules, None)?;
            let asker = gate.open()?;
            let company = &asker.company.companycode;
            match state.0.store.drop_sound(company, &name?, now()).await.map_err(ours)? {
                true => Ok(Answer::done("删除成功", "deleted")),
                false => Err(Code::NoFile.into()),
            }
        }
        _ => {
            let asker = gate.open()?;
            let sounds = state.0.store.sounds(&asker.company.companycode).await.map_err(ours)?;
            Ok(voice::listed(&sounds.iter().map(told).collect::<Vec<_>>()))
        }
    }
}

/// Keeps a sound that can be played.
async fn upload(state: &ApiState, asker: &Asker, name: &str, file: File) -> Result<Answer, Stop> {
    if file.octets.len() > OCTETS_MAX {
        return Err(Fault::TooLarge.into());
    }
    let kind = Kind::of(&file.octets).ok_or(Code::BadVoice)?;
    let octets = Vec::from(file.octets);
    let merchant = asker.merchant.id;
    let decoded = state.0.room.decode(merchant, state.0.calls.sound_of(octets.clone())).await;
    let Some(decoded) = decoded else {
        count(&state.0.counters.rate_limited);
        return Err(Fault::TooFrequent.into());
    };
    let length = decoded.map_err(|why| {
        tracing::info!(why, "system 002: what was sent in as a sound cannot be played");
        Code::BadVoice
    })?;
    let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let (company, count) = (&asker.company.companycode, octets.len() as u64);
    let (at, ending) = (now(), kind.ending());
    let kept = state.0.store.keep_sound(company, (name, ending), (octets, millis), at).await;
    match kept.map_err(ours)? {
        Kept::Kept => {
            let told = Told { name, ending, octets: count, millis, uploaded: at };
            Ok(voice::uploaded(&told))
        }
        Kept::Full => Err(Code::Failed.into()),
    }
}

fn told(sound: &Sound) -> Told<'_> {
    Told {
        name: &sound.name,
        ending: &sound.kind,
        octets: sound.length,
        millis: sound.millis,
        uploaded: sound.uploaded,
    }
}
