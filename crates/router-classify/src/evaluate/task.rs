//! Accuracy, and whether confidence can be believed.

use std::fmt;

/// What a classifier said of a query, and what is true.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// The true label.
    pub truth: String,
    /// The label that was given.
    pub label: String,
    /// The confidence, from 0 to 1.
    pub confidence: f64,
}

/// How good predictions are. `Display` prints all of it.
#[derive(Debug, Clone)]
pub struct TaskEvaluation {
    labels: Vec<String>,
    /// Counts by true label, then given label.
    confusion: Vec<Vec<u32>>,
    /// Confidence and whether it was right, most confident first.
    ranked: Vec<(f64, bool)>,
}

/// The precision at which coverage is stated.
const PRECISION: f64 = 0.95;
/// Parts of the reliability table.
const BINS: usize = 10;

impl TaskEvaluation {
    /// Compares predictions with the truth.
    pub fn new(predictions: &[Prediction]) -> Self {
        let mut labels: Vec<String> =
            predictions.iter().flat_map(|p| [p.truth.clone(), p.label.clone()]).collect();
        labels.sort();
        labels.dedup();
        let position = |label: &str| labels.iter().position(|known| known == label);
        let mut confusion = vec![vec![0; labels.len()]; labels.len()];
        for Prediction { truth, label, .. } in predictions {
            let cell = position(truth).zip(position(label)).and_then(|(row, column)| {
                let row: &mut Vec<u32> = confusion.get_mut(row)?;
                row.get_mut(column)
            });
            if let Some(cell) = cell {
                *cell += 1;
            }
        }
        let mut ranked: Vec<(f64, bool)> =
            predictions.iter().map(|p| (p.confidence, p.truth == p.label)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self { labels, confusion, ranked }
    }

    /// Returns how many predictions there are.
    pub fn count(&self) -> usize {
        self.ranked.len()
    }

    /// Returns the share that is right.
    pub fn accuracy(&self) -> f64 {
        share(self.ranked.iter().filter(|(_, right)| *right).count(), self.count())
    }

    /// Returns the F1 score of each label, averaged over the labels.
    pub fn macro_f1(&self) -> f64 {
        let scores = self.labels.iter().enumerate().map(|(n, _)| {
            let right = f64::from(self.cell(n, n));
            let given: u32 = (0..self.labels.len()).map(|row| self.cell(row, n)).sum();
            let true_ones: u32 = (0..self.labels.len()).map(|column| self.cell(n, column)).sum();
            if given + true_ones == 0 { 0.0 } else { 2.0 * right / f64::from(given + true_ones) }
        });
        scores.sum::<f64>() / self.labels.len().max(1) as f64
    }

    fn cell(&self, row: usize, column: usize) -> u32 {
        self.confusion.get(row).and_then(|row| row.get(column)).copied().unwrap_or_default()
    }

    /// Returns the mean distance between confidence and accuracy, over ten bins of confidence.
    pub fn calibration_error(&self) -> f64 {
        let weighed =
            self.bins().into_iter().map(|bin| (bin.confidence - bin.accuracy).abs() * bin.count as f64);
        weighed.sum::<f64>() / self.count().max(1) as f64
    }

    /// Returns the largest share of queries that can be answered, most confident first, with 95 % of the answers right.
    pub fn coverage(&self) -> f64 {
        let mut right = 0_usize;
        let mut covered = 0;
        for ((_, is_right), n) in self.ranked.iter().zip(1..) {
            right += usize::from(*is_right);
            if share(right, n) >= PRECISION {
                covered = n;
            }
        }
        share(covered, self.count())
    }

    /// Returns the share of queries with at least this confidence, and the share of them that is right.
    pub fn at(&self, threshold: f64) -> (f64, f64) {
        let answered = self.ranked.partition_point(|(confidence, _)| *confidence >= threshold);
        let right = self.ranked.iter().take(answered).filter(|(_, right)| *right).count();
        (share(answered, self.count()), share(right, answered))
    }

    fn bins(&self) -> Vec<Bin> {
        let bounds = (0..BINS).map(|n| (n as f64 / BINS as f64, (n + 1) as f64 / BINS as f64));
        let bin = |(from, to): (f64, f64)| {
            // The last one holds 1, too.
            let inside =
                |confidence: f64| confidence >= from && (confidence < to || (to >= 1.0 && confidence <= 1.0));
            let items: Vec<&(f64, bool)> =
                self.ranked.iter().filter(|(confidence, _)| inside(*confidence)).collect();
            let confidence =
                items.iter().map(|(confidence, _)| confidence).sum::<f64>() / items.len().max(1) as f64;
            let accuracy = share(items.iter().filter(|(_, right)| *right).count(), items.len());
            Bin { from, to, count: items.len(), confidence, accuracy }
        };
        bounds.map(bin).filter(|bin| bin.count > 0).collect()
    }
}

/// A line of the reliability table.
struct Bin {
    from: f64,
    to: f64,
    count: usize,
    confidence: f64,
    accuracy: f64,
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl fmt::Display for TaskEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "queries                     {}", self.count())?;
        writeln!(f, "accuracy                    {:.3}", self.accuracy())?;
        writeln!(f, "macro-F1                    {:.3}", self.macro_f1())?;
        writeln!(f, "calibration error           {:.3}", self.calibration_error())?;
        writeln!(f, "coverage at 95 % precision  {:.3}", self.coverage())?;
        writeln!(f, "\nconfusion (rows: true, columns: given)")?;
        let width = self.labels.iter().map(|label| label.chars().count()).max().unwrap_or(0).max(8);
        write!(f, "{:width$}", "")?;
        for label in &self.labels {
            write!(f, " {label:>width$}")?;
        }
        writeln!(f)?;
        for (label, row) in self.labels.iter().zip(&self.confusion) {
            write!(f, "{label:width$}")?;
            for count in row {
                write!(f, " {count:>width$}")?;
            }
            writeln!(f)?;
        }
        writeln!(f, "\nconfidence   queries  mean confidence  accuracy")?;
        for Bin { from, to, count, confidence, accuracy } in self.bins() {
            writeln!(f, "{from:.1} to {to:.1} {count:>9} {confidence:>16.3} {accuracy:>9.3}")?;
        }
        writeln!(f, "\nthreshold  answered here  right of these")?;
        for threshold in [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99] {
            let (answered, right) = self.at(threshold);
            writeln!(f, "{threshold:<9} {answered:>14.3} {right:>15.3}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prediction(truth: &str, label: &str, confidence: f64) -> Prediction {
        Prediction { truth: truth.into(), label: label.into(), confidence }
    }

    #[test]
    fn the_measures_are_what_they_are_by_hand() {
        let evaluation = TaskEvaluation::new(&[
            prediction("a", "a", 0.9),
            prediction("a", "a", 0.8),
            prediction("a", "b", 0.6),
            prediction("b", "b", 0.7),
        ]);
        assert!((evaluation.accuracy() - 0.75).abs() < 1e-9);
        // a: 2·2/(2+3) = 0.8, b: 2·1/(2+1) = 0.667
        assert!((evaluation.macro_f1() - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-9);
        // |0.9-1| + |0.8-1| + |0.6-0| + |0.7-1|, over four
        assert!((evaluation.calibration_error() - 0.3).abs() < 1e-9);
        assert!((evaluation.coverage() - 0.75).abs() < 1e-9);
        assert_eq!(evaluation.at(0.75), (0.5, 1.0));
        let shown = evaluation.to_string();
        assert!(shown.contains("accuracy                    0.750"), "{shown}");
    }

    #[test]
    fn nothing_to_evaluate_is_no_panic() {
        assert!(TaskEvaluation::new(&[]).to_string().contains("queries                     0"));
    }
}
