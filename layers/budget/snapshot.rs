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
