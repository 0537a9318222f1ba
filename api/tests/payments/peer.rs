//! A server in the place of a merchant's page, a gateway or a network for messages: it notes what it is asked, byte for
//! byte, and answers what it was told to.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a server with a mind of its own says to a request; `None`: nothing.
pub(crate) type Mind =
    Arc<dyn Fn(Came) -> Pin<Box<dyn Future<Output = Option<(u16, String)>> + Send>> + Send + Sync>;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Came {
    /// A header field, or nothing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }
}

#[derive(Clone)]
pub(crate) struct Peer {
    address: SocketAddr,
    came: Arc<Mutex<Vec<Came>>>,
    /// Answers, the last of them for ever.
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    /// Answers in their place.
    mind: Option<Mind>,
}

impl Peer {
    pub(crate) async fn start() -> Peer {
        Peer::with(None).await
    }

    /// One that answers as it thinks.
    #[allow(dead_code, reason = "shared by tests, not all of which have one")]
    pub(crate) async fn by(mind: Mind) -> Peer {
        Peer::with(Some(mind)).await
    }

    async fn with(mind: Option<Mind>) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = VecDeque::from([(200, String::new())]);
        let answers = Arc::new(Mutex::new(answers));
        let peer = Peer { address, came: Arc::default(), answers, mind };
        let this = peer.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let this = this.clone();
                tokio::spawn(async move { this.serve(stream).await });
            }
        });
        peer
    }

    async fn serve(&self, mut stream: TcpStream) -> Option<()> {
        let (mut octets, mut chunk) = (Vec::new(), [0; 8192]);
        let (came, length) = loop {
            if let Some(read) = head(&octets) {
                break read;
            }
            let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
            octets.extend_from_slice(&chunk[..read]);
        };
        let begins = octets.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        while octets.len() < begins + length {
            let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
            octets.extend_from_slice(&chunk[..read]);
        }
        let body = String::from_utf8_lossy(&octets[begins..]).into_owned();
        let came = Came { body, ..came };
        self.came.lock().unwrap().push(came.clone());
        let (status, body) = if let Some(mind) = &self.mind {
            mind(came).await?
        } else {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() }?
        };
        // 0: nothing is said.
        if status > 0 {
            let moved = (300..400).contains(&status);
            let (place, body) = if moved { (body, String::new()) } else { (String::new(), body) };
            let place = if moved { format!("location: {place}\r\n") } else { place };
            let answer = format!(
                "HTTP/1.1 {status} X\r\n{place}content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.ok()?;
        }
        Some(())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on it answers this.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        self.say(&[(status, body)]);
    }

    /// From now on it answers these, the last of them for ever. What has moved says where to.
    pub(crate) fn say(&self, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, body)| (*status, (*body).to_owned()));
        *self.answers.lock().unwrap() = answers.collect();
    }

    pub(crate) fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }

    /// What came since.
    pub(crate) fn take(&self) -> Vec<Came> {
        std::mem::take(&mut self.came.lock().unwrap())
    }
}

/// The head of a request, and the length of its body.
fn head(octets: &[u8]) -> Option<(Came, usize)> {
    let end = octets.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&octets[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let came = Came { method, target, headers, body: String::new() };
    let length = came.header("content-length").parse().unwrap_or(0);
    Some((came, length))
}
