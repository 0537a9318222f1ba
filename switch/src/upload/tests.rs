use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use super::*;

const CALL: &str = "1234567890123456789";
const MINUTE: Duration = Duration::from_secs(60);

fn put(folder: &Path, name: &str, sound: &[u8], age: Duration) -> PathBuf {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, sound).unwrap();
    fs::File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .set_modified(SystemTime::now() - age)
        .unwrap();
    path
}

fn names(queue: &Queue) -> Vec<(&str, Wish)> {
    queue.waiting.iter().map(|(name, waiting)| (name.as_str(), waiting.wish)).collect()
}

fn fill(queue: &mut Queue, root: &Path, now: SystemTime, messages: &BTreeSet<String>) {
    let found = queue.find(root, now, MINUTE).unwrap();
    queue.take(found, messages);
}

#[test]
fn a_message_never_leaves_and_the_store_is_asked_only_when_something_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let later = SystemTime::now() + MINUTE;
    let none = BTreeSet::new();
    let mut queue = Queue::default();
    // Its call is not settled: no row of the books says what it is.
    put(root, &format!("ab/{CALL}_{MESSAGE}0a.mp3"), b"m", 2 * MINUTE);
    let found = queue.find(root, later, MINUTE).unwrap();
    assert!(!found.asks() && found.files.is_empty());
    queue.take(found, &none);
    // One from before names told: the books know it.
    let old = format!("ab/{CALL}_0b.mp3");
    let path = put(root, &old, b"m", 2 * MINUTE);
    let found = queue.find(root, later + MINUTE, MINUTE).unwrap();
    assert!(found.asks());
    queue.take(found, &BTreeSet::from([old.clone()]));
    assert!(queue.waiting.is_empty());
    let found = queue.find(root, later + MINUTE, MINUTE).unwrap();
    assert!(!found.asks(), "nothing has changed");
    // What waits to be stored and is removed meanwhile has no copy afterwards.
    fs::remove_file(path).unwrap();
    let name = format!("cd/{CALL}_0c.mp3");
    let path = put(root, &name, b"c", 2 * MINUTE);
    fill(&mut queue, root, later, &none);
    assert_eq!(names(&queue), [(name.as_str(), Wish::Store)]);
    fs::write(beside(&path, STORED), b"").unwrap();
    forget(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fill(&mut queue, root, later + 2 * MINUTE, &none);
    assert_eq!(names(&queue), [(name.as_str(), Wish::Remove)]);
}

#[test]
fn the_folder_is_the_queue_and_survives_whoever_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (a, b, mail) =
        (format!("ab/{CALL}_a.mp3"), format!("cd/{CALL}_b.opus"), format!("ab/{CALL}_mail.mp3"));
    put(root, &a, b"a", 2 * MINUTE);
    let path = put(root, &b, b"b", 2 * MINUTE);
    put(root, &mail, b"m", 2 * MINUTE);
    put(root, &format!("ab/{CALL}_c.mp3.part"), b"c", 2 * MINUTE);
    put(root, "ab/holiday.mp3", b"no", 2 * MINUTE);
    let young = put(root, &format!("ab/{CALL}_young.wav"), b"y", MINUTE / 2);
    let messages = BTreeSet::from([mail]);
    let mut queue = Queue::default();
    let fill = |queue: &mut Queue, now| fill(queue, root, now, &messages);
    fill(&mut queue, SystemTime::now());
    assert_eq!(names(&queue), [(a.as_str(), Wish::Store), (b.as_str(), Wish::Store)]);
    // One is stored; another process finds the rest, and what has come of age.
    fs::write(beside(&path, STORED), b"").unwrap();
    let mut queue = Queue::default();
    fill(&mut queue, SystemTime::now() + MINUTE);
    let young = young.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    assert_eq!(names(&queue), [(a.as_str(), Wish::Store), (young.as_str(), Wish::Store)]);
    // Its time is over.
    forget(&path).unwrap();
    fs::remove_file(&path).unwrap();
    forget(&path).unwrap();
    fill(&mut queue, SystemTime::now() + MINUTE);
    assert_eq!(names(&queue)[2], (b.as_str(), Wish::Remove));
}

/// A storage of one request after the other, that answers with what it is told and keeps what it hears.
fn storage(answers: Vec<u16>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keeps = Arc::clone(&heard);
    std::thread::spawn(move || {
        for status in answers {
            let Ok((mut line, _)) = listener.accept() else { return };
            let request = read(&mut line);
            keeps.lock().unwrap().push(request);
            let answer =
                format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = line.write_all(answer.as_bytes());
        }
    });
    (endpoint, heard)
}

/// A whole request: head, and as much body as it tells of.
fn read(line: &mut TcpStream) -> String {
    let (mut all, mut step) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&all).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return String::from_utf8_lossy(&all).into_owned();
            }
        }
        let count = line.read(&mut step).unwrap();
        assert!(count > 0, "cut off");
        all.extend_from_slice(&step[..count]);
    }
}

fn bucket(folder: &Path, endpoint: &str) -> Bucket {
    let credentials = folder.join("credentials");
    fs::write(&credentials, "AKIDEXAMPLE\nsecret\n").unwrap();
    let knobs = UploadKnobs {
        endpoint: Some(endpoint.to_owned()),
        prefix: "tandem/".into(),
        credentials: Some(credentials),
        ..UploadKnobs::default()
    };
    knobs.bucket().unwrap().unwrap()
}

#[tokio::test]
async fn a_storage_that_is_away_is_asked_again_and_nothing_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("recordings");
    let name = format!("ab/{CALL}_a.mp3");
    let path = put(&root, &name, b"sound of a call", 2 * MINUTE);
    let (endpoint, heard) = storage(vec![503, 200, 204]);
    let bucket = bucket(folder.path(), &endpoint);
    let (counts, mut queue) = (UploadCounts::default(), Queue::default());
    let none = BTreeSet::new();
    fill(&mut queue, &root, SystemTime::now(), &none);
    let done = round(&bucket, &mut queue, &root, &counts).await;
    assert_eq!((done.done, done.failed), (0, 1));
    assert!(!beside(&path, STORED).exists());
    queue.tell(&counts);
    assert_eq!(counts.waiting.load(Ordering::Relaxed), 1);
    assert!(counts.oldest_us.load(Ordering::Relaxed) >= 119_000_000);
    // It waits for its turn.
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 0);
    queue.waiting.get_mut(&name).unwrap().due = Instant::now();
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 1);
    assert!(beside(&path, STORED).exists() && path.exists() && queue.waiting.is_empty());
    forget(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fill(&mut queue, &root, SystemTime::now(), &none);
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 1);
    assert!(!beside(&path, UNSTORED).exists());
    let heard = heard.lock().unwrap();
    let line = format!("PUT /recordings/tandem/{name} HTTP/1.1\r\n");
    assert!(heard[1].starts_with(&line), "{}", heard[1]);
    assert!(heard[1].ends_with("\r\n\r\nsound of a call"));
    assert!(heard[1].contains("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"));
    assert!(heard[2].starts_with(&line.replace("PUT", "DELETE")));
    let [stored, removed, failed] = [&counts.stored, &counts.removed, &counts.failed]
        .map(|count| count.load(Ordering::Relaxed));
    assert_eq!([stored, removed, failed], [1, 1, 1]);
}

#[tokio::test]
async fn a_recording_that_is_removed_on_its_way_leaves_no_copy() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("recordings");
    // The storage has it and answers, or does not: before the mark is made, the recording is gone.
    for status in [200, 500] {
        let name = format!("ab/{CALL}_{status}.mp3");
        let path = put(&root, &name, b"sound", 2 * MINUTE);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bucket = bucket(folder.path(), &format!("http://{}", listener.local_addr().unwrap()));
        let gone = path.clone();
        let storage = std::thread::spawn(move || {
            let mut heard = Vec::new();
            for status in [status, 204] {
                let (mut line, _) = listener.accept().unwrap();
                heard.push(read(&mut line)[..4].to_owned());
                if heard.len() == 1 {
                    forget(&gone).unwrap();
                    fs::remove_file(&gone).unwrap();
                }
                let answer = format!(
                    "HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                line.write_all(answer.as_bytes()).unwrap();
            }
            heard
        });
        let (counts, mut queue, none) =
            (UploadCounts::default(), Queue::default(), BTreeSet::new());
        fill(&mut queue, &root, SystemTime::now(), &none);
        round(&bucket, &mut queue, &root, &counts).await;
        if let Some(waiting) = queue.waiting.get_mut(&name) {
            waiting.due = Instant::now();
            round(&bucket, &mut queue, &root, &counts).await;
        }
        assert!(!beside(&path, STORED).exists() && beside(&path, UNSTORED).exists(), "{status}");
        fill(&mut queue, &root, SystemTime::now(), &none);
        assert_eq!(names(&queue), [(name.as_str(), Wish::Remove)]);
        round(&bucket, &mut queue, &root, &counts).await;
        assert!(!beside(&path, UNSTORED).exists() && queue.waiting.is_empty());
        assert_eq!(storage.join().unwrap(), ["PUT ", "DELE"]);
    }
}

#[test]
fn a_mark_without_its_recording_stands_for_a_copy_that_is_to_go() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (gone, there) = (format!("ab/{CALL}_a.mp3"), format!("ab/{CALL}_b.mp3"));
    let gone_path = put(root, &gone, b"a", 2 * MINUTE);
    let there_path = put(root, &there, b"b", MINUTE / 2);
    let foreign = put(root, "ab/holiday.mp3.stored", b"", 2 * MINUTE);
    for path in [&gone_path, &there_path] {
        fs::write(beside(path, STORED), b"").unwrap();
    }
    // A process died here, having removed it as the mark was made.
    fs::remove_file(&gone_path).unwrap();
    let mut queue = Queue::default();
    for _ in 0..2 {
        fill(&mut queue, root, SystemTime::now(), &BTreeSet::new());
    }
    assert_eq!(names(&queue), [(gone.as_str(), Wish::Remove)]);
    assert!(beside(&there_path, STORED).exists() && foreign.exists());
}

/// A storage of somebody else's: `moto_server` (PyPI: moto[server]), in the environment that `tests/run` makes.
struct Moto(Child);

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program of the environment beside this test's own target folder.
fn moto_server() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let inside = "peers/moto/bin/moto_server";
    let found = here.ancestors().map(|folder| folder.join(inside)).find(|file| file.exists());
    found.expect("target/peers/moto: tests/run makes it")
}

fn moto() -> (Moto, String) {
    let begun = Instant::now();
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(moto_server())
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut moto = Moto(child);
        // Somebody else may take the port before it does: then it ends, and who answers there is another.
        while moto.0.try_wait().unwrap().is_none() {
            if is_moto(port) {
                return (moto, format!("http://127.0.0.1:{port}"));
            }
            assert!(begun.elapsed() < MINUTE, "moto_server never listened");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_moto(port: u16) -> bool {
    let Ok(mut line) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let _ = line.set_read_timeout(Some(Duration::from_secs(5)));
    let mut answer = Vec::new();
    let asked = line.write_all(b"GET /moto-api/ HTTP/1.0\r\nhost: localhost\r\n\r\n");
    let _ = asked.and_then(|()| line.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).contains("Moto")
}

fn ask(endpoint: &str, method: &str, path: &str) -> String {
    String::from_utf8_lossy(&asked(endpoint, method, path)).into_owned()
}

/// What lies there.
fn fetch(endpoint: &str, path: &str) -> Vec<u8> {
    let answer = asked(endpoint, "GET", path);
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    answer[head + 4..].to_vec()
}

fn asked(endpoint: &str, method: &str, path: &str) -> Vec<u8> {
    let mut line = TcpStream::connect(endpoint.trim_start_matches("http://")).unwrap();
    // Whoever asks without a name is refused; whose name it is, is not looked at here.
    let name = "authorization: AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, \
                SignedHeaders=host, Signature=x";
    let request = format!(
        "{method} {path} HTTP/1.0\r\nhost: localhost\r\n{name}\r\ncontent-length: 0\r\n\r\n"
    );
    line.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    line.read_to_end(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_foreign_storage_takes_gives_and_forgets_a_recording() {
    let (_moto, endpoint) = moto();
    assert!(ask(&endpoint, "PUT", "/recordings").contains(" 200 "));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("recordings");
    let (name, sound) = (format!("ab/{CALL}_a.wav"), "0123456789".repeat(30_000));
    let path = put(&root, &name, sound.as_bytes(), 2 * MINUTE);
    let bucket = bucket(folder.path(), &endpoint);
    let (counts, mut queue, none) = (UploadCounts::default(), Queue::default(), BTreeSet::new());
    fill(&mut queue, &root, SystemTime::now(), &none);
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 1);
    let answer = ask(&endpoint, "GET", &format!("/recordings/tandem/{name}"));
    assert!(answer.contains(" 200 ") && answer.ends_with(&sound));
    forget(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fill(&mut queue, &root, SystemTime::now(), &none);
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 1);
    assert!(ask(&endpoint, "GET", &format!("/recordings/tandem/{name}")).contains(" 404 "));
}

#[tokio::test]
async fn a_foreign_storage_takes_a_large_recording_in_parts_and_the_second_try_after_one_that_was_cut()
 {
    let (_moto, endpoint) = moto();
    assert!(ask(&endpoint, "PUT", "/recordings").contains(" 200 "));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("recordings");
    let name = format!("ab/{CALL}_a.wav");
    // 20 MiB and a bit: three parts, of which no two are alike.
    let sound: Vec<u8> = (0..(20_u32 << 20) + 7).map(|n| (n >> 13) as u8 ^ n as u8).collect();
    let path = put(&root, &name, &sound, 2 * MINUTE);
    let bucket = bucket(folder.path(), &endpoint);
    // A process that died had begun one.
    let begun = ask(&endpoint, "POST", &format!("/recordings/tandem/{name}?uploads="));
    assert!(begun.contains("<UploadId>"), "{begun}");
    let (counts, mut queue, none) = (UploadCounts::default(), Queue::default(), BTreeSet::new());
    fill(&mut queue, &root, SystemTime::now(), &none);
    assert_eq!(round(&bucket, &mut queue, &root, &counts).await.done, 1);
    assert!(beside(&path, STORED).exists());
    let head = ask(&endpoint, "HEAD", &format!("/recordings/tandem/{name}")).to_lowercase();
    assert!(head.contains(&format!("content-length: {}", sound.len())), "{head}");
    // What S3 calls an object of three parts.
    assert!(head.contains("-3\""), "{head}");
    let got = fetch(&endpoint, &format!("/recordings/tandem/{name}"));
    assert!(got == sound, "{} octets of {}", got.len(), sound.len());
    let left = ask(&endpoint, "GET", "/recordings?uploads=");
    assert!(left.contains(" 200 ") && !left.contains("<UploadId>"), "{left}");
}

#[test]
fn settings_that_do_not_fit_together_are_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    assert!(UploadKnobs::default().bucket().unwrap().is_none());
    let knobs = |credentials: Option<&str>, endpoint: &str| UploadKnobs {
        endpoint: Some(endpoint.into()),
        credentials: credentials.map(|text| {
            let path = folder.path().join("credentials");
            fs::write(&path, text).unwrap();
            path
        }),
        ..UploadKnobs::default()
    };
    let told = |knobs: UploadKnobs| knobs.bucket().unwrap_err();
    assert_eq!(told(knobs(None, "https://s3.example")), "recording.s3_credentials is not set");
    let secret = "one-line-that-is-secret";
    let error = told(knobs(Some(secret), "https://s3.example"));
    assert!(error.ends_with("not two lines, id and secret") && !error.contains(secret), "{error}");
    let error = told(knobs(Some("id\nsecret"), "http://169.254.169.254"));
    assert_eq!(error, "recording.s3_endpoint: not an endpoint that may be visited");
    let error = told(knobs(Some("id\nsecret"), "http://10.0.0.7:9000"));
    assert!(error.contains("in the clear") && error.contains("recording.s3_insecure"), "{error}");
    let said = knobs(Some("id\nsecret"), "http://10.0.0.7:9000");
    assert!(UploadKnobs { insecure: true, ..said }.bucket().is_ok());
}
