//! What `docs/menu-in-five-minutes.md` has people type, typed: the commands as they stand there, in a folder of their own
//! and with the ports of this test; a browser for what they do by hand. Also the page that `docs/merchants/003.md` begins
//! with.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use e2e::merchant::try_http;
use e2e::pages::{Pages, SMALL};
use e2e::ussd::{self, CODE, MOBILE, Tries};
use e2e::{ports, tandem, wait};
use serde_json::Value;

const WALK: &str = include_str!("../../../docs/menu-in-five-minutes.md");

/// A command that goes on, and what it says.
struct Typed {
    child: Child,
    log: PathBuf,
}

impl Typed {
    fn start(folder: &Path, name: &str, line: &str) -> Typed {
        let log = folder.join(name);
        let file = File::create(&log).expect("a log");
        let mut command = shell(folder, line);
        command.stdout(file.try_clone().expect("a log")).stderr(file);
        Typed { child: command.spawn().expect("a shell"), log }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// The rest of the line that begins so.
    fn wait_line(&self, beginning: &str) -> String {
        let rest = wait::within(wait::PATIENCE / 2, || {
            let said = self.said();
            said.lines().find_map(|line| line.strip_prefix(beginning)).map(str::to_owned)
        });
        rest.unwrap_or_else(|| panic!("no line `{beginning}…`: {}", self.said()))
    }
}

impl Drop for Typed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).stdin(Stdio::null());
    // A file is no terminal.
    command.env("PYTHONUNBUFFERED", "1");
    command
}

/// Types a command, and reads what it prints.
fn typed(folder: &Path, line: &str) -> String {
    let out = shell(folder, line).output().expect("a shell");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{line}: {said}{}", String::from_utf8_lossy(&out.stderr));
    said
}

/// The commands of the page, each in one line.
fn commands() -> Vec<String> {
    let blocks = WALK.split("```").skip(1).step_by(2).map(|block| block.replace("\\\n", " "));
    let lines: Vec<String> =
        blocks.flat_map(|b| b.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let is_command = |line: &&String| {
        ["cargo ", "target/", "MERCHANT_", "curl "].iter().any(|one| line.starts_with(one))
    };
    lines.iter().filter(is_command).cloned().collect()
}

/// The project as its folder has it, with the program that is tested, and the page where this test has it.
fn project(folder: &Path, page: u16) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let link = |to: &Path, name: &str| {
        let at = folder.join(name);
        std::fs::create_dir_all(at.parent().expect("a folder")).expect("a folder");
        std::os::unix::fs::symlink(to, at).expect("a link");
    };
    link(&tandem::binary(), "target/release/tandem");
    link(&root.join("samples").canonicalize().expect("samples"), "samples");
    let file = std::fs::read_to_string(root.join("deploy/menu.toml")).expect("a file");
    assert_eq!(file.matches("http://127.0.0.1:8000/").count(), 1);
    std::fs::create_dir(folder.join("deploy")).expect("a folder");
    let file = file.replace("127.0.0.1:8000", &format!("127.0.0.1:{page}"));
    std::fs::write(folder.join("deploy/menu.toml"), file).expect("a file");
}

/// Dials in the browser, types 1 and 2, and pays what is asked; the session that stands on the phone.
fn by_hand(folder: &Path, door: u16, key: &str) -> String {
    let own = format!("http://127.0.0.1:{door}");
    let mut pages = Pages::start(folder, ([127, 0, 0, 1], door).into());
    pages.open("phone", &format!("{own}/ussd"), SMALL);
    // Two other languages; then key, number and code.
    for text in ["", "", key, "", "*6655*123#"] {
        pages.key("phone", "Tab");
        if !text.is_empty() {
            pages.write("phone", text);
        }
    }
    pages.press("phone", "Dial", 1);
    let shows = |seen: &Value, text: &str| seen["text"].as_str().is_some_and(|s| s.contains(text));
    pages.until("phone", "the menu", |seen| shows(seen, "Tea house"));
    for (text, next) in [("1", "How many of tea"), ("2", &own)] {
        pages.write("phone", text);
        pages.key("phone", "Enter");
        pages.until("phone", next, |seen| shows(seen, next));
    }
    let seen = pages.look("phone");
    let links = seen["links"].as_array().expect("links").iter().filter_map(Value::as_str);
    let link = links.into_iter().find(|link| link.starts_with(&format!("{own}/pay/")));
    pages.open("invoice", link.unwrap_or_else(|| panic!("no link: {seen:#}")), SMALL);
    for heading in ["Pay an invoice", "Test gateway"] {
        pages.heading("invoice", heading);
        pages.press("invoice", "Pay", 1);
    }
    pages.heading("invoice", "Paid");
    let text = seen["text"].as_str().expect("a text");
    let mut digits = text.split(|one: char| !one.is_ascii_digit());
    let session = digits.rfind(|word| word.len() >= 19);
    session.unwrap_or_else(|| panic!("no session: {text}")).trim_start_matches('0').to_owned()
}

#[test]
fn a_menu_in_five_minutes() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path();
    let [door, admin, sip, page] = [(); 4].map(|()| ports::one());
    let rtp = ports::block(20);
    project(folder, page);
    let commands = commands();
    let [build, apply, serve, shop, key, ask] = commands.as_slice() else {
        panic!("other commands: {commands:#?}");
    };
    assert_eq!(build, "cargo build --release");
    typed(folder, apply);
    // Its own ports, in place of those that are written there.
    let moved = |line: &str| {
        let line = line.replace("127.0.0.1:8080", &format!("127.0.0.1:{door}"));
        line.replace("127.0.0.1:8081", &format!("127.0.0.1:{admin}"))
    };
    let own = format!(
        "http.listen=127.0.0.1:{door} admin.listen=127.0.0.1:{admin} sip.udp=127.0.0.1:{sip} \
         sip.tcp=127.0.0.1:{sip} rtp.bind=127.0.0.1 rtp.ports={rtp}-{}",
        rtp + 19
    );
    let own: String = own.split(' ').map(|one| format!(" --set {one}")).collect();
    let switch = Typed::start(folder, "switch.log", &format!("exec {}{own}", moved(serve)));
    wait::until("the switch", || {
        let ready = try_http(([127, 0, 0, 1], admin).into(), "GET", "/readyz", &[], "");
        ready.ok().filter(|(status, _)| *status == 200)
    });
    let own = format!("MERCHANT_URL=http://127.0.0.1:{door} MERCHANT_LISTEN=127.0.0.1:{page} ");
    let shop = Typed::start(folder, "shop.log", &(own + &shop.replace("python3", "exec python3")));
    wait::until("the shop", || try_http(([127, 0, 0, 1], page).into(), "GET", "/", &[], "").ok());
    let made: Value = serde_json::from_str(&typed(folder, &moved(key))).expect("JSON");
    let key = made["key"].as_str().filter(|key| key.starts_with("tk_")).expect("a key");

    let session = by_hand(folder, door, key);
    let order = shop.wait_line(&format!("order {session}: "));
    assert_eq!(order, "2 tea, 100000 rials");
    let paid = shop.wait_line(&format!("paid: order {session}, RRN "));
    assert!(paid.ends_with(": make 2 tea"), "{paid}");
    // The question at its end, with the session of this one.
    let (before, after) = ask.split_once("SessionID=").expect("a session");
    let asked =
        format!("{before}SessionID={session}{}", after.trim_start_matches(char::is_numeric));
    let told = typed(folder, &moved(&asked));
    assert!(told.contains("&quot;Price&quot;:100000"), "{told}\n{}", switch.said());
}

/// The dialogue that merchants read of first, by the page that stands below it.
#[test]
fn the_page_that_the_merchants_manual_begins_with() {
    let manual = include_str!("../../../docs/merchants/003.md");
    let page =
        manual.split_once("```python\n").expect("a page").1.split_once("```").expect("an end").0;
    let folder = tempfile::tempdir().expect("a folder");
    let port = ports::one();
    assert!(page.contains("(\"0.0.0.0\", 8000)"), "{page}");
    let page = page.replace("\"0.0.0.0\", 8000", &format!("\"127.0.0.1\", {port}"));
    std::fs::write(folder.path().join("page.py"), page).expect("a page");
    let page = Typed::start(folder.path(), "page.log", "exec python3 page.py");
    wait::until("the page", || std::net::TcpStream::connect(("127.0.0.1", port)).ok().map(drop));
    let tandem = ussd::switch(folder.path(), &format!("http://127.0.0.1:{port}/menu"), "");
    let tries = Tries::of(&tandem);
    let first = tries.dial(MOBILE, CODE);
    assert!(first.more && first.text == "Your number?", "{first:?}");
    let last = tries.enter(&first.session, "4711");
    assert!(!last.more && last.text == "Thanks for 4711.", "{last:?}");
    let asked = format!("GET /menu?mobile=09123456789&sessionid={}&call=*6655*123", first.told());
    let said = page.said();
    assert!(
        said.contains(&format!("{asked} ")) && said.contains(&format!("{asked}*4711 ")),
        "{said}"
    );
}
