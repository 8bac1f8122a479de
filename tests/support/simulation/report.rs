//! What was seen of a storm.

/// How a call ended, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// In time, with an answer.
    Good,
    /// The policy turned it away.
    Rejected,
    /// The service failed it.
    Failed,
    /// The caller left while it was served.
    Late,
    /// The caller left while it waited for a permit.
    LeftQueue,
}

/// One call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    /// When, in seconds.
    pub(crate) at: f64,
    pub(crate) ending: Ending,
    /// Since it arrived, in seconds.
    pub(crate) latency: f64,
    /// How long a worker worked at it, in seconds.
    pub(crate) work: f64,
    /// Which callers it is of.
    pub(crate) callers: usize,
}

/// How it stood at some moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: f64,
    pub(crate) limit: usize,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) arrivals: u64,
    pub(crate) ended: Vec<Ended>,
    pub(crate) samples: Vec<Sample>,
    /// The most calls that were ever within the service.
    pub(crate) most_in_flight: usize,
    /// A number that differs if anything does.
    pub(crate) fingerprint: u64,
}

/// A part of a report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View<'a> {
    report: &'a Report,
    from: f64,
    to: f64,
    callers: Option<usize>,
}

impl Report {
    /// What ended between these seconds.
    pub(crate) fn between(&self, from: f64, to: f64) -> View<'_> {
        View {
            report: self,
            from,
            to,
            callers: None,
        }
    }

    /// This call has ended.
    pub(crate) fn end(&mut self, serial: u64, ended: Ended) {
        for number in [serial, ended.at.to_bits(), ended.latency.to_bits()] {
            self.fingerprint = (self.fingerprint.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        }
        self.ended.push(ended);
    }
}

impl View<'_> {
    /// Of these callers alone.
    pub(crate) fn of(mut self, callers: usize) -> Self {
        self.callers = Some(callers);
        self
    }

    fn ended(&self) -> impl Iterator<Item = &Ended> {
        let first = self.report.ended.partition_point(|ended| ended.at < self.from);
        let last = self.report.ended.partition_point(|ended| ended.at < self.to);
        let ended = self.report.ended[first..last.max(first)].iter();
        ended.filter(|ended| self.callers.is_none_or(|callers| ended.callers == callers))
    }

    pub(crate) fn count(&self, ending: Ending) -> usize {
        self.ended().filter(|ended| ended.ending == ending).count()
    }

    /// The part of all that ended.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn part(&self, ending: Ending) -> f64 {
        self.count(ending) as f64 / self.ended().count().max(1) as f64
    }

    /// Good answers a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn rate(&self) -> f64 {
        self.count(Ending::Good) as f64 / (self.to - self.from)
    }

    /// The part of all the time of so many workers that went into answers that were in time. Unlike their number, it does not
    /// depend on whether the calls happened to be long or short.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn goodput(&self, workers: usize) -> f64 {
        let good = self.ended().filter(|ended| ended.ending == Ending::Good);
        good.map(|ended| ended.work).sum::<f64>() / (workers as f64 * (self.to - self.from))
    }

    /// The latency, from arrival to head, that this part of the good answers had at most.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a simulation"
    )]
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        let good = self.ended().filter(|ended| ended.ending == Ending::Good);
        let mut latencies: Vec<f64> = good.map(|ended| ended.latency).collect();
        if latencies.is_empty() {
            return f64::NAN;
        }
        let place = ((latencies.len() as f64 * part) as usize).min(latencies.len() - 1);
        *latencies.select_nth_unstable_by(place, f64::total_cmp).1
    }

    /// The mean of the limit.
    #[expect(clippy::cast_precision_loss, reason = "counts of a simulation")]
    pub(crate) fn limit(&self) -> f64 {
        let samples = self.report.samples.iter();
        let limits = samples.filter(|sample| (self.from..self.to).contains(&sample.at));
        let (sum, count) = limits.fold((0.0, 0.0), |(sum, count), sample| {
            (sum + sample.limit as f64, count + 1.0)
        });
        sum / count
    }

    /// Seconds from the beginning until the limit, in the mean of half a second, stays near what it comes to in the end: within half
    /// of that, or 2.
    pub(crate) fn settled(&self) -> f64 {
        let home = Self {
            from: f64::midpoint(self.from, self.to),
            ..*self
        }
        .limit();
        let far = |limit: f64| (limit - home).abs() > (0.5 * home).max(2.0);
        let mut settled = 0.0;
        let mut from = self.from;
        while from + 0.5 < (self.from + 10.0).min(self.to) {
            if far(Self {
                from,
                to: from + 0.5,
                ..*self
            }
            .limit())
            {
                settled = from + 0.5 - self.from;
            }
            from += 0.1;
        }
        settled
    }
}
