//! Stacks from configuration: what each field does, and what is said of one that makes no sense.
#![cfg(all(feature = "serde", feature = "rate"))]
#![allow(clippy::unwrap_used, reason = "a test may")]

use buttress::stack::{ClientStack, ServerStack};
use serde::de::DeserializeOwned;

/// What the stack prints: one line, without spaces at its ends.
fn stack<T: DeserializeOwned + std::fmt::Debug>(toml: &str) -> String {
    match toml::from_str::<T>(toml) {
        Ok(stack) => format!("{stack:?}"),
        Err(error) => panic!("{toml}: {error}"),
    }
}

fn error<T: DeserializeOwned + std::fmt::Debug>(toml: &str) -> String {
    match toml::from_str::<T>(toml) {
        Ok(stack) => panic!("{toml}: {stack:?}"),
        Err(error) => error.message().to_owned(),
    }
}

const MUST: &str = "deadline = \"10s\"\n";
const CALL: &str = "timeout = \"10s\"\n";

#[test]
fn what_is_not_said_is_as_in_code() {
    let limit = std::time::Duration::from_secs(10);
    assert_eq!(stack::<ServerStack>(MUST), format!("{:?}", buttress::server(limit)));
    assert_eq!(stack::<ClientStack>(CALL), format!("{:?}", buttress::client(limit)));
}

#[test]
fn each_setting_of_a_server() {
    for (toml, there) in [
        (
            "deadline = { default = \"1s\", max = \"2m\", headers = [\"grpc\"], strict = true }",
            "max: 120s",
        ),
        (
            "deadline = { default = \"1s\", max = \"2m\", headers = [\"grpc\"], strict = true }",
            "strict: true",
        ),
        ("deadline = \"1m 30s\"", "default: Some(90s)"),
        ("deadline = \"1s\"\nrender = \"problem\"", "RenderLayer"),
        ("deadline = \"1s\"\ncriticality = \"x-tier\"", "\"x-tier\""),
        ("deadline = \"1s\"\nrate = \"100/s\"", "RateLimitLayer"),
        (
            "deadline = \"1s\"\nrate = { quota = \"5/m\", burst = 2, by = \"client\", trusted_hops = 1, keys = 10 }",
            "RateLimitLayer",
        ),
        (
            "deadline = \"1s\"\nrate = { quota = \"5/d\", by = \"x-api-key\" }",
            "RateLimitLayer",
        ),
        ("deadline = \"1s\"\nlimit = 7", "Fixed(7)"),
        ("deadline = \"1s\"\nlimit = \"7\"", "Fixed(7)"),
        (
            "deadline = \"1s\"\nlimit = { at_most = 7, queue = 3, max_wait = \"50ms\", hold_until = \"head\" }",
            "queue: 3",
        ),
        (
            "deadline = \"1s\"\nlimit = { at_most = 7, queue = 3, max_wait = \"50ms\", hold_until = \"head\" }",
            "max_wait: 50ms",
        ),
        (
            "deadline = \"1s\"\nlimit = { queue = 3, hold_until = \"head\" }",
            "hold_until: Head",
        ),
    ] {
        let printed = stack::<ServerStack>(toml);
        assert!(printed.contains(there), "{toml}: {printed}");
    }
    let off = "deadline = \"1s\"\ncriticality = false\ncancel = false\nshed = \"false\"\nlimit = false\nrate = false\nrender = \"text\"";
    for layer in ["Criticality", "Cancel", "Shed", "Concurrency", "Rate", "Render"] {
        assert!(!stack::<ServerStack>(off).contains(layer), "{layer}");
    }
}

#[test]
fn each_setting_of_a_client() {
    for (toml, there) in [
        ("retry = 5", "attempts: 5"),
        (
            "retry = { attempts = 5, hint_cap = \"7s\", floor = \"3ms\", body_limit = 1000, rules = \"grpc\" }",
            "hint_cap: 7s",
        ),
        (
            "retry = { attempts = 5, hint_cap = \"7s\", floor = \"3ms\", body_limit = 1000, rules = \"grpc\" }",
            "floor: 3ms",
        ),
        (
            "retry = { attempts = 5, hint_cap = \"7s\", floor = \"3ms\", body_limit = 1000, rules = \"grpc\" }",
            "body_limit: 1000",
        ),
        ("hedge = \"50ms\"", "Fixed(50ms)"),
        ("hedge = \"p95\"", "HedgeLayer"),
        (
            "hedge = { after = \"p99\", attempts = 3, body_limit = 10 }",
            "attempts: 3",
        ),
        (
            "breaker = { failure_rate = 0.25, minimum_calls = 9, window = \"5s\", open_for = \"2s\", probes = 1 }",
            "failure_rate",
        ),
        ("throttle = { per = \"all\", k = 3, window = \"1m\" }", "window: 60s"),
        ("limit = \"adaptive\"", "ConcurrencyLimitLayer"),
        ("attempt_timeout = \"900ms\"", "TimeoutLayer { timeout: 900ms"),
        ("deadline = { margin = \"5ms\", max = \"4s\" }", "margin: 5ms"),
        ("criticality = \"x-tier\"", "\"x-tier\""),
        ("budget = 0.2", "RetryLayer"),
        ("budget = { ratio = 0.2, min_per_second = 2, burst = 20 }", "RetryLayer"),
    ] {
        let printed = stack::<ClientStack>(&format!("{CALL}{toml}"));
        assert!(printed.contains(there), "{toml}: {printed}");
    }
    let off = format!(
        "{CALL}retry = false\nhedge = false\nbreaker = false\nthrottle = false\ndeadline = false\ncriticality = false"
    );
    for layer in ["Retry", "Hedge", "Breaker", "Throttle", "Propagate"] {
        assert!(!stack::<ClientStack>(&off).contains(layer), "{layer}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn an_error_names_the_field_its_value_and_what_is_allowed() {
    for (toml, says) in [
        ("", "`deadline` is missing, and has no default"),
        (
            "deadline = 10",
            "`deadline` is `10`: it should be a duration with its unit, such as \"250ms\" or \"10s\"",
        ),
        (
            "deadline = { default = \"1s\", headers = [\"grpc\", \"ssh\"] }",
            "`deadline.headers[1]` is `ssh`: it should be \"grpc\" or \"connect\" or \"plain\" or \"envoy\" or \"linkerd\"",
        ),
        (
            "deadline = { max = \"1s\" }",
            "`deadline.default` is missing, and has no default",
        ),
        (
            "deadline = \"1s\"\nlimits = 3",
            "`limits` is no setting: there are deadline, render, criticality, cancel, rate, shed, limit",
        ),
        (
            "deadline = \"1s\"\nlimit = { quue = 3 }",
            "`limit.quue` is no setting: there are at_most, queue, max_wait, hold_until",
        ),
        (
            "deadline = \"1s\"\nlimit = -1",
            "`limit` is `-1`: it should be true, false, \"adaptive\", a number of requests, or a table",
        ),
        (
            "deadline = \"1s\"\nlimit = { queue = -5 }",
            "`limit.queue` is `-5`: it should be a number of requests, 0 or more",
        ),
        (
            "deadline = \"1s\"\nlimit = { hold_until = \"trailers\" }",
            "`limit.hold_until` is `trailers`: it should be \"body\" or \"head\"",
        ),
        (
            "deadline = \"1s\"\nshed = 3",
            "`shed` is `3`: it should be true or false",
        ),
        (
            "deadline = \"1s\"\nrate = \"100\"",
            "`rate` is `100`: it should be a quota, such as \"100/s\" (s, m, h or d)",
        ),
        (
            "deadline = \"1s\"\nrate = { quota = \"1/s\", trusted_hops = 1 }",
            "`rate.trusted_hops` is `1`: it should be left out, unless `by` is \"client\"",
        ),
        (
            "deadline = \"1s\"\nrate = { quota = \"1/s\", keys = 5 }",
            "`rate.keys` is `5`: it should be left out, unless `by` is \"client\" or a header",
        ),
        (
            "deadline = \"1s\"\nrate = { quota = \"1/s\", by = \"a b\" }",
            "`rate.by` is `a b`: it should be \"all\", \"client\", or the name of a header",
        ),
        (
            "deadline = \"1s\"\ncriticality = \"a b\"",
            "`criticality` is `a b`: it should be the name of a header",
        ),
    ] {
        assert_eq!(error::<ServerStack>(toml), says, "{toml}");
    }
    for (toml, says) in [
        (
            "retry = 0",
            "`retry` is `0`: it should be true, false, a number of attempts in all (1 or more), or a table",
        ),
        (
            "retry = { attempts = 0 }",
            "`retry.attempts` is `0`: it should be a number of attempts in all, 1 or more",
        ),
        (
            "retry = { rules = \"smtp\" }",
            "`retry.rules` is `smtp`: it should be \"auto\" or \"http\" or \"grpc\"",
        ),
        ("budget = 7", "`budget` is `7`: it should be a number from 0 to 1"),
        (
            "hedge = \"p100\"",
            "`hedge` is `p100`: it should be a duration (\"50ms\") or a percentile from \"p50\" to \"p99.9\"",
        ),
        (
            "breaker = { failure_rate = nan }",
            "`breaker.failure_rate` is `NaN`: it should be a number from 0.001 to 1",
        ),
        (
            "breaker = { probes = 0 }",
            "`breaker.probes` is `0`: it should be a number of calls, 1 or more",
        ),
        (
            "breaker = { window = \"1ms\" }",
            "`breaker.window` is `1ms`: it should be a duration of 10ms at least",
        ),
        (
            "breaker = [1]",
            "`breaker` is `a list`: it should be true, false, or a table",
        ),
        (
            "throttle = { per = \"planet\" }",
            "`throttle.per` is `planet`: it should be \"destination\" or \"all\"",
        ),
    ] {
        assert_eq!(error::<ClientStack>(&format!("{CALL}{toml}")), says, "{toml}");
    }
}

/// As environments have it: no header is called so.
#[test]
fn a_switch_is_one_in_whatever_case() {
    for off in ["false", "False", "FALSE"] {
        let server = stack::<ServerStack>(&format!("{MUST}criticality = \"{off}\"\nshed = \"{off}\""));
        assert!(!server.contains("Criticality") && !server.contains("Shed"), "{server}");
        let client = stack::<ClientStack>(&format!("{CALL}criticality = \"{off}\""));
        assert!(!client.contains("PropagateCriticality"), "{client}");
    }
    let on = stack::<ServerStack>(&format!("{MUST}criticality = \"True\""));
    assert_eq!(on, stack::<ServerStack>(MUST));
}

#[test]
fn null_is_left_out_and_a_key_that_is_there_twice_is_an_error() {
    let json = serde_json::from_str::<ServerStack>(r#"{ "deadline": "10s", "limit": null }"#).unwrap();
    assert!(format!("{json:?}").contains("Adaptive"));
    let twice = serde_json::from_str::<ServerStack>(r#"{ "deadline": "10s", "shed": true, "shed": false }"#);
    assert!(twice.unwrap_err().to_string().starts_with("`shed` is there twice"));
    let none = serde_json::from_str::<ServerStack>("7");
    assert!(
        none.unwrap_err()
            .to_string()
            .starts_with("`stack` is `7`: it should be a table of settings")
    );
}
