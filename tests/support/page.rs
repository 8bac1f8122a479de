//! A page in Prometheus' text format, read as Prometheus would.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};

use prometheus_parse::{LineInfo, SampleType, Scrape, Value};

/// A scraped page, each line of which means something.
#[derive(Debug)]
pub(crate) struct Page {
    scrape: Scrape,
    types: BTreeMap<String, SampleType>,
}

impl Page {
    pub(crate) fn parse(text: &str) -> Self {
        let mut types = BTreeMap::new();
        for line in text.lines() {
            match LineInfo::parse(line) {
                LineInfo::Ignored => panic!("{line:?} is not a line of Prometheus' format"),
                LineInfo::Type {
                    metric_name,
                    metric_alias,
                    sample_type,
                } => {
                    let name = metric_alias.unwrap_or(metric_name);
                    assert!(
                        types.insert(name.clone(), sample_type).is_none(),
                        "{name} has two types"
                    );
                }
                _ => {}
            }
        }
        let lines = text.lines().map(|line| Ok(line.to_owned()));
        Self {
            scrape: Scrape::parse(lines).expect("a page"),
            types,
        }
    }

    /// The sum of all samples of this name that have these labels, whatever others they have. `None`: there is none.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let values = self.samples(name, labels).map(|value| match value {
            Value::Counter(value) | Value::Gauge(value) | Value::Untyped(value) => *value,
            Value::Histogram(_) | Value::Summary(_) => panic!("{name} is not a number: ask for its _count"),
        });
        values.reduce(|sum, value| sum + value)
    }

    /// Whether it has this sample, as the format writes one, summed up over the labels that this does not name.
    pub(crate) fn has(&self, sample: &str) -> bool {
        let mut sample = Scrape::parse([Ok(sample.to_owned())].into_iter())
            .expect("a sample")
            .samples;
        let sample = sample.pop().expect("a sample");
        let Value::Untyped(value) = sample.value else {
            panic!("{sample:?} has no type by itself");
        };
        let labels: Vec<_> = sample.labels.iter().map(|(key, value)| (&**key, &**value)).collect();
        self.value(&sample.metric, &labels) == Some(value)
    }

    /// The upper bounds of a histogram's buckets.
    pub(crate) fn bounds(&self, name: &str) -> Vec<f64> {
        let mut buckets = self.samples(name, &[]).filter_map(|value| match value {
            Value::Histogram(buckets) => Some(buckets.iter().map(|bucket| bucket.less_than).collect()),
            _ => None,
        });
        buckets.next().unwrap_or_default()
    }

    fn samples<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Value> {
        let samples = self.scrape.samples.iter().filter(move |sample| {
            let has = |(key, value): &(&str, &str)| sample.labels.get(key) == Some(value);
            sample.metric == name && labels.iter().all(has)
        });
        samples.map(|sample| &sample.value)
    }

    /// The names of all families, with what they are.
    pub(crate) fn types(&self) -> &BTreeMap<String, SampleType> {
        &self.types
    }

    /// What a family is said to mean.
    pub(crate) fn help(&self, family: &str) -> Option<&str> {
        self.scrape.docs.get(family).map(String::as_str)
    }

    /// All names under which a value can be asked for.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for sample in &self.scrape.samples {
            names.insert(sample.metric.clone());
            if matches!(sample.value, Value::Histogram(_)) {
                names.insert(format!("{}_bucket", sample.metric));
            }
        }
        names
    }

    /// The names of a family's labels, except those of the format's own.
    pub(crate) fn label_names(&self, family: &str) -> BTreeSet<String> {
        let parts = ["", "_sum", "_count"].map(|part| format!("{family}{part}"));
        let samples = self
            .scrape
            .samples
            .iter()
            .filter(|sample| parts.contains(&sample.metric));
        samples.flat_map(|sample| sample.labels.keys().cloned()).collect()
    }

    /// The values of each label, whatever the sample.
    pub(crate) fn labels(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (key, value) in self.scrape.samples.iter().flat_map(|sample| sample.labels.iter()) {
            all.entry(key.clone()).or_default().insert(value.clone());
        }
        all
    }
}
