//! A straight line through points, by least squares.

/// A slope with its standard error, in y per x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Slope {
    /// How steep.
    pub(crate) slope: f64,
    /// How sure: one standard error, if the points scatter independently.
    pub(crate) error: f64,
}

/// The line through points (x, y); `None` with fewer than three, or where all have the same x.
pub(crate) fn fit(points: &[(f64, f64)]) -> Option<Slope> {
    if points.len() < 3 {
        return None;
    }
    let count = as_f64(points.len());
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x_mean, y_mean) = (mean(|point| point.0), mean(|point| point.1));
    let xx: f64 = points.iter().map(|(x, _)| (x - x_mean).powi(2)).sum();
    let xy: f64 = points.iter().map(|(x, y)| (x - x_mean) * (y - y_mean)).sum();
    if xx <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    let residuals: f64 = points.iter().map(|(x, y)| (y - y_mean - slope * (x - x_mean)).powi(2)).sum();
    Some(Slope { slope, error: (residuals / (count - 2.0) / xx).sqrt() })
}

/// The means of y over every whole unit of x, at its middle. What comes close together is no independent evidence.
pub(crate) fn by_unit(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut units: std::collections::BTreeMap<u64, (f64, f64)> = std::collections::BTreeMap::new();
    for &(x, y) in points {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "minutes since the beginning")]
        let unit = units.entry(x.max(0.0) as u64).or_default();
        *unit = (unit.0 + y, unit.1 + 1.0);
    }
    #[allow(clippy::cast_precision_loss, reason = "minutes since the beginning")]
    units.into_iter().map(|(unit, (sum, count))| (unit as f64 + 0.5, sum / count)).collect()
}

/// A number of things, for arithmetic.
#[allow(clippy::cast_precision_loss, reason = "what is counted here is far below 2^52")]
pub(crate) fn as_f64(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_straight_line_is_found_without_error() {
        let points: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 + 2.0 * f64::from(x))).collect();
        let fit = fit(&points).unwrap();
        assert!((fit.slope - 2.0).abs() < 1e-9 && fit.error < 1e-9, "{fit:?}");
    }

    #[test]
    fn what_scatters_has_an_error_as_the_textbook_has_it() {
        // Worked by hand: xx = 5, xy = 1, residuals 0.8, so 0.2 with an error of sqrt(0.8 / 2 / 5).
        let fit = fit(&[(0.0, 0.0), (1.0, 1.0), (2.0, 0.0), (3.0, 1.0)]).unwrap();
        assert!((fit.slope - 0.2).abs() < 1e-9, "{fit:?}");
        assert!((fit.error - 0.4_f64.sqrt() / 5.0_f64.sqrt()).abs() < 1e-9, "{fit:?}");
    }

    #[test]
    fn there_is_no_line_through_too_little() {
        assert_eq!(fit(&[(0.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(fit(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }

    #[test]
    fn units_have_the_mean_of_what_falls_into_them() {
        assert_eq!(by_unit(&[(0.1, 1.0), (0.9, 3.0), (2.0, 5.0)]), [(0.5, 2.0), (2.5, 5.0)]);
    }
}
