//! The announcements that ship with the program; `media/prompts/make` speaks them.

macro_rules! shipped {
    ($($language:literal: $($name:literal)*;)*) => {
        /// Language, name and file of each.
        pub(super) const FILES: &[(&str, &str, &[u8])] = &[$($(
            (
                $language,
                $name,
                include_bytes!(concat!("../../prompts/", $language, "/", $name, ".ogg")),
            ),
        )*)*];
    };
}

shipped! {
    "zh": "callee-busy" "callee-noanswer" "callee-unreachable" "callee-invalid" "balance-low" "system-error"
        "voicemail-greeting" "voicemail-empty" "voicemail-end" "call-recorded"
        "recording-consent" "call-not-recorded" "code-is" "menu-unsaid";
    "en": "callee-busy" "callee-noanswer" "callee-unreachable" "callee-invalid" "balance-low" "system-error"
        "voicemail-greeting" "voicemail-empty" "voicemail-end" "call-recorded"
        "recording-consent" "call-not-recorded" "code-is" "menu-unsaid";
    "fa": "callee-busy" "callee-noanswer" "callee-unreachable" "callee-invalid" "balance-low" "system-error"
        "voicemail-greeting" "voicemail-empty" "voicemail-end" "call-recorded"
        "recording-consent" "call-not-recorded" "code-is" "menu-unsaid";
}
