use super::{Budget, Budgets};
use crate::telemetry::{ByDestination, Measured, Report, instruments};

/// How a [`Budget`](super::Budget) stands.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BudgetSnapshot {
    /// How many attempts more could start now, as far as the law tells. Of gRPC's: its tokens.
    pub tokens: Option<f64>,
    /// How many attempts more were paid for.
    pub granted: u64,
    /// How many were not.
    pub rejected: u64,
    /// How many were paid for and never sent.
    pub returned: u64,
}

impl BudgetSnapshot {
    fn measure(&self, target: &str, report: &mut dyn Report) {
        if let Some(tokens) = self.tokens {
            instruments::BUDGET_AVAILABLE.value(tokens, &[("target", target)], report);
        }
        for (decision, count) in [
            ("granted", self.granted),
            ("rejected", self.rejected),
            ("returned", self.returned),
        ] {
            instruments::BUDGET_DECISIONS.count(count, &[("target", target), ("decision", decision)], report);
        }
    }
}

impl Measured for Budget {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        self.snapshot().measure(name, report);
    }
}

impl Measured for ByDestination<&Budgets> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        for (target, budget) in self.0.snapshot() {
            budget.measure(target.as_deref().unwrap_or(name), report);
        }
    }
}

impl Measured for ByDestination<Budgets> {
    fn measure(&self, name: &str, report: &mut dyn Report) {
        ByDestination(&self.0).measure(name, report);
    }
}
