/// The kinds of faults, as they are counted; and the mark, in its extensions, of an answer that one of them is.
///
/// On the wire such an answer is the upstream's own. Within this process, who must know asks
/// `response.extensions().get::<Injected>()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Injected {
    /// A request waited before it was handed on, or ended. Counted when it begins.
    Delay,
    /// An answer like the upstream's own.
    Abort,
    /// A rejection.
    Reject,
    /// A call broke off without an answer.
    Reset,
    /// The body of an answer broke off.
    ResetBody,
    /// The body of an answer was held up. Counted once for each, when it first waits.
    SlowBody,
}

impl Injected {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Delay,
        Self::Abort,
        Self::Reject,
        Self::Reset,
        Self::ResetBody,
        Self::SlowBody,
    ];

    /// The kind as a metric's attribute has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Abort => "abort",
            Self::Reject => "reject",
            Self::Reset => "reset",
            Self::ResetBody => "reset_body",
            Self::SlowBody => "slow_body",
        }
    }
}
