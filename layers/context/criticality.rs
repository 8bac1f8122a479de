use std::{error, fmt, str::FromStr};

/// How much a request matters when not all can be served, in the four steps of Google's SRE book, chapter 21, "Handling
/// Overload". Less critical sorts lower and is rejected first.
///
/// ```
/// use buttress::Criticality;
///
/// assert!(Criticality::Sheddable < Criticality::Critical);
/// assert_eq!("sheddable-plus".parse(), Ok(Criticality::SheddablePlus));
/// assert_eq!(Criticality::default(), Criticality::Critical);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// Its loss is expected now and then: work that can be done again at leisure.
    Sheddable,
    /// Partial loss is expected: batch work.
    SheddablePlus,
    /// Its loss is seen by users. The default.
    #[default]
    Critical,
    /// Its loss is a serious incident.
    CriticalPlus,
}

impl Criticality {
    /// From the least to the most critical.
    pub const ALL: [Self; 4] = [Self::Sheddable, Self::SheddablePlus, Self::Critical, Self::CriticalPlus];

    /// The name on the wire and in metrics: `sheddable`, `sheddable-plus`, `critical`, `critical-plus`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::SheddablePlus => "sheddable-plus",
            Self::Critical => "critical",
            Self::CriticalPlus => "critical-plus",
        }
    }
}

impl fmt::Display for Criticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reads the names of [`as_str`](Criticality::as_str), in any case.
impl FromStr for Criticality {
    type Err = UnknownCriticality;

    fn from_str(name: &str) -> Result<Self, UnknownCriticality> {
        Self::ALL
            .into_iter()
            .find(|step| step.as_str().eq_ignore_ascii_case(name))
            .ok_or(UnknownCriticality)
    }
}

/// The text names no [`Criticality`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCriticality;

impl fmt::Display for UnknownCriticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not one of sheddable, sheddable-plus, critical, critical-plus")
    }
}

impl error::Error for UnknownCriticality {}
