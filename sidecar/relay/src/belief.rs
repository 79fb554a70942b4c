//! What the code believes of its own state, and what happens where that is wrong.

/// A belief was wrong. Loud where faults are looked for (tests, fuzzing, every build with debug assertions); in a release the caller
/// goes on by the defence that it names, since a worker that stops would take all its calls with it.
#[cold]
#[track_caller]
pub(crate) fn broken(belief: &str) {
    debug_assert!(false, "what was believed is wrong: {belief}");
}

/// What an option holds, where it must hold something. It does not: that is loud ([`broken`]), and in a release the function returns,
/// with the value given if any.
macro_rules! sure {
    ($option:expr) => {
        $crate::belief::sure!($option, ())
    };
    ($option:expr, $or:expr) => {
        match $option {
            Some(held) => held,
            None => {
                $crate::belief::broken(stringify!($option));
                return $or;
            }
        }
    };
}

pub(crate) use sure;

#[cfg(test)]
mod tests {
    fn length(text: Option<&str>) -> usize {
        sure!(text, 0).len()
    }

    #[test]
    fn a_belief_that_holds_yields_its_value() {
        assert_eq!(length(Some("four")), 4);
    }

    #[test]
    #[should_panic(expected = "what was believed is wrong: text")]
    fn a_belief_that_is_wrong_is_loud() {
        length(None);
    }
}
