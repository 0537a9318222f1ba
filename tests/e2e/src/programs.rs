//! Programs that merchants run, in the languages they use: built where that is needed, then started as they would.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::wait;

/// Languages of the samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Compiled by `mcs`, run by Mono.
    CSharp,
    /// Run with curl, and with its own web server.
    Php,
    /// Run as it is.
    Python,
    /// Compiled by `ecj`, run by a JRE.
    Java,
    /// Compiled by `gccgo`.
    Go,
}

impl Language {
    /// The sample of a system: `samples/000/call.py`.
    #[must_use]
    pub fn sample(self, system: &str) -> PathBuf {
        let name = match self {
            Language::CSharp => "Call.cs",
            Language::Php => "call.php",
            Language::Python => "call.py",
            Language::Java => "Call.java",
            Language::Go => "call.go",
        };
        root().join("samples").join(system).join(name)
    }

    /// The page of a menu: `samples/003/menu.py`.
    #[must_use]
    pub fn page(self) -> PathBuf {
        let name = match self {
            Language::CSharp => "Menu.cs",
            Language::Php => "menu.php",
            Language::Python => "menu.py",
            Language::Java => "Menu.java",
            Language::Go => "menu.go",
        };
        root().join("samples/003").join(name)
    }

    /// Builds `source` in `folder`, which must be there; what starts it.
    ///
    /// # Panics
    /// When the compiler is missing or finds a mistake.
    #[must_use]
    pub fn build(self, source: &Path, folder: &Path) -> Program {
        let text = |path: &Path| path.display().to_string();
        let (source_text, built) = (text(source), text(&folder.join("program")));
        let (compiler, run): (Vec<&str>, Vec<String>) = match self {
            Language::Php => (vec![], vec!["php".into(), source_text.clone()]),
            Language::Python => (vec![], vec!["python3".into(), source_text.clone()]),
            Language::Go => (vec!["gccgo", "-o", &built, &source_text], vec![built.clone()]),
            Language::CSharp => {
                // The least C# that the samples promise to be content with.
                let mut compiler = vec!["mcs", "-langversion:5"];
                compiler.extend(ASSEMBLIES);
                compiler.extend(["-out:program", &source_text]);
                (compiler, vec!["mono".into(), built.clone()])
            }
            Language::Java => {
                let class = source.file_stem().expect("a name").to_string_lossy().into_owned();
                // The least Java that the samples promise to be content with.
                let compiler = vec!["ecj", "-11", "-proc:none", "-d", ".", &source_text];
                (compiler, ["java", "-cp", &text(folder), &class].map(String::from).to_vec())
            }
        };
        if let Some((first, rest)) = compiler.split_first() {
            let out = Command::new(first).args(rest).current_dir(folder).output();
            let out = out.unwrap_or_else(|e| panic!("{first}: {e}"));
            let said = [out.stdout, out.stderr].concat();
            assert!(out.status.success(), "{first}: {}", String::from_utf8_lossy(&said));
        }
        Program { line: run }
    }
}

/// What beyond the core library the C# samples use of .NET's own.
const ASSEMBLIES: [&str; 4] = [
    "-r:System.Net.Http",
    "-r:System.Runtime.Serialization",
    "-r:System.Xml",
    "-r:System.Xml.Linq",
];

/// Something that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    line: Vec<String>,
}

impl Program {
    /// A page of PHP in PHP's own web server.
    #[must_use]
    pub fn served(page: &Path, port: u16) -> Program {
        let (at, page) = (format!("127.0.0.1:{port}"), page.display().to_string());
        Program { line: ["php", "-q", "-S", &at, &page].map(String::from).to_vec() }
    }

    /// Starts it with arguments and variables of its own.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(&self, arguments: &[&str], variables: &[(&str, String)]) -> Running {
        let mut child = Command::new(&self.line[0])
            .args(&self.line[1..])
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (*name, value.as_str())))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("{}: {e}", self.line[0]));
        let (out, lines) = channel();
        let stdout = child.stdout.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = out.send(line);
            }
        });
        let (err, errors) = channel();
        let mut stderr = child.stderr.take().expect("piped");
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            let _ = err.send(String::from_utf8_lossy(&text).into_owned());
        });
        Running { child, lines, errors, said: Vec::new() }
    }
}

/// A program that runs, and what it says.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Receiver<String>,
    errors: Receiver<String>,
    said: Vec<String>,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status; `None` by a signal.
    pub status: Option<i32>,
    /// Standard output.
    pub said: Vec<String>,
    /// Standard error.
    pub complained: String,
}

impl Running {
    /// Waits for a line that begins so; the rest of it.
    ///
    /// # Panics
    /// When it does not come.
    pub fn wait_line(&mut self, beginning: &str) -> String {
        let deadline = Instant::now() + wait::PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                let errors = self.errors.try_recv();
                panic!("no line `{beginning}…`: {:?}, {errors:?}", self.said);
            };
            self.said.push(line.clone());
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
    }

    /// What it said so far, in lines.
    pub fn so_far(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it does not come.
    #[must_use]
    pub fn finish(mut self) -> Ended {
        let status = wait::until("a merchant's program to end", || {
            self.child.try_wait().expect("a child of ours")
        });
        let complained = self.errors.recv_timeout(wait::PATIENCE).expect("its last words");
        let said = std::mem::take(&mut self.said);
        let said = said.into_iter().chain(self.lines.iter()).collect();
        Ended { status: status.code(), said, complained }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The project's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program that was copied from a system's own documents.
#[must_use]
pub fn seed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/seeds").join(name)
}
