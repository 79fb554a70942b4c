//! Latencies in buckets whose width grows with the value: less than one per cent wide each.

use std::time::Duration;

/// Buckets to each power of two, as a power of two.
const STEPS_LOG2: u32 = 7;
const STEPS: u64 = 1 << STEPS_LOG2;

/// Counts of latencies.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; ((64 - STEPS_LOG2 + 1) as usize) << STEPS_LOG2], total: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub fn add(&mut self, latency: Duration) {
        let at = index(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
            self.total += 1;
        }
    }

    /// Adds another's counts.
    pub fn merge(&mut self, other: &Self) {
        for (own, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *own += theirs;
        }
        self.total += other.total;
    }

    /// The latency that `share` of all do not exceed, in microseconds; 0 when nothing was counted.
    pub fn quantile_us(&self, share: f64) -> f64 {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(at) as f64 / 1_000.0;
            }
        }
        0.0
    }
}

/// Below `STEPS` every value has its bucket; above, the highest bits choose it.
fn index(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let power = value.ilog2() - STEPS_LOG2;
    (((u64::from(power) + 1) << STEPS_LOG2) + ((value >> power) - STEPS)) as usize
}

fn middle(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let power = (index >> STEPS_LOG2) - 1;
    let low = (STEPS + (index & (STEPS - 1))) << power;
    low + (1 << power) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_quantiles_within_a_hundredth() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000_u64 {
            histogram.add(Duration::from_nanos(value * 100));
        }
        for (share, expected_us) in [(0.5, 5_000.0), (0.99, 9_900.0), (1.0, 10_000.0)] {
            let told = histogram.quantile_us(share);
            assert!((told - expected_us).abs() < expected_us / 100.0, "{share}: {told}");
        }
    }

    #[test]
    fn tells_nothing_of_nothing() {
        assert!(Histogram::default().quantile_us(0.5) < f64::EPSILON);
    }

    #[test]
    fn finds_a_bucket_for_the_longest_wait() {
        let mut histogram = Histogram::default();
        histogram.add(Duration::MAX);
        assert!(histogram.quantile_us(0.5) > 1e15);
    }
}
