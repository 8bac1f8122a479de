use std::fmt;

use super::{
    Budget,
    account::Kind,
    grpc::Grpc,
    level::Terms,
    ratio::{MOST_BURST, Ratio},
};

/// How a [`Budget`] is set. See [`Budget::builder`].
///
/// ```
/// use buttress::budget::{Budget, InvalidBudget};
///
/// let budget = Budget::builder().ratio(0.2).min_per_second(5.0).burst(20).build()?;
/// # assert_eq!(budget.snapshot().granted, 0);
/// assert_eq!(Budget::builder().ratio(20.0).build().unwrap_err(), InvalidBudget::Ratio); // 20 % is 0.2
/// # Ok::<(), InvalidBudget>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder does nothing until it is built"]
pub struct BudgetBuilder {
    ratio: f64,
    min_per_second: f64,
    burst: u32,
}

/// Why there is no such budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// A ratio that is not between 0 and 1.
    Ratio,
    /// A `min_per_second` that is not between 0 and 1,000.
    MinPerSecond,
    /// A burst of more than 1,000.
    Burst,
    /// gRPC's `maxTokens` not between 1 and 1,000.
    MaxTokens,
    /// gRPC's `tokenRatio` below a thousandth, or no number.
    TokenRatio,
}

impl BudgetBuilder {
    pub(super) const fn new() -> Self {
        Self {
            ratio: 0.1,
            min_per_second: 1.0,
            burst: 10,
        }
    }

    /// How many attempts more each request pays for: 0.1 unless set, from 0 to 1. 0.6 is 60 %.
    pub const fn ratio(mut self, ratio: f64) -> Self {
        self.ratio = ratio;
        self
    }

    /// How many attempts more there may be in a second however few requests there are: 1 unless set, from 0 to 1,000.
    pub const fn min_per_second(mut self, min_per_second: f64) -> Self {
        self.min_per_second = min_per_second;
        self
    }

    /// How many attempts more there may be at once: 10 unless set, 1,000 at most. With 0 there are none.
    pub const fn burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// The budget.
    ///
    /// # Errors
    ///
    /// What is out of its bounds, or no number.
    pub fn build(self) -> Result<Budget, InvalidBudget> {
        if !(0.0..=1.0).contains(&self.ratio) {
            return Err(InvalidBudget::Ratio);
        }
        if !(0.0..=1_000.0).contains(&self.min_per_second) {
            return Err(InvalidBudget::MinPerSecond);
        }
        if self.burst > MOST_BURST {
            return Err(InvalidBudget::Burst);
        }
        Ok(self.within_bounds())
    }

    pub(super) fn within_bounds(self) -> Budget {
        let terms = Terms::of(self.ratio, self.min_per_second, self.burst);
        Budget::new(Kind::Ratio(Ratio::new(terms)))
    }
}

pub(super) fn grpc(max_tokens: f64, token_ratio: f64) -> Result<Budget, InvalidBudget> {
    if !(1.0..=1_000.0).contains(&max_tokens) {
        return Err(InvalidBudget::MaxTokens);
    }
    if !(0.001..=f64::MAX).contains(&token_ratio) {
        return Err(InvalidBudget::TokenRatio);
    }
    let ratio = thousandths(token_ratio.min(max_tokens));
    Ok(Budget::new(Kind::Grpc(Grpc::new(thousandths(max_tokens), ratio))))
}

/// Further digits are left out (gRFC A6), but for what is as near to the next as a float can be: 0.57 is 570.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is between a thousandth and a thousand"
)]
fn thousandths(number: f64) -> u64 {
    (number * 1_000.0 + 1e-6) as u64
}

impl fmt::Display for InvalidBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratio => "the ratio of a budget is between 0 and 1",
            Self::MinPerSecond => "the floor of a budget is between 0 and 1,000 per second",
            Self::Burst => "the burst of a budget is at most 1,000",
            Self::MaxTokens => "maxTokens is between 1 and 1,000",
            Self::TokenRatio => "tokenRatio is a thousandth at least",
        })
    }
}

impl std::error::Error for InvalidBudget {}
