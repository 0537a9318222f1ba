use super::*;

fn config(endpoint: &str) -> BucketConfig {
    BucketConfig {
        endpoint: endpoint.into(),
        insecure: true,
        bucket: "recordings".into(),
        region: "us-east-1".into(),
        prefix: "tandem/".into(),
        access_key: "AKIAIOSFODNN7EXAMPLE".into(),
        secret_key: "secret-of-the-operator".into(),
    }
}

#[test]
fn where_clouds_keep_their_credentials_nobody_goes() {
    for endpoint in [
        "http://169.254.169.254",
        "http://[fe80::1]",
        "http://[fd00:ec2::254]",
        "http://[::ffff:169.254.169.254]",
        "http://[64:ff9b::169.254.169.254]",
        "http://[64:ff9b::a9fe:1]:9000",
        "http://[64:ff9b::100.100.100.200]",
        "http://[64:ff9b::168.63.129.16]",
        "http://[64:ff9b::]",
        "http://[64:ff9b:1::169.254.169.254]",
        "http://[2002:a9fe:a9fe::1]",
        "http://100.100.100.200:80",
        "http://0.0.0.0:9000",
        "http://2852039166",
        "ftp://store.example",
        "http://user@store.example",
        "http://store.example/deeper",
        "http://store.example/?x=1",
        "nothing",
    ] {
        assert_eq!(Bucket::new(config(endpoint)).unwrap_err(), BucketError::Endpoint, "{endpoint}");
    }
    for endpoint in [
        "https://s3.example",
        "http://10.0.0.7:9000",
        "http://127.0.0.1:9000/",
        "http://[fd12::7]:9000",
        "http://[64:ff9b::10.0.0.7]:9000",
        "http://[64:ff9b::808:808]",
        "http://[2002:a00:7::1]:9000",
    ] {
        assert!(Bucket::new(config(endpoint)).is_ok(), "{endpoint}");
    }
    for bucket in ["ab", "Upper", "a..b", "a/b", ""] {
        let config = BucketConfig { bucket: bucket.into(), ..config("https://s3.example") };
        assert!(Bucket::new(config).is_err(), "{bucket}");
    }
}

#[test]
fn recordings_leave_this_machine_in_the_clear_only_where_somebody_said_so() {
    let plain = |endpoint: &str| BucketConfig { insecure: false, ..config(endpoint) };
    for endpoint in ["http://10.0.0.7:9000", "http://store.example", "http://localhost:9000"] {
        assert_eq!(Bucket::new(plain(endpoint)).unwrap_err(), BucketError::Plain, "{endpoint}");
        assert!(Bucket::new(config(endpoint)).is_ok(), "{endpoint}");
    }
    for endpoint in ["https://10.0.0.7:9000", "http://127.0.0.1:9000", "http://[::1]:9000"] {
        assert!(Bucket::new(plain(endpoint)).is_ok(), "{endpoint}");
    }
}

fn now_is() -> UnixMillis {
    UnixMillis(1_700_000_000_000)
}

#[test]
fn days_are_counted_as_the_calendar_has_them() {
    for (seconds, text) in [
        (0, "19700101T000000Z"),
        (951_782_400, "20000229T000000Z"),
        (1_369_353_600, "20130524T000000Z"),
        (1_767_225_599, "20251231T235959Z"),
        (1_772_323_200, "20260301T000000Z"),
        (4_107_542_400, "21000301T000000Z"),
    ] {
        assert_eq!(stamp(UnixMillis(seconds * 1_000)), text);
    }
}

#[test]
fn an_answer_is_quoted_by_its_code_alone() {
    assert_eq!(code("<Error><Code>SlowDown</Code><Key>secret</Key></Error>"), "SlowDown");
    assert_eq!(code("<Code>a\nb<c</Code>"), "abc");
    assert_eq!(code("no xml"), "");
    let shown = format!("{:?}", config("https://s3.example"));
    assert!(!shown.contains("secret") && !shown.contains("AKIA"), "{shown}");
}

#[tokio::test]
async fn what_is_gone_and_who_is_away_are_told_apart() {
    let bucket = Bucket::new(config("http://127.0.0.1:1")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mp3");
    let now = now_is();
    assert_eq!(bucket.put("a.mp3", &file, now_is).await, Err(BucketError::Gone));
    std::fs::write(&file, b"sound").unwrap();
    assert!(matches!(bucket.put("a.mp3", &file, now_is).await, Err(BucketError::Failed(_))));
    assert!(matches!(bucket.delete("a.mp3", now).await, Err(BucketError::Failed(_))));
}

/// A storage that says what it is told to say to one request after the other; what it was asked, and how long the bodies
/// were.
fn storage(answers: Vec<(u16, &'static str)>) -> (String, std::thread::JoinHandle<Vec<String>>) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let mut all = Vec::new();
        for (status, body) in answers {
            let (line, _) = listener.accept().unwrap();
            let (mut reader, mut line) = (BufReader::new(line.try_clone().unwrap()), line);
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let (name, value) = header.trim().split_once(':').unwrap_or_default();
                match name.to_ascii_lowercase().as_str() {
                    "" => break,
                    "content-length" => length = value.trim().parse::<u64>().unwrap(),
                    _ => {}
                }
            }
            io::copy(&mut reader.by_ref().take(length), &mut io::sink()).unwrap();
            let target = first.rsplit_once(' ').unwrap().0;
            all.push(format!("{target} {length}"));
            let size = body.len();
            let tag = format!("\"t{}\"", all.len());
            let _ = write!(
                line,
                "HTTP/1.1 {status} x\r\ncontent-length: {size}\r\netag: {tag}\r\nconnection: close\r\n\r\n{body}"
            );
        }
        all
    });
    (endpoint, asked)
}

/// A file of so many MiB, empty on the disk.
fn large(mib: u64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    std::fs::File::create(&path).unwrap().set_len(mib << 20).unwrap();
    (folder, path)
}

const BEGUN: (u16, &str) = (200, "<r><UploadId>a/b+c&amp;</UploadId></r>");
const DONE: (u16, &str) = (200, "<CompleteMultipartUploadResult/>");
const PLACE: &str = "/recordings/tandem/a.wav";

#[tokio::test]
async fn a_large_file_goes_in_parts_and_a_part_that_fails_alone_is_sent_again() {
    let stale = "<x><Upload><Key>tandem/a.wav</Key><UploadId>old</UploadId></Upload>\
                 <Upload><Key>tandem/a.wav2</Key><UploadId>other</UploadId></Upload></x>";
    let ok = (200, "");
    let answers = vec![(200, stale), (204, ""), BEGUN, ok, (503, ""), ok, ok, DONE];
    let (endpoint, asked) = storage(answers);
    let (_folder, path) = large(20);
    let bucket = Bucket::new(config(&endpoint)).unwrap();
    assert_eq!(bucket.put("a.wav", &path, now_is).await, Ok(()));
    let id = "uploadId=a%2Fb%2Bc%26";
    let part = |n: u32, mib: u64| format!("PUT {PLACE}?partNumber={n}&{id} {}", mib << 20);
    let asked = asked.join().unwrap();
    assert_eq!(asked[0], "GET /recordings?prefix=tandem%2Fa.wav&uploads= 0");
    assert_eq!(asked[1], format!("DELETE {PLACE}?uploadId=old 0"));
    assert_eq!(asked[2], format!("POST {PLACE}?uploads= 0"));
    assert_eq!(asked[3..7], [part(1, 8), part(2, 8), part(2, 8), part(3, 4)]);
    assert!(asked[7].starts_with(&format!("POST {PLACE}?{id} ")), "{asked:?}");
}

#[tokio::test]
async fn an_upload_in_parts_that_cannot_be_ended_is_taken_back() {
    let refused = "<Error><Code>AccessDenied</Code></Error>";
    let id = "uploadId=a%2Fb%2Bc%26";
    // A part that is refused is not sent again.
    let (endpoint, asked) = storage(vec![(403, ""), BEGUN, (403, refused), (204, "")]);
    let (_folder, path) = large(20);
    let bucket = Bucket::new(config(&endpoint)).unwrap();
    let error = Err(BucketError::Refused(403, "AccessDenied".into()));
    assert_eq!(bucket.put("a.wav", &path, now_is).await, error);
    assert_eq!(asked.join().unwrap()[3], format!("DELETE {PLACE}?{id} 0"));
    // 200 and a failure in its words.
    let broken = (200, "<Error><Code>InternalError</Code></Error>");
    let ok = (200, "");
    let (endpoint, asked) = storage(vec![ok, BEGUN, ok, ok, ok, broken, (204, "")]);
    let bucket = Bucket::new(config(&endpoint)).unwrap();
    let error = Err(BucketError::Refused(200, "InternalError".into()));
    assert_eq!(bucket.put("a.wav", &path, now_is).await, error);
    assert_eq!(asked.join().unwrap()[6], format!("DELETE {PLACE}?{id} 0"));
}
