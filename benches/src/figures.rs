//! Medians, spreads and ratios.

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
}

/// Prints pairs measured one after the other, and the ratio within each pair, which is what a noisy machine leaves comparable.
pub(crate) fn print_pairs(title: &str, unit: &str, pairs: &[(f64, f64)]) {
    let raw = Figures::new(pairs.iter().map(|(raw, _)| *raw).collect());
    let ours = Figures::new(pairs.iter().map(|(_, ours)| *ours).collect());
    let ratio = Figures::new(pairs.iter().map(|(raw, ours)| ours / raw).collect());
    println!("{title}: {} pairs", pairs.len());
    println!("  raw SQL    {:>9.0} {unit} (min {:.0}, max {:.0})", raw.median(), raw.min(), raw.max());
    println!("  gritstone  {:>9.0} {unit} (min {:.0}, max {:.0})", ours.median(), ours.min(), ours.max());
    println!("  ratio      {:>9.2} (min {:.2}, max {:.2})", ratio.median(), ratio.min(), ratio.max());
}
