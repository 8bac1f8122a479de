//! Stacks from configuration, with the feature `serde`: of TOML, JSON, YAML, or whatever else describes itself.
//!
//! Both [`ServerStack`] and [`ClientStack`] can be deserialized, and so can be a field of your own configuration. What the file cannot say, an
//! observer, a key for rates, is set afterwards, as on any stack.
//!
//! ```
//! use buttress::{ObserveLayer, observe::Ended, stack::{ClientStack, ServerStack}};
//!
//! #[derive(serde::Deserialize)]
//! struct Config {
//!     server: ServerStack,
//!     payments: ClientStack,
//! }
//!
//! let config: Config = toml::from_str(r#"
//!     [server]
//!     deadline = "10s"
//!     limit = { at_most = 100, queue = 50 }
//!     shed = false
//!
//!     [payments]
//!     timeout = "2s"
//!     retry = 2
//!     hedge = "p95"
//! "#)?;
//! let server = config.server.observe(ObserveLayer::server(|ended: &Ended| println!("{:?}", ended.outcome)));
//! # Ok::<(), toml::de::Error>(())
//! ```
//!
//! What is not said is as in [`server`](super::server) and [`client`](super::client); only how long things may take must be said. What makes no
//! sense is an error that names the field, its value and what is allowed, and so is a field that there is not:
//!
//! ```
//! use buttress::stack::ServerStack;
//!
//! let error = toml::from_str::<ServerStack>(r#"deadline = "10 parsecs""#).unwrap_err();
//! assert_eq!(
//!     error.message(),
//!     "`deadline` is `10 parsecs`: it should be a duration with its unit, such as \"250ms\" or \"10s\"",
//! );
//! ```
//!
//! # A server
//!
//! | field | is | |
//! |---|---|---|
//! | `deadline` | a duration; or a table of `default`, `max`, `headers`, `strict` | required. `headers` lists `grpc`, `connect`, `plain`, `envoy`, `linkerd` |
//! | `render` | `"text"`, `"problem"` | |
//! | `criticality` | a switch, or the name of the header | |
//! | `cancel` | a switch | |
//! | `rate` | a quota, `"100/s"`; or a table of `quota`, `burst`, `by`, `trusted_hops`, `keys` | feature `rate`. `by` is `"all"`, `"client"`, or a header |
//! | `shed` | a switch | |
//! | `limit` | a switch, `"adaptive"`, a number; or a table of `at_most`, `queue`, `max_wait`, `hold_until` | `hold_until` is `"body"` or `"head"` |
//!
//! # A client
//!
//! | field | is | |
//! |---|---|---|
//! | `timeout` | a duration | required |
//! | `retry` | a switch, the attempts in all; or a table of `attempts`, `hint_cap`, `floor`, `body_limit`, `rules` | `rules` is `"auto"`, `"http"`, `"grpc"` |
//! | `hedge` | a duration, `"p95"`; or a table of `after`, `attempts`, `body_limit` | |
//! | `budget` | a share of the calls; or a table of `ratio`, `min_per_second`, `burst` | |
//! | `breaker` | a switch; or a table of `per`, `failure_rate`, `minimum_calls`, `window`, `open_for`, `probes` | `per` is `"destination"` or `"all"` |
//! | `throttle` | a switch; or a table of `per`, `k`, `window` | |
//! | `limit` | as a server's | off unless said |
//! | `attempt_timeout` | a duration | |
//! | `deadline` | a switch; or a table of `margin`, `max` | |
//! | `criticality` | a switch, or the name of the header | |
//!
//! A switch is `true`, with the defaults, or `false`. Durations have a unit, `"1m 30s"`. Numbers and switches may be text, for environments have
//! nothing else.

mod client;
mod limits;
mod read;
mod server;
mod value;

use serde::{Deserialize, Deserializer, de::Error};

use self::{
    read::{Invalid, Table},
    value::Value,
};
use super::{ClientStack, ServerStack};

impl<'de> Deserialize<'de> for ServerStack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, server::stack)
    }
}

impl<'de> Deserialize<'de> for ClientStack {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer, client::stack)
    }
}

fn read<'de, D, T>(deserializer: D, stack: fn(&mut Table) -> Result<T, Invalid>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    let value = Value::deserialize(deserializer)?;
    Table::root(value)
        .and_then(|table| table.read(stack))
        .map_err(D::Error::custom)
}
