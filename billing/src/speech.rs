//! What an operator's file wants said, held against the announcements and words that there are: whoever applies it hears of what nobody
//! could hear, and not the first merchant who asks for it.

use facts::media::Prompt;
use facts::sound::{Clip, Say, Spoken};
use facts::template::Template;

use crate::desired::{Desired, Mistake};

/// Languages of which one will do where a template names none: it is said in that of whoever asks.
const LANGUAGES: [&str; 3] = ["zh", "en", "fa"];

/// Parts of templates that nobody could hear, as far as no value stands in them. `playable`: why a clip cannot be heard.
pub fn unspeakable(
    desired: &Desired,
    playable: impl Fn(&Clip) -> Result<(), String>,
) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (i, template) in desired.templates.iter().enumerate() {
        let whole = Template {
            language: template.language.clone(),
            parts: template.parts.clone(),
            keys: template.keys,
        };
        // That it has a name at all is looked at with the rest of the file.
        let fixed = whole.fixed().filter(|(_, part)| *part != Spoken::Prompt(String::new()));
        for (at, part) in fixed {
            let heard = heard(template.language.as_deref(), &part, &playable);
            mistakes.extend(
                heard.err().map(|message| Mistake {
                    path: format!("templates[{i}].parts[{at}]"),
                    message,
                }),
            );
        }
    }
    mistakes
}

/// Why a part cannot be heard: in its language, or in none of them.
fn heard(
    language: Option<&str>,
    part: &Spoken,
    playable: &impl Fn(&Clip) -> Result<(), String>,
) -> Result<(), String> {
    let of = |language: &str| {
        let language = language.to_owned();
        playable(&match part {
            Spoken::Prompt(name) => Clip::Prompt(Prompt { name: name.clone(), language }),
            part => Clip::Say(Say { language, parts: vec![part.clone()] }),
        })
    };
    if let Some(language) = language {
        return of(language);
    }
    let mut why = Ok(());
    for language in LANGUAGES {
        why = of(language);
        if why.is_ok() {
            break;
        }
    }
    why
}
