//! The time that processes compute, which a busy machine doesn't change much.

use anyhow::{Context as _, Result};
use gritstone_tests::rig::processes::descendants;
use std::collections::BTreeMap;

/// Seconds that a process has computed.
pub(crate) fn seconds(pid: u32) -> Result<f64> {
    Ok(stat(pid)?.1)
}

/// Seconds that this process and all that it started and that still run have computed, by their programs' names.
pub(crate) fn by_program() -> BTreeMap<String, f64> {
    let own = std::process::id();
    let others = descendants(own.cast_signed()).into_iter().map(i32::cast_unsigned);
    let mut sums = BTreeMap::new();
    for (name, seconds) in std::iter::once(own).chain(others).filter_map(|pid| stat(pid).ok()) {
        *sums.entry(name).or_default() += seconds;
    }
    sums
}

/// Name, and seconds computed.
fn stat(pid: u32) -> Result<(String, f64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (name, fields) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).context("no name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    // USER_HZ, which is 100 on Linux everywhere.
    Ok((name.to_owned(), ticks / 100.0))
}
