//! Calls that begin with an extension, and calls of two customers: `MakeCall`, `MakePloyCall`, `DoubleCall`.

use std::time::Duration;

use dialect::sipcall::call::MakeCall;
use dialect::sipcall::{Answer, Code, Json, Rules, Service, Stop, call_uuid};
use facts::{CallCommand, Dialect, Number, Party, Purpose, Refusal};

use super::play::{callee, key, pushes, refused, shown};
use super::status::own;
use super::{Asker, Gate, ours};
use crate::settings::{View, dialled};
use crate::state::ApiState;

/// How long each of the two may ring.
const RING: Duration = Duration::from_secs(60);

/// Reads the parameters, passes the gate, and places the call.
pub(super) async fn run(gate: Gate<'_>, view: &View, rules: Rules<'_>) -> Result<Answer, Stop> {
    let (state, service) = (gate.state, gate.service);
    let asked = match service {
        Service::DoubleCall => MakeCall::read_double(rules)?,
        _ => MakeCall::read(rules)?,
    };
    let asker = gate.open()?;
    let command = command(state, view, &asker, (asked?, service)).await?;
    let placed = state.place(command).await.map_err(|refusal| refused_by(service, refusal))?;
    let uuid = call_uuid(placed.call);
    let result = Some(Json::object([("uuid", uuid.into())]));
    let done = match service {
        Service::DoubleCall => Answer::done("双呼命令发送成功", "double call command sent"),
        _ => Answer::done("呼叫命令发送成功", "call command sent"),
    };
    Ok(Answer { result, ..done })
}

/// Why the switch does not place it. What policies refuse is told by the code that calls by policy have for that.
const fn refused_by(service: Service, refusal: Refusal) -> Code {
    let code = refused(refusal);
    match service {
        Service::MakePloyCall if matches!(code, Code::Blocked | Code::OutsideHours) => Code::Policy,
        // Which of the two it is about nobody says.
        Service::DoubleCall if matches!(code, Code::Bad(_)) => Code::Validation,
        _ => code,
    }
}

/// The call.
async fn command(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    (asked, service): (MakeCall, Service),
) -> Result<CallCommand, Stop> {
    let company = asker.company.as_ref();
    let extension = own(state, view, asker, &asked.extnumber).await??;
    let named = if asked.first.is_some() { "bnumber" } else { "destnumber" };
    let customer = number(state, view, asker, (named, &asked.destnumber)).await?;
    // Behind whoever is rung first there is nobody yet, and of two customers nobody has dialled.
    let machine = asked.first.is_some() || asked.reverse;
    if machine && matches!(customer, Number::Short(_)) {
        return Err(Code::Bad(named).into());
    }
    // Where the settings of numbers say what is shown, the call names none.
    let policy = service == Service::MakePloyCall;
    let shown = match policy {
        true => None,
        false => shown(company, view, asked.disnumber.as_deref())?,
    };
    let party = |number, as_sent: &str, shown| Party {
        number,
        as_sent: as_sent.to_owned(),
        shown,
        ring: RING,
    };
    let b = party(customer.clone(), &asked.destnumber, shown.clone());
    let (a, b) = match &asked.first {
        Some(first) => {
            let callee = callee(state, view, asker.merchant.id, first).await;
            let number = callee.map_err(|stop| stop.about("anumber"))?.number;
            (party(number, first, shown.clone()), b)
        }
        None => {
            let registered = is_registered(state, &asked.extnumber).await?;
            let bound = asked.bound && extension.bound_phone.is_some();
            if !registered && !bound {
                return Err(Code::NotRegistered.into());
            }
            let number = Number::Internal(asked.extnumber.clone());
            // Whoever sits there sees whom the call is with; a carrier would not believe it.
            let sees = if registered { Some(customer) } else { shown.clone() };
            let seat = party(number, &asked.extnumber, sees);
            if asked.reverse { (b, seat) } else { (seat, b) }
        }
    };
    let method = asked.echo.method;
    let national = || shown.as_ref().map(|number| view.plan.national(number));
    let told = asked.disnumber.clone().filter(|_| !policy).or_else(national);
    let customer = (asked.destnumber.as_str(), asked.echo.customuuid.as_str());
    let method_word = method.to_string();
    let of = (method_word.as_str(), asked.extnumber.as_str());
    let pushes = pushes(company, customer, told.unwrap_or_default(), of);
    let fingerprint = format!("{method}\n{}\n{}\n{}", asked.extnumber, a.as_sent, b.as_sent);
    Ok(CallCommand {
        dialect: Dialect::Sipcall,
        merchant: asker.merchant.id,
        sub_account: extension.sub_account,
        app: company.companycode.clone(),
        a,
        b: Some(b),
        scenario: None,
        conference: None,
        purpose: Purpose::Callback,
        max_talk: None,
        record: company.record,
        key: key(company, &asked.echo.customuuid, fingerprint),
        pushes,
        custom: serde_json::to_string(&asked.echo).unwrap_or_default(),
    })
}

/// Whom a number means, if the company may have him rung.
async fn number(
    state: &ApiState,
    view: &View,
    asker: &Asker,
    (name, written): (&'static str, &str),
) -> Result<Number, Stop> {
    let whom = dialled(&state.0.store, view, written).await.map_err(ours)?;
    if whom.is_foreign_to(asker.merchant.id) {
        return Err(Code::Bad(name).into());
    }
    Ok(whom.number().ok_or(Code::Bad(name))?)
}

/// A phone of the extension is there.
pub(super) async fn is_registered(state: &ApiState, extension: &str) -> Result<bool, Stop> {
    let stations = state.0.calls.stations(vec![extension.to_owned()]).await;
    let stations = stations.ok_or(Code::Connection)?;
    Ok(stations.first().is_some_and(|station| station.registered))
}
