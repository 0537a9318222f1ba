//! The services and their names.

use super::fault::Fault;
use super::params::Params;

/// Longest name that is repeated in an answer, bytes.
const NAME_MAX: usize = 100;

macro_rules! services {
    ($( $(#[$doc:meta])* $service:ident = $name:literal, )*) => {
        /// What can be asked for.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Service { $( $(#[$doc])* $service, )* }

        impl Service {
            /// All of them.
            pub const ALL: &[Service] = &[$(Service::$service),*];

            /// Its name: class and method.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $( Service::$service => $name, )* }
            }
        }
    };
}

services! {
    /// A token for a key.
    Login = "App.Sip_Auth.Login",
    /// Ends a token.
    Logout = "App.Sip_Auth.Logout",
    /// A notice, of which a key may lead to a group.
    PlayVoice = "App.Sip_Call.PlayVoice",
    /// A call of an extension and a customer.
    MakeCall = "App.Sip_Call.MakeCall",
    /// The same, and the settings of numbers say which is shown.
    MakePloyCall = "App.Sip_Call.MakePloyCall",
    /// A call of two customers.
    DoubleCall = "App.Sip_Call.DoubleCall",
    /// Ends the call of an extension.
    HangupCall = "App.Sip_Call.HangupCall",
    /// Leads somebody who talks on to somebody else.
    TransferCall = "App.Sip_Call.TransferCall",
    /// Listens to a call, or whispers into it.
    SpyCall = "App.Sip_Call.SpyCall",
    /// Breaks into a call, or breaks it off.
    ForceCall = "App.Sip_Call.ForceCall",
    /// Records, page by page.
    GetBill = "App.Sip_Cdr.GetBill",
    /// Where a recording can be had for a while.
    GetRecodeFile = "App.Sip_Cdr.GetRecodeFile",
    /// Keeps a sound.
    VoiceUpload = "App.Sip_Voice.Upload",
    /// The sounds that are kept.
    VoiceList = "App.Sip_Voice.List",
    /// Removes one.
    VoiceDelete = "App.Sip_Voice.Delete",
    /// Makes a group.
    AddExtgroup = "App.Sip_Extgroup.AddExtgroup",
    /// Removes it.
    DelExtgroup = "App.Sip_Extgroup.DelExtgroup",
    /// The members of groups.
    GetGroupExt = "App.Sip_Extgroup.GetGroupExt",
    /// The extensions.
    GetSipnumberInfo = "App.Sip_Sipnum.GetSipnumberInfo",
    /// The numbers that may be shown.
    GetDisnumberInfo = "App.Sip_Disnum.GetDisnumberInfo",
    /// The groups.
    GetQueueList = "App.Sip_Queue.GetQueueList",
    /// Signs an extension in to a group.
    SipSignIn = "App.Sip_Queue.SipSignIn",
    /// Signs it out.
    SipSignOut = "App.Sip_Queue.SipSignOut",
    /// What the members of a group are at.
    GetQueueSipStatus = "App.Sip_Queue.GetQueueSipStatus",
    /// Whether extensions are registered.
    GetSipRegisterStatus = "App.Sip_Status.GetSipRegisterStatus",
    /// What extensions are at.
    GetSipCallStatus = "App.Sip_Status.GetSipCallStatus",
    /// Whether extensions are in use.
    GetSipValidStatus = "App.Sip_Status.GetSipValidStatus",
    /// Numbers to be dialled for agents.
    TaskCreat = "App.Sip_Yccall.TaskCreat",
    /// More of them.
    TaskAdd = "App.Sip_Yccall.TaskAdd",
    /// The tasks of a company.
    TaskList = "App.Sip_Yccall.TaskList",
    /// How a task stands.
    TaskInfo = "App.Sip_Yccall.TaskInfo",
    /// Starts, pauses or cancels it.
    TaskSet = "App.Sip_Yccall.TaskSet",
}

impl Service {
    /// The service that is asked for; `None` where nothing is.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn of(params: &Params) -> Option<Result<Service, Fault>> {
        let given = params.get("service").or_else(|| params.get("s"))?;
        let name = full(given);
        if name.split('.').any(str::is_empty) {
            return Some(Err(Fault::IllegalService(name)));
        }
        let same = |service: &&Service| service.name().eq_ignore_ascii_case(&name);
        Some(Service::ALL.iter().find(same).copied().ok_or(Fault::NoService(name)))
    }

    /// What a company has to be let ask for: the class in small letters; `None` where everybody may.
    #[must_use]
    pub fn module(self) -> Option<String> {
        let class = class_of(self.name()).to_ascii_lowercase();
        (class != "auth").then_some(class)
    }
}

/// `Call` of `App.Sip_Call.PlayVoice`.
#[must_use]
pub fn class_of(name: &str) -> &str {
    let class = name.split('.').nth(1).unwrap_or_default();
    class.split_once('_').map_or(class, |(_, class)| class)
}

/// The whole name: `App.` in front of two parts, one part is a class whose method is `Index`. Blanks around it and
/// backslashes, which come from documents, are dropped.
fn full(given: &str) -> String {
    let mut name: String = given.trim().chars().filter(|c| *c != '\\').collect();
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.truncate(end);
    match name.split('.').count() {
        _ if name.is_empty() => "App.Site.Index".to_owned(),
        1 => format!("App.{name}.Index"),
        2 => format!("App.{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str) -> Result<Service, Fault> {
        let mut params = Params::default();
        params.set("service", name.to_owned());
        Service::of(&params).unwrap()
    }

    #[test]
    fn s4_1_names_are_completed_and_cleaned() {
        for name in [
            "App.Sip_Auth.Logout",
            " App.Sip_Auth.Logout",
            "Sip_Auth.Logout",
            "App.Sip\\_Auth.Logout",
            "app.sip_auth.logout",
        ] {
            assert_eq!(read(name), Ok(Service::Logout), "{name}");
        }
        for (name, full) in [
            ("", "App.Site.Index"),
            ("Foo", "App.Foo.Index"),
            ("Sip_Call.Foo", "App.Sip_Call.Foo"),
            ("App.Sip_Call.Foo", "App.Sip_Call.Foo"),
            ("A.B.C.D", "A.B.C.D"),
        ] {
            assert_eq!(read(name), Err(Fault::NoService(full.into())), "{name}");
        }
        for name in [".", "App..X", "App.Sip_Call."] {
            assert!(matches!(read(name), Err(Fault::IllegalService(_))), "{name}");
        }
        let long = read(&"测".repeat(100)).unwrap_err();
        assert!(matches!(&long, Fault::NoService(name) if name.len() < 120), "{long:?}");
    }

    #[test]
    fn s4_1_the_short_name_counts_where_the_long_one_is_not_there() {
        let mut params = Params::default();
        assert_eq!(Service::of(&params), None);
        params.set("s", "Sip_Auth.Login".into());
        assert_eq!(Service::of(&params), Some(Ok(Service::Login)));
        params.set("service", "Sip_Auth.Logout".into());
        assert_eq!(Service::of(&params), Some(Ok(Service::Logout)));
    }

    #[test]
    fn s4_1_each_service_but_those_of_tokens_belongs_to_a_module() {
        for service in Service::ALL {
            let auth = service.name().contains("Sip_Auth");
            assert_eq!(service.module().is_none(), auth, "{service:?}");
        }
    }
}
