//! Where the next claim looks: a pure decision from what earlier claims saw.
//!
//! Claims begin where the last full one ended ([`Mark`]), since a transaction held open anywhere leaves dead index
//! entries before that. But jobs come back with lower keys too: released ones, late commits, higher priorities. So now
//! and then a claim looks from the start, as often as that costs at most a twentieth of the time.

use super::config::QueueOrder;
use gritstone_store::{COMMANDS_QUEUE, ClaimedJob, Commands, Mark, RAILS_COMMANDS, Selection, Selector};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A look from the start may take one part in so many of the time.
const SHARE: u32 = 20;

/// The longest that a look from the start has to wait for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How long claims pass over jobs of class `Command` once one was met that may not be run here.
const PASS_OVER: Duration = Duration::from_secs(60);

/// How long a worker goes by the names and pauses that it once looked up, while it finds work under them.
const NAMES_AGE: Duration = Duration::from_secs(1);

/// A look-up of names that takes no longer than this is made whenever there is reason to. One that takes longer walks over dead
/// entries, as a look from the start does, and is rationed like it.
const QUICK_LOOKUP: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Plan {
    selectors: Vec<Selector>,
    order: QueueOrder,
    /// Whether jobs of class `Command` may be claimed.
    commands: bool,
    /// Until when they are passed over.
    pass_over_until: Option<Instant>,
    /// Every queue, in no order of their names: those are looked up only while one is paused.
    any_queue: bool,
    /// When pauses were last looked up, for that.
    pauses_known: Option<Instant>,
    /// What the selectors stand for, once looked up.
    names: Option<Names>,
    /// True when a queue is paused or excluded, so that "any queue" would step over its backlog.
    by_name: bool,
    any_mark: Mark,
    marks: HashMap<String, Mark>,
    /// When a look from the start is next allowed.
    start_allowed: Instant,
    /// Whether the claim under way looks from the start.
    from_start: bool,
    turn: usize,
}

/// Queues by name, in the order of the selectors.
#[derive(Debug)]
struct Names {
    queues: Vec<String>,
    looked_up: Instant,
    /// When looking again is next allowed.
    again_allowed: Instant,
    /// There may be a queue that is not among them.
    stale: bool,
}

impl Plan {
    pub(super) fn new(selectors: Vec<Selector>, order: QueueOrder, commands: bool, now: Instant) -> Self {
        let only_all = selectors.iter().all(|selector| *selector == Selector::All);
        let any_queue = only_all && order == QueueOrder::Listed;
        Plan {
            any_queue,
            by_name: !any_queue,
            selectors,
            order,
            commands,
            pass_over_until: None,
            pauses_known: None,
            names: None,
            any_mark: Mark::START,
            marks: HashMap::new(),
            start_allowed: now,
            from_start: true,
            turn: 0,
        }
    }

    /// True when it must be looked up whether any queue is paused. The names of all queues, which are dear where there are
    /// millions of dead entries, matter only then.
    pub(super) fn needs_pauses(&self, now: Instant) -> bool {
        self.any_queue && self.pauses_known.is_none_or(|known| now.duration_since(known) >= NAMES_AGE)
    }

    /// What that look-up found. True when it changes what is served.
    pub(super) fn note_pauses(&mut self, any_paused: bool, now: Instant) -> bool {
        let changed = self.by_name != any_paused;
        self.by_name = any_paused;
        self.pauses_known = Some(now);
        if !any_paused {
            self.names = None;
        }
        changed
    }

    /// True when the names behind the selectors must be looked up before the next claim.
    pub(super) fn needs_names(&self, now: Instant) -> bool {
        self.by_name
            && self.names.as_ref().is_none_or(|names| {
                now >= names.again_allowed && (names.stale || now.duration_since(names.looked_up) >= NAMES_AGE)
            })
    }

    /// What there is to look up.
    pub(super) fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// What that look-up found, and how long it took. True when it changes what is served.
    pub(super) fn note_names(&mut self, mut queues: Vec<String>, took: Duration, now: Instant) -> bool {
        queues.retain(|name| Selector::any_serves(&self.selectors, name, self.commands));
        let wait = if took > QUICK_LOOKUP { (took * SHARE).min(LONGEST_WAIT) } else { Duration::ZERO };
        self.marks.retain(|queue, _| queues.contains(queue));
        let changed = self.names.as_ref().is_none_or(|names| names.queues != queues);
        self.names = Some(Names { queues, looked_up: now, again_allowed: now + wait, stale: false });
        changed
    }

    /// Whoever enqueued says that there is work: it may be of a queue not seen yet, or of a lower key.
    pub(super) fn woken(&mut self) {
        let wildcard = self.selectors.iter().any(|s| matches!(s, Selector::All | Selector::Prefix(_)));
        if let Some(names) = self.names.as_mut().filter(|_| wildcard) {
            names.stale = true;
        }
    }

    /// What the next claim looks at; `shuffle` is a random number.
    pub(super) fn selection(&mut self, now: Instant, shuffle: u64) -> Selection {
        let anywhere_marked = self.any_mark != Mark::START || !self.marks.is_empty();
        self.from_start = !anywhere_marked || now >= self.start_allowed;
        let from_start = self.from_start;
        if !self.by_name {
            let mark = if from_start { Mark::START } else { self.any_mark };
            let mut excluded = vec![RAILS_COMMANDS.to_owned()];
            excluded.extend((!self.commands).then(|| COMMANDS_QUEUE.to_owned()));
            return Selection::Any { excluded, mark };
        }
        let names: &[String] = self.names.as_ref().map_or(&[], |names| &names.queues);
        let marked = |name: &String| {
            let mark = if from_start { None } else { self.marks.get(name).copied() };
            (name.clone(), mark.unwrap_or(Mark::START))
        };
        let mut queues: Vec<(String, Mark)> = names.iter().map(marked).collect();
        match self.order {
            QueueOrder::Listed => {}
            QueueOrder::RoundRobin if !queues.is_empty() => {
                let by = self.turn % queues.len();
                queues.rotate_left(by);
                self.turn = self.turn.wrapping_add(1);
            }
            QueueOrder::RoundRobin => {}
            QueueOrder::Shuffled => shuffle_by(&mut queues, shuffle),
        }
        Selection::Queues(queues)
    }

    /// What the next claim does about jobs of class `Command`, wherever they lie.
    pub(super) fn commands(&self, now: Instant) -> Commands {
        match self.pass_over_until {
            _ if self.commands => Commands::Take,
            Some(until) if now < until => Commands::PassOver,
            _ => Commands::Leave,
        }
    }

    /// A claim met some that may not be run here. True when that is news.
    pub(super) fn met_commands(&mut self, now: Instant) -> bool {
        self.pass_over_until.replace(now + PASS_OVER).is_none()
    }

    /// Learns from a claim. True when another one is worth making at once.
    pub(super) fn claimed(&mut self, jobs: &[ClaimedJob], asked: u32, took: Duration, now: Instant) -> bool {
        if self.from_start {
            // Not sooner than this, whatever the look found: the share is a promise about load. But a look that took long for
            // another reason, a lock, a server that was away, must not keep lower keys waiting.
            self.start_allowed = now + (took * SHARE).min(LONGEST_WAIT);
        }
        for job in jobs {
            let mark = Mark { priority: job.priority, job_id: job.job_id };
            if !self.by_name {
                self.any_mark = if self.from_start { mark } else { self.any_mark.max(mark) };
            } else {
                self.marks.insert(job.queue.clone(), mark);
            }
        }
        if jobs.len() >= asked as usize {
            return true;
        }
        // Beyond the marks there is nothing left; what there may be lies before them. They stay: where dead entries make a look from
        // the start slow, an idle worker must not make one at each poll.
        !self.from_start && now >= self.start_allowed
    }
}

/// A permutation of the items, drawn from one random number.
fn shuffle_by<T>(items: &mut [T], mut random: u64) {
    for last in (1..items.len()).rev() {
        let other = (random % (last as u64 + 1)) as usize;
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        items.swap(last, other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(queue: &str, priority: i32, job_id: i64) -> ClaimedJob {
        ClaimedJob {
            claim_id: job_id,
            job_id,
            queue: queue.into(),
            class: "A".into(),
            priority,
            envelope: None,
            active_job_id: None,
            scheduled_at: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            concurrency_key: None,
            interruptions: 0,
            attempts: None,
        }
    }

    fn mark_of(selection: Selection) -> Mark {
        match selection {
            Selection::Any { mark, .. } => mark,
            Selection::Queues(queues) => queues[0].1,
            Selection::Rows(_) => Mark::START,
        }
    }

    #[test]
    fn after_a_full_claim_the_next_one_goes_on_where_it_ended() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, now);
        assert_eq!(mark_of(plan.selection(now, 0)), Mark::START);
        assert!(plan.claimed(&[job("a", 0, 7)], 1, Duration::from_millis(1), now));
        assert_eq!(mark_of(plan.selection(now, 0)), Mark { priority: 0, job_id: 7 });
    }

    #[test]
    fn looking_from_the_start_takes_a_twentieth_of_the_time() {
        let start = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, start);
        plan.selection(start, 0);
        plan.claimed(&[job("a", 0, 7)], 1, Duration::from_millis(10), start);
        let before = start + Duration::from_millis(199);
        assert_ne!(mark_of(plan.selection(before, 0)), Mark::START);
        let after = start + Duration::from_millis(200);
        assert_eq!(mark_of(plan.selection(after, 0)), Mark::START);
    }

    #[test]
    fn a_short_claim_behind_a_mark_is_followed_by_one_from_the_start() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, now);
        plan.selection(now, 0);
        plan.claimed(&[job("a", 0, 7)], 1, Duration::from_millis(1), now);
        plan.selection(now, 0);
        let later = now + Duration::from_millis(20);
        assert!(plan.claimed(&[], 1, Duration::from_millis(1), later), "something may lie before the mark");
        assert_eq!(mark_of(plan.selection(later, 0)), Mark::START);
        assert!(!plan.claimed(&[], 1, Duration::from_millis(1), later));
    }

    #[test]
    fn an_idle_worker_looks_from_the_start_as_seldom_as_a_busy_one() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, now);
        plan.selection(now, 0);
        plan.claimed(&[job("a", 0, 7)], 2, Duration::from_millis(400), now);
        let before = now + Duration::from_millis(7_900);
        assert_eq!(mark_of(plan.selection(before, 0)), Mark { priority: 0, job_id: 7 });
        assert!(!plan.claimed(&[], 2, Duration::from_millis(1), before));
        let after = now + Duration::from_millis(8_000);
        assert_eq!(mark_of(plan.selection(after, 0)), Mark::START);
        plan.claimed(&[], 2, Duration::from_secs(60), after);
        assert_eq!(mark_of(plan.selection(after + Duration::from_secs(10), 0)), Mark::START, "ten seconds at most");
    }

    #[test]
    fn round_robin_starts_one_further_each_time() {
        let now = Instant::now();
        let exact = |name: &str| Selector::Exact(name.into());
        let mut plan = Plan::new(vec![exact("a"), exact("b")], QueueOrder::RoundRobin, false, now);
        plan.note_names(vec!["a".into(), "b".into()], Duration::ZERO, now);
        let first = |plan: &mut Plan| match plan.selection(now, 0) {
            Selection::Queues(queues) => queues[0].0.clone(),
            _ => String::new(),
        };
        assert_eq!([first(&mut plan), first(&mut plan), first(&mut plan)], ["a", "b", "a"]);
    }

    #[test]
    fn names_of_all_queues_are_looked_up_only_while_one_is_paused() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, now);
        assert!(plan.needs_pauses(now) && !plan.needs_names(now));
        plan.note_pauses(true, now);
        assert!(!plan.needs_pauses(now) && plan.needs_names(now));
        plan.note_names(vec!["a".into()], Duration::ZERO, now);
        assert!(matches!(plan.selection(now, 0), Selection::Queues(_)));
        let later = now + NAMES_AGE;
        assert!(plan.needs_pauses(later) && plan.needs_names(later));
        plan.note_pauses(false, later);
        assert!(!plan.needs_names(later));
        assert!(matches!(plan.selection(later, 0), Selection::Any { .. }));
    }

    #[test]
    fn a_queue_that_is_new_is_looked_for_at_once_when_looking_is_cheap_and_seldom_when_it_is_dear() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::Prefix("mail".into())], QueueOrder::Listed, false, now);
        plan.note_names(vec!["mail".into()], Duration::from_millis(1), now);
        assert!(!plan.needs_names(now));
        plan.woken();
        assert!(plan.needs_names(now));
        plan.note_names(vec!["mail".into()], Duration::from_millis(250), now);
        plan.woken();
        assert!(!plan.needs_names(now + Duration::from_millis(4_999)));
        assert!(plan.needs_names(now + Duration::from_millis(5_000)));
        plan.note_names(vec!["mail".into()], Duration::from_secs(60), now);
        assert!(plan.needs_names(now + LONGEST_WAIT), "ten seconds at most");
    }

    #[test]
    fn commands_are_for_those_that_may_run_them() {
        let now = Instant::now();
        let excluded =
            |commands| match Plan::new(vec![Selector::All], QueueOrder::Listed, commands, now).selection(now, 0) {
                Selection::Any { excluded, .. } => excluded,
                _ => Vec::new(),
            };
        assert_eq!(excluded(false), [RAILS_COMMANDS, COMMANDS_QUEUE]);
        assert_eq!(excluded(true), [RAILS_COMMANDS]);
        let names = |list: &[&str], commands| {
            let selectors = list.iter().map(|text| Selector::from(*text)).collect();
            let mut plan = Plan::new(selectors, QueueOrder::RoundRobin, commands, now);
            plan.note_names(vec!["a".into(), COMMANDS_QUEUE.into()], Duration::ZERO, now);
            plan.names.map(|names| names.queues).unwrap()
        };
        assert_eq!(names(&["*"], false), ["a"]);
        assert_eq!(names(&["*"], true), ["a", COMMANDS_QUEUE]);
        assert_eq!(names(&["*", COMMANDS_QUEUE], false), ["a", COMMANDS_QUEUE]);
    }

    #[test]
    fn commands_that_were_met_are_passed_over_for_a_minute() {
        let now = Instant::now();
        let mut plan = Plan::new(vec![Selector::All], QueueOrder::Listed, false, now);
        assert_eq!(plan.commands(now), Commands::Leave);
        assert!(plan.met_commands(now));
        assert_eq!(plan.commands(now + Duration::from_secs(59)), Commands::PassOver);
        let later = now + PASS_OVER;
        assert_eq!(plan.commands(later), Commands::Leave, "they may be gone");
        assert!(!plan.met_commands(later), "said once");
        assert_eq!(plan.commands(later), Commands::PassOver);
        let allowed = Plan::new(vec![Selector::All], QueueOrder::Listed, true, now);
        assert_eq!(allowed.commands(now), Commands::Take);
    }
}
