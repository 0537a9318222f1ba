//! Request methods. Names are case-sensitive (RFC 3261 §7.1); unknown ones are kept by their text so
//! that they can be answered.

use std::fmt;

macro_rules! methods {
    ($($variant:ident $text:literal $source:literal),* $(,)?) => {
        /// A request method.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Method {
            $(#[doc = concat!("`", $text, "` (RFC ", $source, ")")] $variant,)*
            /// A method this crate does not know.
            Other(String),
        }

        impl Method {
            /// The methods with a name of their own.
            pub const KNOWN: &'static [Method] = &[$(Method::$variant),*];

            /// The name on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Method::$variant => $text,)*
                    Method::Other(name) => name,
                }
            }

            fn known(name: &[u8]) -> Option<Method> {
                $(if name == $text.as_bytes() { return Some(Method::$variant); })*
                None
            }
        }
    };
}

methods! {
    Invite "INVITE" "3261", Ack "ACK" "3261", Bye "BYE" "3261", Cancel "CANCEL" "3261",
    Register "REGISTER" "3261", Options "OPTIONS" "3261", Prack "PRACK" "3262",
    Update "UPDATE" "3311", Info "INFO" "6086", Refer "REFER" "3515",
    Subscribe "SUBSCRIBE" "6665", Notify "NOTIFY" "6665", Message "MESSAGE" "3428",
    Publish "PUBLISH" "3903",
}

impl Method {
    /// Reads a method name; `None` if it is not a token.
    pub fn parse(name: &[u8]) -> Option<Method> {
        if let Some(known) = Method::known(name) {
            return Some(known);
        }
        if name.is_empty() || !name.iter().all(|&byte| super::scan::is_token(byte)) {
            return None;
        }
        Some(Method::Other(String::from_utf8_lossy(name).into_owned()))
    }
}

/// The same method in `rsip`'s vocabulary, where it has one.
impl TryFrom<&Method> for rsip::Method {
    type Error = ();

    fn try_from(method: &Method) -> Result<rsip::Method, ()> {
        match method {
            Method::Other(_) => Err(()),
            // rsip folds case, so it may only be asked about names that are known to be right.
            known => known.as_str().parse().map_err(drop),
        }
    }
}

impl From<rsip::Method> for Method {
    fn from(method: rsip::Method) -> Method {
        let name = method.to_string();
        Method::known(name.as_bytes()).unwrap_or(Method::Other(name))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_case_sensitive_and_unknown_ones_survive() {
        assert_eq!(Method::parse(b"INVITE"), Some(Method::Invite));
        assert_eq!(Method::parse(b"invite"), Some(Method::Other("invite".into())));
        assert_eq!(Method::parse(b"!interesting-Method0123456789_*+`.%indeed'~"), {
            Some(Method::Other("!interesting-Method0123456789_*+`.%indeed'~".into()))
        });
        assert_eq!(Method::parse(b"IN VITE"), None);
        assert_eq!(Method::parse(b""), None);
    }

    #[test]
    fn rsip_knows_the_same_methods() {
        for method in Method::KNOWN {
            let theirs = rsip::Method::try_from(method).unwrap();
            assert_eq!(&Method::from(theirs), method);
        }
        assert_eq!(rsip::Method::all().len(), Method::KNOWN.len());
    }
}
