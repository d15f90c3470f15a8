//! How much one caller may ask for: a session, or an address where there is none. Spent is the cost of what is asked.
//!
//! Each process counts for itself, or all replicas together in a Redis. One that does not answer makes nobody wait and
//! nothing free: the process counts for itself until it is back.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Script};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::config::ConfigError;
use crate::edge::{AddressRange, RateLimits};

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Spender {
    Session(Uuid),
    /// See [`household`].
    Address(IpAddr),
}

impl Spender {
    fn address(address: IpAddr) -> Self {
        Self::Address(household(address))
    }
}

/// The address that stands for all of a household's: of IPv6 the first 64 bits.
pub(super) fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl std::fmt::Display for Spender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Session(id) => write!(f, "session:{id}"),
            Self::Address(address) => write!(f, "address:{address}"),
        }
    }
}

/// Where a request came from: the peer, or what proxies of ours say that stand in between. Read from the right, since
/// anybody can write the left.
pub(crate) fn source(
    peer: Option<&ConnectInfo<SocketAddr>>,
    headers: &HeaderMap,
    ours: &[AddressRange],
) -> IpAddr {
    let Some(peer) = peer.map(|peer| peer.0.ip().to_canonical()) else {
        return IpAddr::from([0, 0, 0, 0]);
    };
    let is_ours = |address: IpAddr| ours.iter().any(|range| range.contains(address));
    let mut from = peer;
    let named: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .collect();
    for text in named.into_iter().rev() {
        if !is_ours(from) {
            break;
        }
        match text.trim().parse::<IpAddr>() {
            Ok(address) => from = address.to_canonical(),
            Err(_) => break,
        }
    }
    from
}

/// What `Retry-After` says: the next whole second, by which the wait is over.
pub(crate) fn seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(1)
}

struct Limit {
    per_second: NonZeroU32,
    burst: NonZeroU32,
    here: DefaultKeyedRateLimiter<Spender>,
}

impl Limit {
    fn new(per_second: u32, burst: u32) -> Option<Self> {
        let (per_second, burst) = (NonZeroU32::new(per_second)?, NonZeroU32::new(burst)?);
        let here = RateLimiter::keyed(Quota::per_second(per_second).allow_burst(burst));
        (burst >= per_second).then_some(Self { per_second, burst, here })
    }

    fn take(&self, spender: Spender, cost: NonZeroU32) -> Result<(), Duration> {
        match self.here.check_key_n(&spender, cost) {
            // More than the burst never happens: it is cut to it before.
            Ok(Ok(())) | Err(_) => Ok(()),
            Ok(Err(early)) => Err(early.wait_time_from(DefaultClock::default().now())),
        }
    }
}

/// The generic cell rate algorithm, as the one in the process: KEYS[1] holds the time at which all is paid back.
/// ARGV: milliseconds that one of cost takes, milliseconds of the burst, cost. Answers 0, or milliseconds to wait.
const SPEND: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local paid = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local due = paid + ARGV[1] * ARGV[3]
local early = due - ARGV[2] - now
if early > 0 then return math.ceil(early) end
redis.call('SET', KEYS[1], due, 'PX', math.ceil(due - now) + 1)
return 0";

/// What a request costs that is refused unexecuted, begins or ends a sign-in or stops messages: its reading, and a row in a store.
const REFUSED: u32 = 100;

/// Longest that counting together may take.
const ANSWER: Duration = Duration::from_millis(100);

struct Together {
    client: Client,
    connection: OnceCell<ConnectionManager>,
    script: Script,
}

impl Together {
    async fn take(&self, spender: Spender, limit: &Limit, cost: NonZeroU32) -> redis::RedisResult<u64> {
        let connect = || {
            let config = ConnectionManagerConfig::new()
                .set_number_of_retries(1)
                .set_response_timeout(Some(ANSWER))
                .set_connection_timeout(Some(ANSWER));
            ConnectionManager::new_with_config(self.client.clone(), config)
        };
        let mut connection = self.connection.get_or_try_init(connect).await?.clone();
        let per_point = 1_000.0 / f64::from(limit.per_second.get());
        self.script
            .key(format!("councilsense:rate:{spender}"))
            .arg(per_point)
            .arg(f64::from(limit.burst.get()) * per_point)
            .arg(cost.get())
            .invoke_async(&mut connection)
            .await
    }
}

/// What everybody has spent.
pub(crate) struct Rates {
    session: Limit,
    address: Limit,
    together: Option<Together>,
}

impl Rates {
    pub(crate) fn new(limits: &RateLimits) -> Result<Self, ConfigError> {
        let limit = |per_second, burst| Limit::new(per_second, burst).ok_or(ConfigError::Rates);
        let together = limits.redis.as_deref().map(|address| {
            let client = Client::open(address)?;
            Ok::<_, redis::RedisError>(Together {
                client,
                connection: OnceCell::new(),
                script: Script::new(SPEND),
            })
        });
        Ok(Self {
            session: limit(limits.session_per_second, limits.session_burst)?,
            address: limit(limits.address_per_second, limits.address_burst)?,
            together: together.transpose().map_err(|_| ConfigError::RatesRedis)?,
        })
    }

    /// Spends `cost`. An error is how long to wait before it can be spent.
    pub(crate) async fn take(&self, session: Option<Uuid>, from: IpAddr, cost: u32) -> Result<(), Duration> {
        let (spender, limit) = match session {
            Some(id) => (Spender::Session(id), &self.session),
            None => (Spender::address(from), &self.address),
        };
        let cost = NonZeroU32::new(cost).unwrap_or(NonZeroU32::MIN).min(limit.burst);
        if let Some(together) = &self.together {
            match tokio::time::timeout(ANSWER, together.take(spender, limit, cost)).await {
                Ok(Ok(0)) => return Ok(()),
                Ok(Ok(wait)) => return Err(Duration::from_millis(wait)),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "rates are counted here alone: Redis does not answer")
                }
                Err(_) => tracing::warn!("rates are counted here alone: Redis takes too long"),
            }
        }
        limit.take(spender, cost)
    }

    /// Spends what a request costs that is refused before anybody asks who sent it, or is anybody's to send.
    pub(crate) async fn take_refused(&self, from: IpAddr) -> Result<(), Duration> {
        self.take(None, from, REFUSED).await
    }

    /// Forgets who has paid everything back.
    pub(crate) fn sweep(&self) {
        for limit in [&self.session, &self.address] {
            limit.here.retain_recent();
            limit.here.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_first_that_is_not_a_proxy_of_ours() {
        let ours: Vec<AddressRange> =
            ["10.0.0.0/8", "::1"].iter().map(|text| text.parse().unwrap()).collect();
        let from = |peer: &str, forwarded: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", value.parse().unwrap());
            }
            let peer = ConnectInfo(SocketAddr::new(peer.parse().unwrap(), 1));
            source(Some(&peer), &headers, &ours).to_string()
        };
        assert_eq!(from("203.0.113.9", &[]), "203.0.113.9");
        assert_eq!(from("203.0.113.9", &["198.51.100.1"]), "203.0.113.9", "no proxy of ours says so");
        assert_eq!(from("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(
            from("10.0.0.1", &["192.0.2.1, 198.51.100.1"]),
            "198.51.100.1",
            "the left is the client's word"
        );
        assert_eq!(from("10.0.0.1", &["192.0.2.1", "198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(from("10.0.0.1", &["rubbish"]), "10.0.0.1");
        assert_eq!(from("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn a_household_is_one_spender() {
        let of = |text: &str| Spender::address(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[tokio::test]
    async fn each_spends_its_own_and_is_told_how_long_to_wait() {
        let limits = RateLimits {
            session_per_second: 10,
            session_burst: 100,
            address_per_second: 10,
            address_burst: 50,
            redis: None,
        };
        let rates = Rates::new(&limits).unwrap();
        let (one, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let here = IpAddr::from([192, 0, 2, 1]);
        assert!(rates.take(one, here, 60).await.is_ok());
        let wait = rates.take(one, here, 60).await.unwrap_err();
        assert!(wait > Duration::from_secs(1) && wait <= Duration::from_secs(3), "{wait:?}");
        assert!(rates.take(other, here, 60).await.is_ok(), "another session at the same address");
        assert!(rates.take(None, here, 50).await.is_ok());
        assert!(rates.take(None, here, 1).await.is_err());
        assert!(rates.take(None, IpAddr::from([192, 0, 2, 2]), u32::MAX).await.is_ok(), "at most the burst");
        rates.sweep();
        assert!(rates.take(None, here, 40).await.is_err(), "a sweep forgives nothing");
        let wrong = RateLimits { session_burst: 1, ..limits };
        assert!(matches!(Rates::new(&wrong), Err(ConfigError::Rates)));
    }

    /// Whether an answer came from counting together; tries until one does, so that a slow machine fails no test.
    async fn counts_together(rates: &Rates, redis: &cs_testkit::redis::Redis, first: u128) -> bool {
        let here = IpAddr::from([192, 0, 2, 1]);
        for n in 0..100 {
            let session = Uuid::from_u128(first + n);
            assert!(rates.take(Some(session), here, 1).await.is_ok());
            let mut connection =
                Client::open(redis.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
            let key = format!("councilsense:rate:session:{session}");
            let left: i64 = redis::cmd("PTTL").arg(&key).query_async(&mut connection).await.unwrap();
            assert_ne!(left, -1, "what is counted is forgotten when it is paid back");
            if left > -2 {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        false
    }

    #[tokio::test]
    async fn replicas_count_together_and_each_for_itself_while_redis_is_away() {
        let Some(mut redis) = cs_testkit::redis::Redis::start() else { return };
        let limits = RateLimits {
            session_per_second: 1,
            session_burst: 100,
            address_per_second: 1,
            address_burst: 100,
            redis: Some(redis.url()),
        };
        let (one, two) = (Rates::new(&limits).unwrap(), Rates::new(&limits).unwrap());
        assert!(counts_together(&one, &redis, 1_000).await && counts_together(&two, &redis, 2_000).await);
        let (who, other) = (Some(Uuid::from_u128(1)), Some(Uuid::from_u128(2)));
        let here = IpAddr::from([192, 0, 2, 1]);
        assert!(one.take(who, here, 80).await.is_ok());
        let wait = two.take(who, here, 80).await.unwrap_err();
        assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
        assert!(two.take(other, here, 80).await.is_ok(), "another session");
        assert!(one.take(None, here, 80).await.is_ok() && two.take(None, here, 80).await.is_err());

        redis.kill();
        let began = std::time::Instant::now();
        assert!(two.take(who, here, 80).await.is_ok(), "what was spent elsewhere is not known here");
        assert!(two.take(who, here, 80).await.is_err(), "and nothing is free");
        assert!(began.elapsed() < Duration::from_secs(2), "nobody waits for it: {:?}", began.elapsed());

        redis.run();
        assert!(counts_together(&one, &redis, 3_000).await, "by itself");
        assert!(two.take(other, here, 80).await.is_err(), "with what was spent before");
    }
}
