//! `errors.code` of a service that said no, and its words (merchant API §4.2).

use super::fault::Lang;

macro_rules! codes {
    ($( $(#[$doc:meta])* $code:ident = $number:literal, $zh:literal, $en:literal; )*) => {
        /// Why a service did not do what it was asked for, or how something stands.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Code { $( $(#[$doc])* $code, )* }

        impl Code {
            /// The number on the wire.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $( Code::$code => $number, )* }
            }

            /// The words.
            #[must_use]
            pub const fn words(self, lang: Lang) -> &'static str {
                match self { $( Code::$code => lang.pick($zh, $en), )* }
            }

            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$code),*];
        }
    };
}

codes! {
    /// The switch did not answer.
    Connection = 1001, "服务器连接失败", "server connection failed";
    /// A value has not the form that it must have.
    Validation = 1002, "数据验证错误", "validation error";
    /// It could not be done.
    Failed = 1003, "操作失败", "operation failed";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s4_2_each_code_has_a_number_of_its_own_and_words_in_both_languages() {
        let mut numbers: Vec<u16> = Code::ALL.iter().map(|code| code.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(
                !code.words(Lang::Zh).is_ascii() && code.words(Lang::En).is_ascii(),
                "{code:?}"
            );
        }
    }
}
