//! Which addresses the embedding service may have: checked after the name was resolved, at every connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up and leaves out what must not be reached.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) private: bool,
}

impl Checked {
    pub(super) fn resolver(private: bool) -> Arc<Self> {
        Arc::new(Self { private })
    }
}

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let private = self.private;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|at| may_reach(at.ip(), private)).collect();
            if kept.is_empty() {
                return Err(format!("{} is at no address that may be reached", name.as_str()).into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// Whether an address may be connected to. `private`: the operator said that the service stands in the own network.
/// Link-local addresses, where clouds keep their metadata, are never reached.
pub(super) fn may_reach(ip: IpAddr, private: bool) -> bool {
    match ip {
        IpAddr::V4(v4) => v4_may(v4, private),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4_may(v4, private),
            None => v6_may(v6, private),
        },
    }
}

fn v4_may(v4: Ipv4Addr, private: bool) -> bool {
    let [a, b, ..] = v4.octets();
    let never = v4.is_link_local()
        || v4.is_unspecified()
        || v4.is_broadcast()
        || v4.is_multicast()
        || a == 0
        || a >= 240;
    // 100.64/10 is shared by carriers, 198.18/15 is for benchmarks.
    let own = v4.is_private() || v4.is_loopback() || a == 100 && b & 0xc0 == 64 || a == 198 && b & 0xfe == 18;
    !never && (private || !own)
}

fn v6_may(v6: Ipv6Addr, private: bool) -> bool {
    let first = v6.segments()[0];
    // fd00:ec2::254 is the metadata service of a cloud inside the private range.
    let never = v6.is_unspecified()
        || v6.is_multicast()
        || first & 0xffc0 == 0xfe80
        || v6.segments()[..2] == [0xfd00, 0x0ec2];
    let own = v6.is_loopback() || first & 0xfe00 == 0xfc00;
    // 64:ff9b::/96 and 2002::/16 carry an IPv4 address that is not looked at here.
    let carries = first == 0x0064 && v6.segments()[1] == 0xff9b || first == 0x2002;
    !never && !carries && (private || !own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_allowed_is_reached() {
        let may = |ip: &str, private| may_reach(ip.parse().unwrap(), private);
        for public in ["93.184.216.34", "2606:2800:220:1::1"] {
            assert!(may(public, false) && may(public, true), "{public}");
        }
        for own in ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fc00::1"] {
            assert!(!may(own, false) && may(own, true), "{own}");
        }
        assert!(!may("::ffff:10.0.0.1", false) && may("::ffff:10.0.0.1", true));
        for never in [
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "fe80::1",
            "::",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
        ] {
            assert!(!may(never, true) && !may(never, false), "{never}");
        }
    }
}
