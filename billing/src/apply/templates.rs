//! Templates of notices.

use facts::scenario;
use facts::sound::Say;
use facts::template::{Template, Unfit};

use super::Run;
use super::check::LANGUAGES;
use super::sync::{Item, Show, Table, set};
use crate::db::{args, json};
use crate::error::Result;

const TEMPLATES: Table = Table {
    kind: "template",
    table: "templates",
    keys: &["merchant_id", "id"],
    columns: &[("language", Show::Plain), ("parts", Show::Plain), ("keys", Show::Plain)],
};

impl Run<'_> {
    pub(super) async fn templates(&mut self) -> Result<()> {
        let desired = self.desired;
        let mut items = Vec::new();
        for (i, template) in desired.templates.iter().enumerate() {
            let path = format!("templates[{i}]");
            let before = self.check.mistakes.len();
            let merchant = self.merchant(&path, &template.merchant);
            if let Some(language) = &template.language {
                self.check.one_of(&format!("{path}.language"), language, &LANGUAGES);
            }
            if !(1..=Say::PARTS_MAX).contains(&template.parts.len()) {
                self.check.wrong(format!("{path}.parts"), format!("1 to {} parts", Say::PARTS_MAX));
            }
            let most = scenario::Say::KEYS_MAX;
            if !(1..=most).contains(&usize::from(template.keys)) {
                self.check.wrong(format!("{path}.keys"), format!("1 to {most} keys"));
            }
            let whole = Template {
                language: template.language.clone(),
                parts: template.parts.clone(),
                keys: template.keys,
            };
            for why in whole.mistakes() {
                match why {
                    Unfit::Part(at, why) => self.check.wrong(format!("{path}.parts[{at}]"), why),
                    Unfit::Values { .. } => {}
                }
            }
            let Some(merchant) = merchant.filter(|_| self.check.mistakes.len() == before) else {
                continue;
            };
            items.push(Item {
                name: format!("{}/{}", template.merchant, template.id),
                key: args![merchant, &template.id],
                cells: vec![
                    set(template.language.clone()),
                    set(json(&template.parts)?),
                    set(i64::from(template.keys)),
                ],
            });
        }
        self.sync(&TEMPLATES, items).await?;
        Ok(())
    }
}
