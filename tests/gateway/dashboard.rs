//! The dashboard in `examples/grafana`: that what it asks for is what the gateway tells.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
};

use buttress::telemetry::INSTRUMENTS;
use promql_parser::{
    parser::{self, Expr, VectorSelector},
    util::{ExprVisitor, walk_expr},
};
use serde_json::Value;

use crate::metrics::{family, under_load};

/// What a gateway has none of, or tells only when it is about to be gone. The table of instruments knows it.
const ELSEWHERE: [&str; 8] = [
    "buttress.drain.",
    "buttress.fallback.",
    "buttress.fault.",
    "buttress.job.",
    "buttress.shed.",
    "buttress.shutdown.",
    "buttress.throttle.",
    "buttress.worker.",
];

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../examples/grafana/dashboard.json")).unwrap()
}

/// All panels but the headings of rows.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// The names and the labels that a query is made of.
#[derive(Default)]
struct Query {
    metrics: BTreeSet<String>,
    selected_by: BTreeSet<String>,
    grouped_by: BTreeSet<String>,
}

impl Query {
    fn parse(text: &str) -> Self {
        // The interval is Grafana's to choose.
        let text = text.replace("$__rate_interval", "1m");
        let expression = parser::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let mut query = Self::default();
        let Ok(_) = walk_expr(&mut query, &expression);
        query
    }

    fn selects(&mut self, vector: &VectorSelector) {
        self.metrics.extend(vector.name.clone());
        let labels = vector.matchers.matchers.iter().map(|matcher| matcher.name.clone());
        self.selected_by.extend(labels);
    }
}

impl ExprVisitor for Query {
    type Error = Infallible;

    fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Infallible> {
        match expression {
            Expr::VectorSelector(vector) => self.selects(vector),
            Expr::MatrixSelector(matrix) => self.selects(&matrix.vs),
            Expr::Aggregate(aggregate) => {
                let labels = aggregate.modifier.iter().flat_map(|by| by.labels().labels.clone());
                self.grouped_by.extend(labels);
            }
            _ => {}
        }
        Ok(true)
    }
}

/// What a legend is filled in with.
fn placeholders(legend: &str) -> BTreeSet<String> {
    let parts = legend.split("{{").skip(1);
    parts
        .filter_map(|part| Some(part.split_once("}}")?.0.to_owned()))
        .collect()
}

#[test]
fn each_panel_says_what_it_shows() {
    let (dashboard, mut titles) = (dashboard(), BTreeSet::new());
    let rows = dashboard["panels"].as_array().unwrap().iter();
    assert!(rows.clone().filter(|panel| panel["type"] == "row").count() >= 8);
    let ids: BTreeSet<_> = rows.clone().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), rows.len());
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(titles.insert(title), "two panels are {title:?}");
        assert!(
            panel["description"].as_str().is_some_and(|text| text.ends_with('.')),
            "{title}"
        );
        let unit = panel["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}");
        assert!(
            panel["targets"].as_array().is_some_and(|queries| !queries.is_empty()),
            "{title}"
        );
    }
}

#[tokio::test(crate = "crate::gateway_process::leakless")]
async fn each_query_asks_for_what_the_gateway_tells() {
    let (gateway, _) = under_load().await;
    let page = gateway.page().await;
    let told = page.names();
    let mut labels = BTreeMap::new();
    let mut elsewhere = BTreeSet::new();
    for instrument in INSTRUMENTS {
        let (family, _) = family(instrument);
        let attributes: BTreeSet<_> = instrument.attributes.iter().map(|key| key.replace('.', "_")).collect();
        for part in ["", "_sum", "_count", "_bucket"] {
            let name = format!("{family}{part}");
            if ELSEWHERE.iter().any(|prefix| instrument.name.starts_with(prefix)) {
                elsewhere.insert(name.clone());
            }
            labels.insert(name, attributes.clone());
        }
    }

    let (dashboard, mut asked) = (dashboard(), BTreeSet::new());
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let text = target["expr"].as_str().unwrap();
            let query = Query::parse(text);
            assert!(!query.metrics.is_empty(), "{text}");
            let mut known: BTreeSet<_> = ["le", "job"].map(str::to_owned).into();
            for metric in &query.metrics {
                assert!(
                    told.contains(metric) || elsewhere.contains(metric),
                    "{text}: the gateway tells no {metric}"
                );
                known.extend(labels[metric].clone());
            }
            assert!(query.selected_by.is_subset(&known), "{text}");
            assert!(query.grouped_by.is_subset(&known), "{text}");
            let legend = placeholders(target["legendFormat"].as_str().unwrap());
            assert!(legend.is_subset(&query.grouped_by), "{text}: {legend:?}");
            asked.extend(query.metrics);
        }
    }
    // Nothing is measured that nobody looks at.
    for instrument in INSTRUMENTS {
        let (family, _) = family(instrument);
        let shown = ["", "_sum", "_count", "_bucket"].map(|part| format!("{family}{part}"));
        assert!(shown.iter().any(|name| asked.contains(name)), "no panel shows {family}");
    }
}
