//! Signals: TERM and INT stop gracefully, QUIT at once (Solid Queue's meaning); USR2 pauses workers, CONT lets them go on, USR1 ends their
//! jobs (qless's).

use super::exit::Exit;
use crate::process::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// Turns signals into stages of stopping. A second TERM or INT changes nothing: QUIT is there for the impatient.
pub(super) fn listen(stop: &Stop) -> Result<(), Exit> {
    let failed = |error| Exit::Refused(format!("signals can't be listened to: {error}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut quit = signal(SignalKind::quit()).map_err(failed)?;
    let mut end = signal(SignalKind::user_defined1()).map_err(failed)?;
    let mut pause = signal(SignalKind::user_defined2()).map_err(failed)?;
    let mut resume = signal(SignalKind::from_raw(nix::sys::signal::Signal::SIGCONT as i32)).map_err(failed)?;
    let stop = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {
                    tracing::info!("TERM: stopping; jobs may finish");
                    stop.gracefully();
                }
                _ = interrupt.recv() => {
                    tracing::info!("INT: stopping; jobs may finish (QUIT, Ctrl-\\, ends them now)");
                    stop.gracefully();
                }
                _ = end.recv() => {
                    tracing::warn!("USR1: ending the jobs that run; they are given back");
                    stop.end_jobs();
                }
                _ = pause.recv() => {
                    tracing::info!("USR2: no new jobs until CONT");
                    stop.pause();
                }
                // Also what a process gets that was frozen.
                _ = resume.recv() => stop.resume(),
                _ = quit.recv() => {
                    tracing::warn!("QUIT: stopping at once; jobs are given back");
                    stop.at_once();
                }
            }
        }
    });
    Ok(())
}
