//! Medians, spreads and ratios, and the table of them that every measurement ends with.

/// Figures of one thing, measured several times.
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Figures(values)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    pub(crate) fn quantile(&self, q: f64) -> f64 {
        match self.0.len() {
            0 => f64::NAN,
            n => self.0[((n - 1) as f64 * q).round() as usize],
        }
    }

    pub(crate) fn min(&self) -> f64 {
        self.quantile(0.0)
    }

    pub(crate) fn max(&self) -> f64 {
        self.quantile(1.0)
    }

    /// Median, smallest and largest.
    fn spread(&self, figure: impl Fn(f64) -> String) -> String {
        format!("{} ({}-{})", figure(self.median()), figure(self.min()), figure(self.max()))
    }
}

/// What was measured, a row each, as `benches/RESULTS.md` has it.
#[derive(Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// Jobs a second of something else and of ours, pairs measured one after the other, and the ratio within each pair, which is what a
    /// noisy machine leaves comparable.
    pub(crate) fn rates(&mut self, what: &str, beside: &str, pairs: &[(f64, f64)]) {
        let other = Figures::new(pairs.iter().map(|(other, _)| *other).collect());
        let ours = Figures::new(pairs.iter().map(|(_, ours)| *ours).collect());
        let ratio = Figures::new(pairs.iter().map(|(other, ours)| ours / other).collect());
        self.0.push([
            format!("{what}; {} pairs", pairs.len()),
            format!("{beside}: {} jobs/s", other.spread(grouped)),
            format!("{} jobs/s", ours.spread(grouped)),
            ratio.spread(|ratio| if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }),
        ]);
    }

    /// A figure of ours that stands by itself.
    pub(crate) fn figure(&mut self, what: &str, ours: String) {
        self.0.push([what.to_owned(), String::new(), ours, String::new()]);
    }

    /// Prints all rows, the columns below one another.
    pub(crate) fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        let head = ["what", "beside", "Gritstone", "ratio (median of pairs, min-max)"].map(str::to_owned);
        let width = |column: usize| {
            let cells = std::iter::once(&head).chain(&self.0).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        };
        let widths = [width(0), width(1), width(2), width(3)];
        let line = |row: &[String; 4]| {
            let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            println!("| {} |", cells.join(" | "));
        };
        println!();
        line(&head);
        line(&widths.map(|width| "-".repeat(width)));
        self.0.iter().for_each(line);
    }
}

/// A whole number, with a comma between thousands.
fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let first = digits.len() % 3;
    let groups = (first..digits.len()).step_by(3).map(|at| &digits[at..at + 3]);
    digits.get(..first).filter(|rest| !rest.is_empty()).into_iter().chain(groups).collect::<Vec<_>>().join(",")
}
