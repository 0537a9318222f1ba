//! The address guard: what it refuses to visit, what it visits, and that it visits what it checked.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use api::guard::{AtMost, GuardConfig, GuardedClient, Names, Outgoing};
use facts::ports::{FetchError, Fetcher, Promise};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A resolver with one name for each trick; counts how often it is asked.
#[derive(Default)]
struct Table {
    asked: AtomicUsize,
}

impl Names for Table {
    fn lookup(&self, host: String) -> Promise<std::io::Result<Vec<IpAddr>>> {
        let turn = self.asked.fetch_add(1, Ordering::SeqCst);
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let addresses: Vec<&str> = match host.as_str() {
            "public.example" => vec!["93.184.216.34"],
            "loop.example" | "localhost" => vec!["127.0.0.1"],
            "loop6.example" => vec!["::1"],
            "private.example" => vec!["10.1.2.3"],
            "dual.example" => vec!["93.184.216.34", "192.168.1.1"],
            "dual6.example" => vec!["2606:4700::1111", "fe80::1"],
            "mapped.example" => vec!["::ffff:127.0.0.1"],
            "nat64.example" => vec!["64:ff9b::7f00:1"],
            "metadata.example" => vec!["169.254.169.254"],
            // Public when checked, ours when used: TTL 0.
            "flip.example" if turn == 0 => vec!["93.184.216.34"],
            "flip.example" => vec!["127.0.0.1"],
            "none.example" => vec![],
            _ => return Box::pin(async { Err(std::io::Error::other("no such name")) }),
        };
        let found = addresses.into_iter().map(|a| a.parse().unwrap()).collect();
        Box::pin(async move { Ok(found) })
    }
}

fn strict() -> GuardedClient {
    GuardedClient::with_names(GuardConfig::default(), Arc::new(Table::default())).unwrap()
}

const LIMIT: usize = 1024;

/// Refused by the check when the call is placed, and refused again when the address is to be visited.
const REFUSED: &[&str] = &[
    // Loopback and its spellings.
    "http://127.0.0.1/",
    "http://127.0.0.1:8080/x?y=1",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0177.0.0.1/",
    "http://017700000001/",
    "http://0x7f.0.0.1/",
    "http://0x7f000001/",
    "http://0x7F.1/",
    "http://127.0.0.1./",
    "http://127.255.255.254/",
    "http://127\u{3002}0\u{3002}0\u{3002}1/",
    "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "http://%31%32%37.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST./",
    "http://loop.example/",
    "http://loop\u{3002}example/",
    "http://loop6.example/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]:80/",
    // Private networks.
    "http://10.0.0.1/",
    "http://10.255.255.255/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.1/",
    "http://private.example/",
    "http://100.64.0.1/",
    "http://100.127.255.255/",
    // Link-local, metadata, this network, broadcast, multicast, reserved.
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.43518/",
    "http://0xA9FEA9FE/",
    "http://metadata.example/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://0.0.0.0/",
    "http://0/",
    "http://0.1.2.3/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    // IPv6 that is not global, or carries an IPv4 address.
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[64:ff9b::10.0.0.1]/",
    "http://[fc00::1]/",
    "http://[fd12:3456::1]/",
    "http://[fe80::1]/",
    "http://[ff02::1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://mapped.example/",
    "http://nat64.example/",
    // One good address does not excuse a bad one.
    "http://dual.example/",
    "http://dual6.example/",
    // Doors that are not HTTP's.
    "http://public.example:22/",
    "http://public.example:25/",
    "http://public.example:5432/",
    "http://public.example:6379/",
    "http://public.example:5060/",
    "http://public.example:0/",
    // Not URLs we visit.
    "file:///etc/passwd",
    "gopher://public.example/_x",
    "ftp://public.example/",
    "dict://public.example:11211/stat",
    "jar:http://public.example!/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "//public.example/",
    "public.example/x",
    "/etc/passwd",
    "",
    "http:",
    "http://",
    "http:///x",
    "http:public.example/",
    "http://user@public.example/",
    "http://user:pass@public.example/",
    "http://@public.example/",
    "http://127.0.0.1@public.example/",
    "http://public.example@127.0.0.1/",
    "http://public.example\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://public.example/\r\nHost: inner",
    "http://public.example/a b",
    "http://pub\tlic.example/",
    "http://[::1",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://public.example:99999/",
    "http://.../",
    "http://[fe80::1%25eth0]/",
];

#[tokio::test]
async fn f17_addresses_that_merchants_may_not_make_us_visit() {
    assert!(REFUSED.len() >= 60);
    for url in REFUSED {
        let guard = strict();
        let checked = guard.check(url, Duration::from_secs(1)).await;
        assert!(matches!(checked, Err(FetchError::BadUrl | FetchError::Refused)), "check {url}");
        let got = guard.get((*url).to_owned(), LIMIT).await;
        assert!(matches!(got, Err(FetchError::BadUrl | FetchError::Refused)), "get {url}: {got:?}");
    }
}

#[tokio::test]
async fn f17_addresses_of_the_open_internet_pass_the_check() {
    for url in [
        "http://public.example/",
        "https://public.example/r.aspx?shop=7&x=%20",
        "http://PUBLIC.example.:8080/",
        "http://93.184.216.34/cb",
        "http://[2606:4700::1111]/cb",
        "https://public.example:8443/",
        "http://public.example/路径?名=值",
        // Nobody by that name now: the visit will find out.
        "http://none.example/",
        "http://unknown.example/",
    ] {
        assert_eq!(strict().check(url, Duration::from_secs(1)).await, Ok(()), "{url}");
    }
}

#[tokio::test]
async fn f17_a_name_that_flips_between_check_and_use_is_refused_at_use() {
    let guard = strict();
    let url = "http://flip.example:8080/";
    assert_eq!(guard.check(url, Duration::from_secs(1)).await, Ok(()));
    assert_eq!(guard.get(url.into(), LIMIT).await, Err(FetchError::Refused));
}

/// Answers each connection with one fixed text and keeps the requests.
async fn answering(answer: &'static str) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (seen, requests) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap_or(0);
                let _ = seen.send(String::from_utf8_lossy(&buffer[..read]).into_owned());
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (port, requests)
}

fn lenient() -> GuardedClient {
    let config = GuardConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        connect_timeout: Duration::from_secs(1),
        total_timeout: Duration::from_secs(2),
        ..GuardConfig::default()
    };
    GuardedClient::with_names(config, Arc::new(Table::default())).unwrap()
}

#[tokio::test]
async fn loopback_is_visited_only_when_the_operator_lists_it_and_the_host_stays() {
    let (port, mut requests) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsuccess").await;
    let url = format!("http://loop.example:{port}/r?a=1&b=%E6%B5%8B");
    assert_eq!(strict().get(url.clone(), LIMIT).await, Err(FetchError::Refused));
    assert!(requests.try_recv().is_err(), "no connection was made");
    let fetched = lenient().get(url, LIMIT).await.unwrap();
    assert_eq!((fetched.status, fetched.body.as_slice()), (200, &b"success"[..]));
    let request = requests.recv().await.unwrap().to_ascii_lowercase();
    assert!(request.starts_with("get /r?a=1&b=%e6%b5%8b http/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("host: loop.example:{port}\r\n")), "{request}");
}

#[tokio::test]
async fn a_name_may_be_allowed_whatever_it_resolves_to() {
    let (port, _requests) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let config =
        GuardConfig { allow_hosts: vec!["LOOP.example.".into()], ..GuardConfig::default() };
    let guard = GuardedClient::with_names(config, Arc::new(Table::default())).unwrap();
    assert!(guard.get(format!("http://loop.example:{port}/"), LIMIT).await.is_ok());
    let other = guard.get(format!("http://localhost:{port}/"), LIMIT).await;
    assert_eq!(other, Err(FetchError::Refused));
}

/// Everything is allowed that can be; the operator's door is not.
#[tokio::test]
async fn f17_our_own_listeners_are_never_visited() {
    let (port, mut requests) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let (other, _others) = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let redirect = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{port}/admin/v1/calls\r\nContent-Length: 0\r\n\r\n"
    );
    let (third, _third) = answering(Box::leak(redirect.into_boxed_str())).await;
    for bound in ["127.0.0.1", "0.0.0.0", "[::]"] {
        let config = GuardConfig {
            allow_networks: vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()],
            allow_hosts: vec!["loop.example".into()],
            allow_ports: vec![port, other, third],
            own: vec![format!("{bound}:{port}").parse().unwrap()],
            ..GuardConfig::default()
        };
        let guard = GuardedClient::with_names(config, Arc::new(Table::default())).unwrap();
        for host in ["127.0.0.1", "2130706433", "0.0.0.0", "[::ffff:127.0.0.1]", "loop.example"] {
            let url = format!("http://{host}:{port}/admin/v1/calls");
            let checked = guard.check(&url, Duration::from_secs(1)).await;
            assert_eq!(checked, Err(FetchError::Refused), "{bound}: check {url}");
            let got = guard.get(url.clone(), LIMIT).await;
            assert_eq!(got, Err(FetchError::Refused), "{bound}: get {url}");
            let post = Outgoing {
                post: true,
                url: url.clone(),
                headers: Vec::new(),
                body: Vec::new(),
                more: Vec::new(),
                patience: None,
            };
            let sent = guard.send(&post, LIMIT).await;
            assert_eq!(sent, Err(FetchError::Refused), "{bound}: send {url}");
        }
        let led = guard.get(format!("http://loop.example:{third}/"), LIMIT).await;
        assert_eq!(led, Err(FetchError::Refused), "{bound}: a redirect");
        // What is beside it is visited.
        assert!(guard.get(format!("http://loop.example:{other}/"), LIMIT).await.is_ok());
        assert!(guard.get(format!("http://127.0.0.1:{other}/"), LIMIT).await.is_ok());
    }
    assert!(requests.try_recv().is_err(), "no connection was made");
}

#[tokio::test]
async fn f17_a_redirect_to_the_inside_is_not_followed_and_a_push_follows_none() {
    let (port, mut requests) = answering(
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/x\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(lenient().get(url.clone(), LIMIT).await, Err(FetchError::Refused));
    let push =
        Outgoing { post: false, url, headers: vec![], body: vec![], more: vec![], patience: None };
    assert_eq!(lenient().send(&push, LIMIT).await.unwrap().status, 302);
    assert!(requests.recv().await.is_some() && requests.recv().await.is_some());
    assert!(requests.try_recv().is_err());
}

#[tokio::test]
async fn redirects_end_after_three() {
    let (port, mut requests) = answering(
        "HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .await;
    let got = lenient().get(format!("http://127.0.0.1:{port}/"), LIMIT).await;
    assert!(matches!(got, Err(FetchError::Failed(_))), "{got:?}");
    let mut seen = 0;
    while requests.try_recv().is_ok() {
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[tokio::test]
async fn answers_are_cut_for_pushes_and_refused_for_fetches() {
    let (port, _requests) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789").await;
    let url = format!("http://127.0.0.1:{port}/");
    let push = Outgoing {
        post: true,
        url: url.clone(),
        headers: vec![],
        body: b"x".to_vec(),
        more: vec![],
        patience: None,
    };
    assert_eq!(lenient().send(&push, 4).await.unwrap().body, b"0123");
    assert_eq!(lenient().get(url.clone(), 4).await, Err(FetchError::TooLarge));
    assert_eq!(lenient().get(url, 10).await.unwrap().body, b"0123456789");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let held = tokio::spawn(async move { listener.accept().await });
    let config = GuardConfig {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        total_timeout: Duration::from_millis(200),
        ..GuardConfig::default()
    };
    let guard = GuardedClient::new(config).unwrap();
    let got = guard.get(format!("http://127.0.0.1:{port}/"), LIMIT).await;
    assert_eq!(got, Err(FetchError::TimedOut));
    assert!(held.await.unwrap().is_ok());
}

#[tokio::test]
async fn a_closed_port_is_a_failure_in_words_without_the_url() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let got = lenient().get(format!("http://127.0.0.1:{port}/?secret=1"), LIMIT).await;
    let Err(FetchError::Failed(words)) = got else { panic!("{got:?}") };
    assert!(words.starts_with("connect: ") && !words.contains("secret"), "{words}");
}

/// Look-ups that take until they are let go.
#[derive(Default)]
struct Stuck {
    under_way: AtomicUsize,
    most: AtomicUsize,
    go: tokio::sync::Notify,
}

struct StuckNames(Arc<Stuck>);

impl Names for StuckNames {
    fn lookup(&self, _: String) -> Promise<std::io::Result<Vec<IpAddr>>> {
        let stuck = Arc::clone(&self.0);
        Box::pin(async move {
            let now = stuck.under_way.fetch_add(1, Ordering::SeqCst) + 1;
            stuck.most.fetch_max(now, Ordering::SeqCst);
            stuck.go.notified().await;
            stuck.under_way.fetch_sub(1, Ordering::SeqCst);
            Ok(vec!["93.184.216.34".parse().unwrap()])
        })
    }
}

#[tokio::test(start_paused = true)]
async fn slow_name_servers_hold_no_more_than_their_share_of_threads() {
    let stuck = Arc::new(Stuck::default());
    let names = AtMost::new(2, Arc::new(StuckNames(Arc::clone(&stuck))));
    let guard = GuardedClient::with_names(GuardConfig::default(), Arc::new(names)).unwrap();
    let check = |patience| {
        let guard = guard.clone();
        tokio::spawn(async move { guard.check("http://slow.example/", patience).await })
    };
    // Five ask and give up: what is not known in time is for the visit to find out.
    for asked in (0..5).map(|_| check(Duration::from_millis(10))).collect::<Vec<_>>() {
        assert_eq!(asked.await.unwrap(), Ok(()));
    }
    // The two look-ups that began are still under way, and nobody who comes now gets a third.
    let waits = check(Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(stuck.under_way.load(Ordering::SeqCst), 2);
    // One of them ends: the one who waits has its turn.
    stuck.go.notify_one();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!waits.is_finished());
    assert_eq!(stuck.under_way.load(Ordering::SeqCst), 2);
    stuck.go.notify_waiters();
    assert_eq!(waits.await.unwrap(), Ok(()));
    assert_eq!(stuck.under_way.load(Ordering::SeqCst), 0);
    assert_eq!(stuck.most.load(Ordering::SeqCst), 2);
}

/// Runs in a process whose environment names a proxy.
#[tokio::test]
#[ignore = "run by proxy_settings_of_the_environment_are_ignored, with a proxy in the environment"]
async fn visits_directly() {
    let url = std::env::var("GUARD_TEST_URL").unwrap();
    let fetched = lenient().get(url, LIMIT).await.unwrap();
    assert_eq!(fetched.body, b"direct");
}

#[tokio::test]
async fn f17_proxy_settings_of_the_environment_are_ignored() {
    let (port, _requests) = answering("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ndirect").await;
    let (proxy, mut proxied) =
        answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nproxied").await;
    let proxy = format!("http://127.0.0.1:{proxy}");
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "visits_directly", "--ignored"]);
    child.env("GUARD_TEST_URL", format!("http://127.0.0.1:{port}/"));
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, &proxy);
    }
    let output = child.output().await.unwrap();
    let words = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && words.contains("1 passed"), "{words}");
    assert!(proxied.try_recv().is_err(), "nothing went to the proxy");
}
