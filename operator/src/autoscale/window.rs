//! The most of what was noted lately.

use std::collections::VecDeque;
use std::time::Duration;

/// Numbers with their times, of which only those are kept that can still become the most.
#[derive(Debug, Clone, Default)]
pub(super) struct Window(VecDeque<(Duration, u32)>);

impl Window {
    /// Notes a number, later than all before.
    pub(super) fn note(&mut self, at: Duration, number: u32) {
        while self.0.back().is_some_and(|(_, earlier)| *earlier <= number) {
            self.0.pop_back();
        }
        self.0.push_back((at, number));
    }

    /// The most that was noted within `span` before `now`; 0 when nothing was.
    pub(super) fn most(&mut self, now: Duration, span: Duration) -> u32 {
        while self.0.front().is_some_and(|(at, _)| now.saturating_sub(*at) > span) {
            self.0.pop_front();
        }
        self.0.front().map_or(0, |(_, number)| *number)
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_most_is_that_of_all_that_is_young_enough(noted in prop::collection::vec((0..20u64, 0..50u32), 1..100), span in 0..100u64) {
            let (mut window, mut all, mut now) = (Window::default(), Vec::new(), 0);
            for (wait, number) in noted {
                now += wait;
                window.note(Duration::from_secs(now), number);
                all.push((now, number));
                let expected = all.iter().filter(|(at, _)| now - at <= span).map(|(_, number)| *number).max();
                prop_assert_eq!(Some(window.most(Duration::from_secs(now), Duration::from_secs(span))), expected);
            }
        }
    }
}
