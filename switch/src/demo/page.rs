//! The terminal page: a ladder that grows as messages pass, and what came of the call below it.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use phone::Line;

/// Columns of the page.
const WIDTH: usize = 100;
/// Columns between two life lines.
const SPAN: usize = 42;

/// Who is at the far end of a message that passed the switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// The phone that is rung first, on the left.
    A,
    /// The phone that is rung second, on the right.
    B,
}

/// Colours with a meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ink {
    Plain,
    Dim,
    Bold,
    Request,
    Progress,
    Good,
    Bad,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Plain => "0",
            Ink::Dim => "2",
            Ink::Bold => "1",
            Ink::Request => "36",
            Ink::Progress => "33",
            Ink::Good => "32",
            Ink::Bad => "1;31",
        }
    }
}

/// Where the page is printed.
pub(super) struct Page {
    colours: bool,
    began: Instant,
    /// Rows of the ladder that are not printed yet: two phones and a merchant report each on their own.
    rows: Mutex<Vec<(Instant, String)>>,
}

/// Rows wait this long for an earlier one.
const PATIENCE: Duration = Duration::from_millis(25);

impl Page {
    /// A page on standard output; coloured on a terminal unless `NO_COLOR` is set.
    pub(super) fn new() -> Page {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Page { colours, began: Instant::now(), rows: Mutex::default() }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// A heading across the page.
    pub(super) fn heading(&self, title: &str) {
        let rule = "─".repeat(WIDTH.saturating_sub(title.chars().count() + 4));
        self.put(&format!("\n{}", self.ink(Ink::Bold, &format!("── {title} {rule}"))));
    }

    /// A line of text.
    pub(super) fn say(&self, text: &str) {
        self.beside("  ", 2, text);
    }

    /// A label and what it is.
    pub(super) fn fact(&self, label: &str, text: &str) {
        let label = self.ink(Ink::Dim, &format!("{label:<12}"));
        self.beside(&format!("  {label} "), 15, text);
    }

    /// Something that was checked.
    pub(super) fn check(&self, text: &str) {
        self.beside(&format!("  {} ", self.ink(Ink::Good, "✔")), 4, text);
    }

    /// The end, badly.
    pub(super) fn failed(&self, why: &str) {
        self.put("");
        self.beside(&format!("  {} ", self.ink(Ink::Bad, "✘")), 4, why);
    }

    /// A text behind something that takes `indent` columns; what does not fit goes below.
    fn beside(&self, first: &str, indent: usize, text: &str) {
        for (n, line) in wrapped(text, WIDTH - indent).iter().enumerate() {
            let blank = " ".repeat(indent);
            self.put(&format!("{}{line}", if n == 0 { first } else { &blank }));
        }
    }

    /// The names above the life lines.
    pub(super) fn names(&self, a: &str, b: &str) {
        let left = format!("{:9}{a:<SPAN$}", "");
        let text = format!("{left}tandem{:>width$}", b, width = WIDTH - 9 - SPAN - 6);
        self.put(&self.ink(Ink::Bold, &text));
    }

    /// One message on the ladder.
    pub(super) fn message(&self, side: Side, line: &Line) {
        let (label, ink) = label(line);
        let arrow = arrow(&label, (side == Side::A) == line.sent);
        let (bar, arrow) = (self.ink(Ink::Dim, "│"), self.ink(ink, &arrow));
        let blank = " ".repeat(SPAN);
        let row = match side {
            Side::A => format!("{bar}{arrow}{bar}{blank}{bar}"),
            Side::B => format!("{bar}{blank}{bar}{arrow}{bar}"),
        };
        self.row(line.at, row);
    }

    /// A remark in the middle of the ladder.
    pub(super) fn remark(&self, text: &str) {
        let room = 2 * SPAN + 1;
        let text = cut(text, room);
        let free = room - columns(&text);
        let (left, right) = (" ".repeat(free / 2), " ".repeat(free - free / 2));
        let text = self.ink(Ink::Progress, &text);
        let bar = self.ink(Ink::Dim, "│");
        self.row(Instant::now(), format!("{bar}{left}{text}{right}{bar}"));
    }

    fn row(&self, at: Instant, row: String) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push((at, row));
    }

    /// Prints the rows whose turn has come; all of them when it is the end.
    pub(super) fn flush(&self, end: bool) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.sort_by_key(|(at, _)| *at);
        let ripe = rows.partition_point(|(at, _)| end || at.elapsed() >= PATIENCE);
        for (at, row) in rows.drain(..ripe) {
            let at = at.saturating_duration_since(self.began).as_secs_f64();
            self.put(&format!("{} {row}", self.ink(Ink::Dim, &format!("{at:7.3}"))));
        }
    }

    fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colours && ink != Ink::Plain {
            format!("\x1b[{}m{text}\x1b[0m", ink.code())
        } else {
            text.to_owned()
        }
    }

    #[expect(clippy::unused_self, reason = "the page is where lines go")]
    fn put(&self, line: &str) {
        let mut out = std::io::stdout().lock();
        // A closed pipe is no reason to stop checking the call.
        let _ = writeln!(out, "{line}");
        let _ = out.flush();
    }
}

/// Columns that a text takes: East Asian characters take two (UAX #11).
fn columns(text: &str) -> usize {
    text.chars().map(|c| if ('\u{2e80}'..='\u{ffdc}').contains(&c) { 2 } else { 1 }).sum()
}

/// A text in lines of at most `room` columns, broken at blanks; a word that is longer is cut.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let (mut lines, mut rest) = (Vec::new(), text.trim_end());
    while columns(rest) > room {
        let fits = cut(rest, room).len();
        let blank =
            rest[..fits].trim_start().contains(' ').then(|| rest[..fits].rfind(' ')).flatten();
        // A blank right behind what fits is as good a place.
        let at = if rest[fits..].starts_with(' ') { fits } else { blank.unwrap_or(fits) };
        lines.push(rest[..at].trim_end().to_owned());
        rest = rest[at..].trim_start();
    }
    lines.push(rest.to_owned());
    lines
}

/// As much of a text as fits.
fn cut(text: &str, room: usize) -> String {
    let mut text = text.to_owned();
    while columns(&text) > room {
        text.pop();
    }
    text
}

/// What stands on the arrow, and its colour.
fn label(line: &Line) -> (String, Ink) {
    let status = line.what.get(..3).and_then(|code| code.parse::<u16>().ok());
    let mut label = match status {
        Some(_) => format!("{} · {}", line.what, line.method),
        None => line.what.clone(),
    };
    if line.sdp {
        label += " · sdp";
    }
    if line.again {
        label += " (again)";
    }
    let ink = match status {
        None => Ink::Request,
        Some(100..=199) => Ink::Progress,
        Some(200..=299) => Ink::Good,
        Some(401 | 407) => Ink::Progress,
        Some(_) => Ink::Bad,
    };
    (label, ink)
}

/// An arrow with a label in its middle, as wide as the space between two life lines.
fn arrow(label: &str, rightwards: bool) -> String {
    let label: String = label.chars().take(SPAN - 6).collect();
    let body = format!("{:─^width$}", format!(" {label} "), width = SPAN - 1);
    if rightwards { format!("{body}▶") } else { format!("◀{body}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_go_on_below_and_lose_nothing() {
        let long = "sip=udp:127.0.0.1:38514,tcp:127.0.0.1:46323 http=127.0.0.1:41931 admin=127.0.0.1:39623";
        let lines = wrapped(long, 60);
        assert_eq!(lines.join(" "), long);
        assert_eq!(lines.len(), 2);
        assert_eq!(wrapped("a  b", 4), ["a  b"], "what fits is left as it is");
        assert_eq!(wrapped(&"x".repeat(25), 10).concat(), "x".repeat(25));
        for text in [long, &"词".repeat(40), "一 二 三 四 五 六 七", &"x ".repeat(99)] {
            let lines = wrapped(text, 10);
            assert!(lines.iter().all(|line| columns(line) <= 10), "{lines:?}");
        }
    }

    #[test]
    fn an_arrow_fills_the_space_between_two_life_lines() {
        for label in
            ["INVITE · sdp", "BYE", "a reason phrase that is much longer than the space there is"]
        {
            assert_eq!(arrow(label, true).chars().count(), SPAN);
            assert_eq!(arrow(label, false).chars().count(), SPAN);
        }
        assert!(arrow("BYE", true).ends_with("─▶") && arrow("BYE", false).starts_with("◀─"));
        const { assert!(9 + 2 * SPAN + 3 <= WIDTH) };
    }
}
