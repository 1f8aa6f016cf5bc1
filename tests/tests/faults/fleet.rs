//! Everything that runs on a site while things are killed.

use gritstone_tests::rig::{Running, Signal, Site, processes, until};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

/// A process and how to start it again.
struct Member {
    running: Running,
    start: fn(&Site) -> Running,
}

/// A supervisor with child processes, a supervisor with everything inside, a worker and a dispatcher on their own: three
/// workers and three dispatchers in all.
pub struct Fleet<'s> {
    site: &'s Site,
    members: Vec<Member>,
}

/// What a kill is aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Whatever process a worker is in, at a moment when it holds jobs.
    Worker,
    Dispatcher,
    Supervisor,
}

const FORKS: usize = 0;

impl<'s> Fleet<'s> {
    pub fn start(site: &'s Site) -> Fleet<'s> {
        let starts: [fn(&Site) -> Running; 4] =
            [|site| site.start("fork"), |site| site.start("async"), Site::work, Site::dispatch];
        Fleet { site, members: starts.map(|start| Member { running: start(site), start }).into() }
    }

    /// Starts again what has ended. A supervisor's children are its own business.
    pub fn tend(&mut self) {
        for member in &mut self.members {
            if member.running.ended().is_some() {
                member.running = (member.start)(self.site);
            }
        }
    }

    /// Kills one process; how many jobs it held at that moment. None when there was nothing to aim at.
    pub async fn kill(&mut self, aim: Aim, random: &mut StdRng) -> Option<i64> {
        match aim {
            Aim::Worker => self.kill_a_worker(random).await,
            Aim::Dispatcher => self.kill_listed("Dispatcher", random).await,
            Aim::Supervisor => {
                let running = &mut self.members[FORKS].running;
                running.kill().await;
                Some(0)
            }
        }
    }

    async fn kill_a_worker(&self, random: &mut StdRng) -> Option<i64> {
        let holders = "select p.pid from solid_queue_processes p where p.kind = 'Worker' and exists \
                       (select 1 from solid_queue_claimed_executions c where c.process_id = p.id)";
        let pid = self.choose(holders, random).await?;
        // Frozen first: what it is seen to hold, it then still holds when it is killed.
        processes::send(pid, Signal::SIGSTOP);
        until("the victim is frozen", async || (processes::is_frozen(pid) || !processes::is_alive(pid)).then_some(()))
            .await;
        let held = self.claims_of(pid).await;
        if held == 0 {
            processes::send(pid, Signal::SIGCONT);
            return None;
        }
        self.finish_off(pid).await;
        Some(held)
    }

    async fn kill_listed(&self, kind: &str, random: &mut StdRng) -> Option<i64> {
        let pid = self.choose(&format!("select pid from solid_queue_processes where kind = '{kind}'"), random).await?;
        let held = self.claims_of(pid).await;
        self.finish_off(pid).await;
        Some(held)
    }

    /// One of these processes, that really is one of ours: the list may still name one that was killed a moment ago.
    async fn choose(&self, sql: &str, random: &mut impl Rng) -> Option<i32> {
        let rows = self.site.rows(sql).await;
        let pids = rows.iter().filter_map(|row| row[0].parse::<i32>().ok());
        let ours: Vec<i32> = pids
            .filter(|pid| processes::is_alive(*pid) && processes::has_in_environment(*pid, &self.site.url))
            .collect();
        ours.choose(random).copied()
    }

    async fn claims_of(&self, pid: i32) -> i64 {
        let sql = format!(
            "select count(*) from solid_queue_claimed_executions c join solid_queue_processes p on p.id = c.process_id \
             where p.pid = {pid}"
        );
        self.site.int(&sql).await
    }

    async fn finish_off(&self, pid: i32) {
        processes::send(pid, Signal::SIGKILL);
        until("the victim is dead", async || (!processes::is_alive(pid)).then_some(())).await;
    }

    /// Waits until the list of processes names the living and nobody else, then stops everything in order.
    pub async fn stop(mut self) {
        self.tend();
        until("only the living are listed", async || {
            let rows = self.site.rows("select pid from solid_queue_processes").await;
            let alive = |row: &Vec<String>| row[0].parse().is_ok_and(processes::is_alive);
            rows.iter().all(alive).then_some(())
        })
        .await;
        for member in &mut self.members {
            member.running.signal(Signal::SIGTERM);
        }
        for member in &mut self.members {
            let status = member.running.end().await;
            assert!(status.success(), "{status}\n{}", member.running.log());
        }
        // Children of a supervisor that was killed may still be on their way out.
        until("everybody has left the list", async || (self.site.count("processes").await == 0).then_some(())).await;
    }
}
