use super::{Limit, Window};

/// A limit that stays as it was set: the law of who knows better, or wants to be sure.
///
/// By Little's law a service of `rate` calls a second that take `latency` seconds each has `rate * latency` of them in
/// flight. A limit somewhat above what it has at its best rate lets it work at that rate and no further.
///
/// 0 rejects all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fixed(pub usize);

impl Limit for Fixed {
    fn limit(&self) -> usize {
        self.0
    }

    fn update(&mut self, _: &Window<'_>) {}
}

#[cfg(test)]
mod tests {
    use super::{super::tests::window, *};

    #[test]
    fn it_stays() {
        let mut law = Fixed(7);
        law.update(&window(1_000.0, 1.0).rejecting(1_000.0).window());
        assert_eq!(law.limit(), 7);
    }
}
