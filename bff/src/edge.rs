//! How much the edge takes from whom, and what it remembers.

use std::net::IpAddr;
use std::time::Duration;

/// Settings of the edge that have nothing to do with signing in.
#[derive(Clone, Debug)]
pub struct Edge {
    /// How long a session that was read is believed without asking the store again. Signing out through this process acts
    /// at once; through another, within this time. Zero: the store is asked each time.
    pub session_memory: Duration,
    /// How much one caller may ask for.
    pub rates: RateLimits,
    /// How many subscriptions one caller may have open.
    pub watches: WatchLimits,
    /// Proxies whose word is taken for where a request came from.
    pub trusted_proxies: Vec<AddressRange>,
    /// Documents known from the start beside those of the page that the binary carries, as clients send them.
    pub trusted_documents: Vec<String>,
    /// Whether nothing else is executed.
    pub trusted_documents_only: bool,
    /// The audience that access tokens at `/api/graphql` have to be meant for. `None`: the main origin.
    pub api_audience: Option<String>,
    /// The scope that they need.
    pub api_scope: String,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            session_memory: Duration::from_secs(2),
            rates: RateLimits::default(),
            watches: WatchLimits::default(),
            trusted_proxies: Vec::new(),
            trusted_documents: Vec::new(),
            trusted_documents_only: false,
            api_audience: None,
            api_scope: "councilsense".to_owned(),
        }
    }
}

/// How much one caller may ask for. A request costs the fields it may resolve, with lists counted by their size.
#[derive(Clone)]
pub struct RateLimits {
    /// What a session may spend in a second, in the long run.
    pub session_per_second: u32,
    /// What it may spend at once.
    pub session_burst: u32,
    /// The same of an address without a session.
    pub address_per_second: u32,
    /// The same of an address without a session.
    pub address_burst: u32,
    /// Where replicas count together: the address of a Redis. `None`: each counts for itself.
    pub redis: Option<String>,
}

/// The address of a Redis may hold its password.
impl std::fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimits")
            .field("session", &(self.session_per_second, self.session_burst))
            .field("address", &(self.address_per_second, self.address_burst))
            .field("together", &self.redis.is_some())
            .finish_non_exhaustive()
    }
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            session_per_second: 2_000,
            session_burst: 40_000,
            address_per_second: 2_000,
            address_burst: 40_000,
            redis: None,
        }
    }
}

/// How many subscriptions one caller may have open at once in one process, over all their connections.
#[derive(Clone, Copy, Debug)]
pub struct WatchLimits {
    /// Whoever signed in.
    pub person: usize,
    /// All together at an address who did not.
    pub address: usize,
}

impl Default for WatchLimits {
    fn default() -> Self {
        Self { person: 60, address: 600 }
    }
}

/// Addresses that begin alike: `10.0.0.0/8`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    bits: u8,
}

/// A text that is no range of addresses.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a range of addresses: write 10.0.0.0/8, or one address")]
pub struct InvalidRange(String);

impl std::str::FromStr for AddressRange {
    type Err = InvalidRange;

    fn from_str(text: &str) -> Result<Self, InvalidRange> {
        let invalid = || InvalidRange(text.to_owned());
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| invalid())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse()).map_err(|_| invalid())?;
        if bits > most { Err(invalid()) } else { Ok(Self { address, bits }) }
    }
}

impl AddressRange {
    /// Whether `address` is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        let bits = u32::from(self.bits);
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(32 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V6(ours), IpAddr::V6(other)) => {
                (ours.to_bits() ^ other.to_bits()).checked_shr(128 - bits).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = |text: &str| text.parse::<AddressRange>().unwrap();
        let holds = |text: &str, address: &str| range(text).contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.0.1") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("0.0.0.0/0", "203.0.113.9") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("2001:db8::/32", "2001:db8:1::") && !holds("2001:db8::/32", "2001:db9::"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "x/8", "10.0.0.0/", "::/129"] {
            assert!(bad.parse::<AddressRange>().is_err(), "{bad}");
        }
    }
}
