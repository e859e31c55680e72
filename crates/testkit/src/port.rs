//! Ports that nothing listens on.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Below the kernel's range for outgoing connections (`ip_local_port_range`, from 32768): a client
/// must not be given the port of a broker that is down for a moment.
const RANGE: Range<u16> = 12_000..32_000;

static GIVEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of 127.0.0.1 that is free now and that this process has not handed out before. Another
/// process may take it before it is used: the range is wide and the choice random.
///
/// # Panics
/// When no port is free.
#[must_use]
pub fn free_port() -> u16 {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    (0..1000)
        .map(|_| rand::random_range(RANGE))
        .find(|&port| {
            !given.contains(&port) && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() && given.insert(port)
        })
        .expect("one of a thousand random ports is free")
}
