//! Whether this machine's clock agrees with the services'.

use super::report::Steps;

/// Beyond this, tokens that were just made are refused, and so are fresh signatures with tight tolerances.
const WARN_ABOVE_SECONDS: f64 = 60.0;

/// `skews`: the service, and how many seconds we are ahead of it.
pub(super) fn examine(skews: &[(&'static str, f64)]) -> Steps {
    let mut steps = Steps::of("clock");
    for (service, ahead) in skews {
        let direction = if *ahead < 0.0 { "behind" } else { "ahead of" };
        let found = format!("{:.1} s {direction} {service}", ahead.abs());
        if ahead.abs() > WARN_ABOVE_SECONDS {
            let advice = "Set this machine's clock (NTP): tokens and signatures are refused when times disagree";
            steps.warn("skew", found, advice);
        } else {
            steps.ok("skew", found);
        }
    }
    if skews.is_empty() {
        steps.skip("skew", "no service told the time: only Cosmos DB and Blob Storage do");
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Outcome;

    #[test]
    fn a_clock_that_is_minutes_off_is_told_with_its_direction() {
        let steps = examine(&[("Cosmos DB", -90.0), ("Blob Storage", 0.4)]).steps;
        assert_eq!((steps[0].outcome, steps[0].found.as_str()), (Outcome::Warn, "90.0 s behind Cosmos DB"));
        assert_eq!((steps[1].outcome, steps[1].found.as_str()), (Outcome::Ok, "0.4 s ahead of Blob Storage"));
    }
}
