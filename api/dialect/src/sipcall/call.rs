//! `App.Sip_Call` but for notices: calls that begin with an extension, and what is done to calls that are up
//! (merchant API §4.9).

use facts::control::Mode;

use super::code::Code;
use super::fault::Fault;
use super::play::{ECHO_MAX, Echo, NUMBER_MAX, USERID_MAX, plain};
use super::rules::Rules;

/// `callmethod` of a call that an extension is rung for.
pub const METHOD_CALL: u16 = 3;
/// `callmethod` of a call of two who are both customers.
pub const METHOD_DOUBLE: u16 = 4;

/// A call to place: the one is rung, then the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MakeCall {
    /// The extension that it is for.
    pub extnumber: String,
    /// Rung first where both are customers; `None`: the extension is one of the two.
    pub first: Option<String>,
    /// The customer, as he is to come back: without blanks, `+` and `-`.
    pub destnumber: String,
    /// The number to show; `None`: any of the company's.
    pub disnumber: Option<String>,
    /// The customer is rung first.
    pub reverse: bool,
    /// The extension's bound phone may be rung where no phone of it is registered.
    pub bound: bool,
    /// What comes back as it was sent.
    pub echo: Echo,
}

impl MakeCall {
    /// Reads the parameters of `MakeCall` and `MakePloyCall`.
    ///
    /// # Errors
    /// What the framework says; then what the service says.
    pub fn read(rules: Rules<'_>) -> Result<Result<MakeCall, Code>, Fault> {
        let extension = rules.text("extnumber", (1, NUMBER_MAX))?;
        let number = rules.text("destnumber", (1, NUMBER_MAX))?;
        let (echo, disnumber) = echo(rules, (METHOD_CALL, extension))?;
        let reverse = rules.word("callmethod", &["positive", "reverse"])? == "reverse";
        let bound = rules.word("doublecall", &["no", "yes"])? == "yes";
        let customer = if reverse { Customer::A } else { Customer::B };
        Ok(whole((extension, number, None), disnumber, Echo { customer, ..echo })
            .map(|call| MakeCall { reverse, bound, ..call }))
    }

    /// Reads the parameters of `DoubleCall`.
    ///
    /// # Errors
    /// What the framework says; then what the service says.
    pub fn read_double(rules: Rules<'_>) -> Result<Result<MakeCall, Code>, Fault> {
        let extension = rules.text("extnumber", (1, NUMBER_MAX))?;
        let first = rules.text("anumber", (1, NUMBER_MAX))?;
        let number = rules.text("bnumber", (1, NUMBER_MAX))?;
        let (echo, disnumber) = echo(rules, (METHOD_DOUBLE, extension))?;
        let echo = Echo { customer: Customer::B, ..echo };
        Ok(whole((extension, number, Some(first)), disnumber, echo))
    }
}

/// Which of the two is the customer, of whom records tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Customer {
    /// Who is rung first.
    #[default]
    A,
    /// Who is rung then.
    B,
}

impl Customer {
    /// The first: as it is where nothing is said of it.
    pub(super) fn is_first(&self) -> bool {
        *self == Customer::A
    }
}

fn echo<'a>(rules: Rules<'a>, (method, extension): (u16, &str)) -> Result<(Echo, &'a str), Fault> {
    let disnumber = rules.maybe("disnumber", NUMBER_MAX)?;
    let userid = rules.maybe("userid", USERID_MAX)?;
    let chengshudu = rules.maybe("chengshudu", ECHO_MAX)?;
    let memberid = rules.maybe("memberid", ECHO_MAX)?;
    let customuuid = rules.maybe("customuuid", ECHO_MAX)?;
    let ext = rules.maybe("ext", ECHO_MAX)?;
    let echo = Echo {
        customuuid: customuuid.to_owned(),
        chengshudu: if ext.is_empty() { chengshudu } else { ext }.to_owned(),
        userid: userid.to_owned(),
        memberid: memberid.to_owned(),
        method,
        extnumber: extension.trim().to_owned(),
        ..Echo::default()
    };
    Ok((echo, disnumber))
}

fn whole(
    (extension, number, first): (&str, &str, Option<&str>),
    disnumber: &str,
    echo: Echo,
) -> Result<MakeCall, Code> {
    let other = if first.is_some() { "bnumber" } else { "destnumber" };
    Ok(MakeCall {
        extnumber: extension.trim().to_owned(),
        first: first.map(|first| plain(first).ok_or(Code::Bad("anumber"))).transpose()?,
        destnumber: plain(number).ok_or(Code::Bad(other))?,
        disnumber: match plain(disnumber) {
            _ if disnumber.trim().is_empty() => None,
            Some(number) => Some(number),
            None => return Err(Code::ForeignNumber),
        },
        reverse: false,
        bound: false,
        echo,
    })
}

/// `HangupCall`: the extension whose call is to end.
///
/// # Errors
/// What the framework says.
pub fn extension(rules: Rules<'_>) -> Result<String, Fault> {
    rules.text("extnumber", (1, NUMBER_MAX)).map(|number| number.trim().to_owned())
}

/// What a supervisor wants of the call of somebody else.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Supervise {
    /// His extension.
    pub extnumber: String,
    /// The extension that talks.
    pub destnumber: String,
    /// What he wants.
    pub wish: Wish,
}

/// What.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// To take part like this; whoever does not is rung.
    Part(Mode),
    /// To listen only, where he takes part already.
    Hush,
    /// That it ends.
    Break,
}

impl Supervise {
    /// Reads the parameters of `SpyCall`.
    ///
    /// # Errors
    /// What the framework says.
    pub fn read_spy(rules: Rules<'_>) -> Result<Supervise, Fault> {
        let both = both(rules)?;
        let wish = match rules.int("monitortype", (1, 4))? {
            1 => Wish::Part(Mode::Listen),
            2 => Wish::Part(Mode::Whisper),
            3 => Wish::Hush,
            _ => Wish::Part(Mode::Barge),
        };
        Ok(both(wish))
    }

    /// Reads the parameters of `ForceCall`.
    ///
    /// # Errors
    /// What the framework says.
    pub fn read_force(rules: Rules<'_>) -> Result<Supervise, Fault> {
        let both = both(rules)?;
        let wish = match rules.int("forcetype", (1, 2))? {
            1 => Wish::Part(Mode::Barge),
            _ => Wish::Break,
        };
        Ok(both(wish))
    }
}

fn both(rules: Rules<'_>) -> Result<impl FnOnce(Wish) -> Supervise, Fault> {
    let extnumber = extension(rules)?;
    let destnumber = rules.text("destnumber", (1, NUMBER_MAX))?.trim().to_owned();
    Ok(move |wish| Supervise { extnumber, destnumber, wish })
}

/// `TransferCall`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transfer {
    /// A customer who talks, or the extension that talks with him: without blanks, `+` and `-`.
    pub anumber: String,
    /// Where the customer is led to: an extension, or the name or number of a group.
    pub destnumber: String,
    /// It is a group.
    pub group: bool,
}

impl Transfer {
    /// Reads the parameters.
    ///
    /// # Errors
    /// What the framework says; then that somebody is no number.
    pub fn read(rules: Rules<'_>) -> Result<Result<Transfer, Code>, Fault> {
        let anumber = rules.text("anumber", (1, NUMBER_MAX))?;
        let destnumber = rules.text("destnumber", (1, ECHO_MAX))?.trim().to_owned();
        let group = rules.int("transfertype", (1, 2))? == 2;
        let anumber = plain(anumber).ok_or(Code::Bad("anumber"));
        Ok(anumber.map(|anumber| Transfer { anumber, destnumber, group }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, Params};
    use super::*;

    fn params(query: &str) -> Params {
        let mut params = Params::default();
        params.form(query.as_bytes());
        params
    }

    #[test]
    fn s4_9_a_call_and_what_clients_leave_out() {
        let read = |query: &str| MakeCall::read(Rules(&params(query)));
        let asked = read("extnumber=80000&destnumber=%2B86 133-3333 3333").unwrap().unwrap();
        assert_eq!((&*asked.extnumber, &*asked.destnumber), ("80000", "8613333333333"));
        assert_eq!(
            (asked.first, asked.disnumber, asked.reverse, asked.bound),
            (None, None, false, false)
        );
        let echo = &asked.echo;
        assert_eq!((echo.method, &*echo.extnumber, echo.customer), (3, "80000", Customer::B));
        let all = "extnumber=80000&destnumber=1&disnumber=2&userid=u&chengshudu=c&memberid=m&customuuid=x\
            &callmethod=reverse&doublecall=yes";
        let asked = read(all).unwrap().unwrap();
        assert_eq!(
            (asked.disnumber.as_deref(), asked.reverse, asked.bound),
            (Some("2"), true, true)
        );
        let echo = asked.echo;
        assert_eq!(
            (&*echo.userid, &*echo.chengshudu, &*echo.memberid, &*echo.customuuid),
            ("u", "c", "m", "x")
        );
        assert_eq!(echo.customer, Customer::A);
        let double = "extnumber=80000&anumber=133 1&bnumber=2";
        let asked = MakeCall::read_double(Rules(&params(double))).unwrap().unwrap();
        assert_eq!(
            (asked.first.as_deref(), &*asked.destnumber, asked.echo.method),
            (Some("1331"), "2", 4)
        );
    }

    #[test]
    fn s4_9_each_parameter_of_a_call_that_is_wrong() {
        let fault = |query: &str| MakeCall::read(Rules(&params(query))).unwrap_err().msg(Lang::Zh);
        assert_eq!(fault(""), "非法请求：缺少必要参数extnumber");
        assert_eq!(fault("extnumber=1"), "非法请求：缺少必要参数destnumber");
        let both = "extnumber=1&destnumber=2&";
        let words = "非法请求：参数callmethod应该为：positive/reverse，但现在callmethod = x";
        assert_eq!(fault(&format!("{both}callmethod=x")), words);
        let words = "非法请求：参数doublecall应该为：no/yes，但现在doublecall = 1";
        assert_eq!(fault(&format!("{both}doublecall=1")), words);
        let code = |query: &str| MakeCall::read(Rules(&params(query))).unwrap().unwrap_err();
        assert_eq!(code("extnumber=1&destnumber=a"), Code::Bad("destnumber"));
        assert_eq!(code(&format!("{both}disnumber=a")), Code::ForeignNumber);
    }

    #[test]
    fn s4_9_what_supervisors_want_and_who_is_led_on() {
        let both = "extnumber= 80001&destnumber=80000&";
        let spy = |kind: u8| {
            let query = format!("{both}monitortype={kind}");
            Supervise::read_spy(Rules(&params(&query))).map(|asked| asked.wish)
        };
        let wishes = [1, 2, 3, 4].map(|kind| spy(kind).unwrap());
        let part = Wish::Part;
        let wanted = [part(Mode::Listen), part(Mode::Whisper), Wish::Hush, part(Mode::Barge)];
        assert_eq!(wishes, wanted);
        assert!(spy(5).is_err() && spy(0).is_err());
        let force = |kind: u8| {
            let query = format!("{both}forcetype={kind}");
            Supervise::read_force(Rules(&params(&query))).map(|asked| asked.wish)
        };
        assert_eq!([1, 2].map(|kind| force(kind).unwrap()), [part(Mode::Barge), Wish::Break]);
        assert!(force(3).is_err());
        let transfer = |query: &str| Transfer::read(Rules(&params(query)));
        let asked = transfer("anumber=133-1&destnumber=sales&transfertype=2").unwrap().unwrap();
        assert_eq!((&*asked.anumber, &*asked.destnumber, asked.group), ("1331", "sales", true));
        let wrong = transfer("anumber=a&destnumber=80000&transfertype=1").unwrap();
        assert_eq!(wrong, Err(Code::Bad("anumber")));
        assert!(transfer("anumber=1&destnumber=80000").is_err());
    }
}
