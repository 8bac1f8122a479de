//! A subscriber that remembers each span, for the thread of one test.

#![allow(dead_code, reason = "each test binary uses its part")]

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer, Registry,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// What a span or an event says, by the names of its fields.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// A span as it was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) name: &'static str,
    /// The number of the span around it.
    pub(crate) parent: Option<usize>,
    pub(crate) fields: Fields,
    /// What was told in it, by its message, with its fields.
    pub(crate) events: Vec<String>,
    /// How often it was entered.
    pub(crate) entered: usize,
    pub(crate) is_within: bool,
    pub(crate) closed: usize,
}

/// All spans of this thread, and the events outside of them, from here to where it is dropped.
pub(crate) struct Spans {
    all: Arc<Mutex<All>>,
    _guard: DefaultGuard,
}

#[derive(Default)]
struct All {
    spans: Vec<Seen>,
    outside: Vec<String>,
}

impl Spans {
    pub(crate) fn listen() -> Self {
        let all = Arc::<Mutex<All>>::default();
        let subscriber = Registry::default().with(Remember(all.clone()));
        Self {
            all,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// All, in the order in which they were made.
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.all.lock().unwrap().spans.clone()
    }

    /// The only one, which must have ended as it should.
    pub(crate) fn only(&self) -> Seen {
        let mut all = self.all();
        assert_eq!(all.len(), 1, "{all:#?}");
        all[0].assert_over();
        all.remove(0)
    }

    pub(crate) fn outside(&self) -> Vec<String> {
        self.all.lock().unwrap().outside.clone()
    }
}

impl Seen {
    pub(crate) fn assert_over(&self) {
        assert_eq!((self.closed, self.is_within), (1, false), "{self:#?}");
    }

    /// A field, empty where it is absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

struct Remember(Arc<Mutex<All>>);

/// The number of a span.
struct Number(usize);

impl Remember {
    fn with<S, R>(&self, id: &Id, cx: &Context<'_, S>, look: impl FnOnce(&mut Seen) -> R) -> R
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let number = number(id, cx);
        look(&mut self.0.lock().unwrap().spans[number])
    }
}

fn number<S>(id: &Id, cx: &Context<'_, S>) -> usize
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    cx.span(id).unwrap().extensions().get::<Number>().unwrap().0
}

impl<S> Layer<S> for Remember
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let span = cx.span(id).unwrap();
        let mut seen = Seen {
            name: span.name(),
            parent: span.parent().map(|parent| number(&parent.id(), &cx)),
            ..Seen::default()
        };
        attributes.record(&mut Read(&mut seen.fields));
        let mut all = self.0.lock().unwrap();
        span.extensions_mut().insert(Number(all.spans.len()));
        all.spans.push(seen);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| values.record(&mut Read(&mut seen.fields)));
    }

    fn on_event(&self, event: &Event<'_>, cx: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Read(&mut fields));
        let message = fields.remove("message").unwrap_or_default();
        let says = fields
            .iter()
            .fold(message, |said, (name, value)| said + &format!(" {name}={value}"));
        match cx.event_span(event) {
            Some(span) => self.with(&span.id(), &cx, |seen| seen.events.push(says)),
            None => self.0.lock().unwrap().outside.push(says),
        }
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| {
            seen.entered += 1;
            seen.is_within = true;
        });
    }

    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        self.with(id, &cx, |seen| seen.is_within = false);
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        self.with(&id, &cx, |seen| seen.closed += 1);
    }
}

/// Each field once: what is recorded twice would be told twice.
struct Read<'a>(&'a mut Fields);

impl Visit for Read<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let before = self.0.insert(field.name(), value.to_owned());
        assert_eq!(before, None, "{field} is recorded twice");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
