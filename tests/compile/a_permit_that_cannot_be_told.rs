//! A policy whose permit does not learn the outcome.

use buttress::admission::{Admit, Arrival, Decision, Never};

struct Tag(&'static str);

struct Tagging;

impl Admit for Tagging {
    type Permit = Tag;
    type Wait = Never<Tag>;

    fn admit(&self, _: &Arrival<'_>) -> Decision<Tag, Never<Tag>> {
        Decision::Now(Tag("tagged"))
    }
}

fn main() {}
