//! Where people are reached outside: a web server and a mail server. Of what they are sent they refuse some, and hang up on some
//! that they have taken, so that whoever sent it cannot know.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What came under one idempotency id.
#[derive(Default)]
pub(crate) struct Got {
    /// To whom, and what it said: one of each, if all is well.
    pub(crate) to: BTreeSet<String>,
    pub(crate) bodies: BTreeSet<u64>,
    pub(crate) taken: u64,
    pub(crate) refused: u64,
}

#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) web: u16,
    pub(crate) mail: u16,
    got: Arc<Mutex<BTreeMap<String, Got>>>,
    random: Arc<Mutex<StdRng>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    Refuses,
    /// After it has taken it.
    HangsUp,
}

impl Outside {
    pub(crate) async fn start(seed: u64) -> Self {
        let (web, mail) = (listener().await, listener().await);
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let outside = Self { web: port(&web), mail: port(&mail), got: Arc::default(), random };
        let (one, other) = (outside.clone(), outside.clone());
        tokio::spawn(async move {
            loop {
                let (stream, outside) = (web.accept().await.unwrap().0, one.clone());
                // Who hangs up is of no interest here.
                tokio::spawn(async move { outside.web(stream).await });
            }
        });
        tokio::spawn(async move {
            loop {
                let (stream, outside) = (mail.accept().await.unwrap().0, other.clone());
                tokio::spawn(async move { outside.mail(stream).await });
            }
        });
        outside
    }

    /// What came so far, by idempotency id.
    pub(crate) fn got(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Got>> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn web(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut first, mut headers) = (String::new(), BTreeMap::new());
            stream.read_line(&mut first).await?;
            let Some(path) = first.split(' ').nth(1) else { return Ok(()) };
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).await?;
                let Some((name, value)) = line.split_once(':') else { break };
                headers.insert(name.to_lowercase(), value.trim().to_owned());
            }
            let mut body = vec![0; headers["content-length"].parse().unwrap()];
            stream.read_exact(&mut body).await?;
            let status = match self.take(&headers["webhook-id"], path, &body) {
                Mood::Takes => "204 No Content",
                Mood::Refuses => "500 Internal Server Error",
                Mood::HangsUp => return Ok(()),
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
    }

    async fn mail(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut say = async |text: &str| write.write_all(format!("{text}\r\n").as_bytes()).await;
        let mut to = String::new();
        say("220 hello").await?;
        while let Some(line) = lines.next_line().await? {
            match line.split([' ', ':']).next().unwrap_or_default() {
                "RCPT" => {
                    to.clone_from(&line);
                    say("250 ok").await?;
                }
                "DATA" => {
                    say("354 go on").await?;
                    let mut letter = Vec::new();
                    loop {
                        match lines.next_line().await? {
                            Some(line) if line == "." => break,
                            Some(line) => letter.push(line),
                            // Whoever sent it died: what has no end is no letter.
                            None => return Ok(()),
                        }
                    }
                    let id = letter.iter().find_map(|line| line.strip_prefix("Message-ID: <")).unwrap();
                    let key = id.split('@').next().unwrap();
                    // What parts a letter is drawn by lot in every try.
                    let text = letter.iter().skip_while(|line| !line.is_empty());
                    let text: Vec<&str> =
                        text.map(String::as_str).filter(|line| !line.starts_with("--")).collect();
                    match self.take(key, &to, text.join("\n").as_bytes()) {
                        Mood::Takes => say("250 taken").await?,
                        Mood::Refuses => say("451 later").await?,
                        Mood::HangsUp => return Ok(()),
                    }
                }
                "QUIT" => return say("221 bye").await,
                _ => say("250 ok").await?,
            }
        }
        Ok(())
    }

    fn take(&self, key: &str, to: &str, body: &[u8]) -> Mood {
        let mood = match self.random.lock().unwrap_or_else(PoisonError::into_inner).random_range(0..16) {
            0 => Mood::Refuses,
            1 => Mood::HangsUp,
            _ => Mood::Takes,
        };
        let mut hash = DefaultHasher::new();
        body.hash(&mut hash);
        let mut all = self.got();
        let got = all.entry(key.to_owned()).or_default();
        got.to.insert(to.to_owned());
        got.bodies.insert(hash.finish());
        *(if mood == Mood::Refuses { &mut got.refused } else { &mut got.taken }) += 1;
        mood
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}
