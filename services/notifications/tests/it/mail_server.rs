//! A mail server that is slow, or refuses us, and not the letter.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::TimeDelta;
use cs_core::CityId;
use notifications::follow::Target;
use notifications::preferences::Change;
use notifications::{Sender, Settings};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{World, until};

/// What it answers.
#[derive(Clone)]
struct Says {
    greeting: &'static str,
    mail: &'static str,
    rcpt: &'static str,
    /// To the end of a letter, and after how long.
    letter: (&'static str, Duration),
}

const WELL: Says =
    Says { greeting: "220 hello", mail: "250 ok", rcpt: "250 ok", letter: ("250 taken", Duration::ZERO) };

struct Server {
    port: u16,
    says: Mutex<Says>,
    letters: AtomicUsize,
    connections: AtomicUsize,
}

impl Server {
    async fn start(says: Says) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            port: listener.local_addr().unwrap().port(),
            says: Mutex::new(says),
            letters: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
        });
        let serving = server.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                serving.connections.fetch_add(1, Ordering::SeqCst);
                let server = serving.clone();
                // Who hangs up is of no interest here.
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        server
    }

    fn says(&self) -> Says {
        self.says.lock().unwrap().clone()
    }

    async fn talk(&self, stream: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let mut say = async |text: &str| write.write_all(format!("{text}\r\n").as_bytes()).await;
        say(self.says().greeting).await?;
        while let Some(line) = lines.next_line().await? {
            let says = self.says();
            match line.split([' ', ':']).next().unwrap_or_default() {
                "EHLO" => say("250 here").await?,
                "MAIL" => say(says.mail).await?,
                "RCPT" => say(says.rcpt).await?,
                "DATA" => {
                    say("354 go on").await?;
                    while lines.next_line().await?.is_some_and(|line| line != ".") {}
                    self.letters.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(says.letter.1).await;
                    say(says.letter.0).await?;
                }
                "QUIT" => return say("221 bye").await,
                _ => say("250 ok").await?,
            }
        }
        Ok(())
    }

    fn sender(&self, world: &World) -> Sender {
        let settings = Settings {
            smtp_url: Some(format!("smtp://127.0.0.1:{}", self.port)),
            mail_from: Some("news@council.example".into()),
            ..Settings::default()
        };
        notifications::sender(&world.deps, &settings).unwrap()
    }
}

/// One more message by e-mail, to one more person.
async fn letter(world: &World) {
    let user = world.ids.next();
    let city: CityId = world.ids.next();
    world.follow(user, &Target::City(city)).await;
    let channels = Some(vec!["in_app".into(), "email".into()]);
    world.prefer(user, &Change { channels, ..Change::default() }).await;
    let event = world.published(world.ids.next(), |event| event.city_id = city.to_string());
    world.announce(&event).await.unwrap();
    world.work().await;
    while world.sender(vec![]).step().await.unwrap() > 0 {}
}

const STATES: &str = "SELECT state || ' ' || attempt FROM messages ORDER BY 1";

#[tokio::test]
async fn a_server_that_takes_its_time_gets_one_copy() {
    let world = World::start("slow_mail").await;
    let server = Server::start(Says { letter: ("250 taken", Duration::from_secs(22)), ..WELL }).await;
    letter(&world).await;
    let sender = server.sender(&world);
    sender.step().await.unwrap();
    assert_eq!(world.texts(STATES).await, ["sent 1"]);
    *server.says.lock().unwrap() = WELL;
    letter(&world).await;
    sender.step().await.unwrap();
    assert_eq!(world.texts(STATES).await, ["sent 1", "sent 1"]);
    let counts = (server.letters.load(Ordering::SeqCst), server.connections.load(Ordering::SeqCst));
    assert_eq!(counts, (2, 1), "two letters by one connection");
}

#[tokio::test]
async fn a_dialogue_that_was_broken_off_is_not_gone_on_with() {
    let world = World::start("broken_off").await;
    let server = Server::start(Says { letter: ("250 taken", Duration::from_secs(600)), ..WELL }).await;
    letter(&world).await;
    let sender = server.sender(&world);
    let breaking_off = sender.clone();
    let step = tokio::spawn(async move { breaking_off.step().await });
    until("the server has it", async || server.letters.load(Ordering::SeqCst) == 1).await;
    step.abort();
    assert!(step.await.unwrap_err().is_cancelled());
    assert_eq!(server.letters.load(Ordering::SeqCst), 1);
    *server.says.lock().unwrap() = WELL;
    letter(&world).await;
    sender.step().await.unwrap();
    assert_eq!(world.texts(STATES).await, ["sending 1", "sent 1"]);
    assert_eq!(server.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_server_has_against_us_fails_no_letter() {
    let world = World::start("refused_mail").await;
    let server = Server::start(WELL).await;
    letter(&world).await;
    let sender = server.sender(&world);
    for says in [
        Says { greeting: "554 no service here", ..WELL },
        Says { mail: "550 who are you?", ..WELL },
        Says { rcpt: "554 5.7.1 Relay access denied", ..WELL },
        Says { letter: ("451 later", Duration::ZERO), ..WELL },
    ] {
        *server.says.lock().unwrap() = says;
        sender.step().await.unwrap();
        assert_eq!(world.count("messages WHERE state = 'sending'").await, 1);
        world.clock.advance(TimeDelta::minutes(31));
    }
    assert_eq!(world.count("message_attempts WHERE outcome = 'failed'").await, 4);
    *server.says.lock().unwrap() = WELL;
    sender.step().await.unwrap();
    assert_eq!(world.texts(STATES).await, ["sent 5"]);
    // Recipient and letter are another matter.
    for says in [
        Says { rcpt: "550 no such mailbox", ..WELL },
        Says { letter: ("550 5.7.1 This looks like spam", Duration::ZERO), ..WELL },
    ] {
        *server.says.lock().unwrap() = says;
        letter(&world).await;
        sender.step().await.unwrap();
    }
    assert_eq!(world.texts(STATES).await, ["failed 1", "failed 1", "sent 5"]);
}
