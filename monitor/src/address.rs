//! Where it may be served: on this machine, unless a token is demanded or somebody says that the network is
//! trusted.

use std::net::{IpAddr, SocketAddr};

/// The address is open to others and nobody said that this is meant.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to serve on {host}: other machines could reach it and nobody has to log in; \
     set MONITORING_TOKEN, or MONITORING_TRUSTED_NETWORK=1 if that is meant"
)]
pub struct Exposed {
    host: IpAddr,
}

/// The address to listen on; `guarded` when a token is demanded or the network trusted.
pub fn allowed(host: IpAddr, port: u16, guarded: bool) -> Result<SocketAddr, Exposed> {
    if host.to_canonical().is_loopback() || guarded { Ok(SocketAddr::new(host, port)) } else { Err(Exposed { host }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_is_served_without_a_word() {
        let open = |host: &str, guarded| {
            let host = host.parse().expect("an address");
            allowed(host, 5000, guarded).is_ok()
        };
        for host in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(open(host, false), "{host}");
        }
        for host in ["0.0.0.0", "::", "10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(!open(host, false), "{host}");
            assert!(open(host, true), "{host}");
        }
    }
}
