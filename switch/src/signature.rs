//! `tandem explain-signature`: why a merchant's signature does not match.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use api::signature::{Explanation, Header, Sent, Unexplained};
use clap::Args;
use facts::UnixMillis;

use crate::cli::{complain, failed, print};
use crate::config::Config;
use crate::{clock, serve};

/// Bytes of a row of a dump.
const ROW: usize = 16;

/// The request as it was sent.
#[derive(Args, Debug)]
pub(crate) struct Asked {
    /// Its URL
    #[arg(required_unless_present = "file")]
    url: Option<String>,
    /// The whole request as it went over the wire, or its URL; - is standard input
    #[arg(long, conflicts_with = "url")]
    file: Option<PathBuf>,
    /// A header of it, e.g. 'Authorization: …'; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    header: Vec<String>,
    /// Its body
    #[arg(long, conflicts_with = "file")]
    body: Option<String>,
    /// Whose key it is checked with: a result of system 000 does not say
    #[arg(long, value_name = "NAME")]
    merchant: Option<String>,
    /// When it was sent, milliseconds since 1970; now without it
    #[arg(long, value_name = "MS")]
    at: Option<i64>,
}

impl Asked {
    fn sent(&self) -> std::io::Result<Sent> {
        let text = match (&self.file, &self.url) {
            (Some(file), _) if file.as_os_str() == "-" => {
                let mut text = Vec::new();
                std::io::stdin().read_to_end(&mut text)?;
                text
            }
            (Some(file), _) => std::fs::read(file)?,
            (None, url) => url.clone().unwrap_or_default().into_bytes(),
        };
        let mut sent = Sent::read(&text);
        for line in &self.header {
            sent.header(line.as_bytes());
        }
        if let Some(body) = &self.body {
            sent.body = body.clone().into_bytes();
        }
        Ok(sent)
    }
}

/// Looks the key up in the database, and prints no key. Status 1 when the door refuses it.
pub(crate) async fn explain(config: &Config, asked: &Asked) -> ExitCode {
    let sent = match asked.sent() {
        Ok(sent) => sent,
        Err(error) => return failed(&format!("the request cannot be read: {error}")),
    };
    let store = match serve::open_kept(config).await {
        Ok(store) => store,
        Err(error) => return failed(&error.to_string()),
    };
    let at = asked.at.map_or_else(clock::wall, UnixMillis);
    let merchant = asked.merchant.as_deref();
    let told = api::signature::explain(&store, &sent, merchant, at, config.web.ytx_validity).await;
    store.close().await;
    match told {
        Ok(told) => {
            print(&page(&told));
            if told.passes() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error @ Unexplained::Store(_)) => failed(&error.to_string()),
        Err(why) => {
            complain(&why.to_string());
            ExitCode::from(2)
        }
    }
}

fn page(told: &Explanation) -> String {
    let verdict = match (told.matched, told.passes()) {
        (true, true) => "the signature matches",
        (true, false) => {
            "the signature matches, and the request is REFUSED for its Authorization header"
        }
        (false, _) => "the signature does NOT match",
    };
    let mut page = format!("{} of {}: {verdict}\n", told.interface, told.who);
    let _ = writeln!(page, "signature as it came  {} ({})", told.given.text, told.given.case);
    if let Some(header) = &told.header {
        page += &heading(header);
    }
    page += "\nsigned over, in this order:\n";
    for field in &told.fields {
        let as_sent = if field.sent == field.value {
            String::new()
        } else {
            format!("  (sent as {})", field.sent)
        };
        let _ = writeln!(page, "  {} = {}{as_sent}", field.name, field.value);
    }
    page += "\nthe key is masked with ***:\n";
    for attempt in &told.tries {
        let matches = if attempt.matches { "  <- this one matches" } else { "" };
        let _ = writeln!(page, "  {}{matches}\n    {}", attempt.reading, attempt.base);
        let bytes: Vec<&str> = attempt.bytes.split(' ').collect();
        for row in bytes.chunks(ROW) {
            let _ = writeln!(page, "    | {}", row.join(" "));
        }
    }
    if !told.advice.is_empty() {
        page.push('\n');
    }
    for words in &told.advice {
        let _ = writeln!(page, "{words}");
    }
    page
}

fn heading(header: &Header) -> String {
    let path = if header.sid_is_the_path { "as in the path" } else { "NOT the one in the path" };
    let clock = match header.ahead_s {
        Some(0) => "as ours".to_owned(),
        Some(s) if s < 0 => format!("{} s behind ours", -s),
        Some(s) => format!("{s} s ahead of ours"),
        None => "no date".to_owned(),
    };
    let fresh = if header.fresh { "near enough" } else { "NOT near enough" };
    format!(
        "Authorization         {}\n  decoded             {}\n  accountSID          {} ({path})\n  \
         timestamp           {} ({clock}, {fresh})\n",
        header.sent, header.decoded, header.sid, header.timestamp
    )
}
