//! Free ports on loopback.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use crate::Error;

/// Below the ports that systems hand to outgoing connections (from 32768 on Linux, 49152 elsewhere): nobody takes the
/// port of an API server by accident while it is stopped for a restart.
const RANGE: std::ops::Range<u16> = 20_000..30_000;

/// Different in each call and process; no secret.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A port of 127.0.0.1 that is free now. Whoever listens on it next may be somebody else, so callers try again with another.
pub fn free() -> Result<u16, Error> {
    let width = RANGE.end - RANGE.start;
    // At random, so that clusters that start at the same time seldom meet.
    let first = u16::try_from(random() % u64::from(width)).unwrap_or(0);
    (0..width)
        .map(|step| RANGE.start + (first + step) % width)
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .ok_or_else(|| {
            Error::Refused(format!("no port from {} to {} is free on 127.0.0.1", RANGE.start, RANGE.end - 1))
        })
}
