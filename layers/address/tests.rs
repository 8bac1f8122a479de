use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, Request, header::FORWARDED};
use proptest::prelude::*;

use super::{ClientAddress, PeerAddress};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The client of a request with these lines of a header, from a socket at 192.0.2.1.
fn client(client: &ClientAddress, name: &str, lines: &[&str]) -> Option<IpAddr> {
    let mut request = Request::new(());
    request
        .extensions_mut()
        .insert(PeerAddress(SocketAddr::new(address("192.0.2.1"), 4711)));
    for line in lines {
        request
            .headers_mut()
            .append(HeaderName::try_from(name).unwrap(), line.parse().unwrap());
    }
    client.resolve((&request).into())
}

fn x_forwarded_for(hops: usize, lines: &[&str]) -> Option<IpAddr> {
    client(&ClientAddress::new().trusted_hops(hops), "x-forwarded-for", lines)
}

fn forwarded(hops: usize, lines: &[&str]) -> Option<IpAddr> {
    let by_rfc = ClientAddress::new().trusted_hops(hops).header(FORWARDED);
    client(&by_rfc, "forwarded", lines)
}

#[test]
fn forged_headers_change_nothing() {
    // Without trusted hops the socket speaks, whatever is sent.
    for name in ["x-forwarded-for", "forwarded"] {
        for line in ["203.0.113.7", "for=203.0.113.7", "unknown", ""] {
            assert_eq!(client(&ClientAddress::new(), name, &[line]), Some(address("192.0.2.1")));
        }
    }
    // With one, the entry of our proxy, whatever stands to the left of it.
    for forged in [
        "1.1.1.1",
        "1.1.1.1, 2.2.2.2",
        "\"",
        "\"\\",
        "[::1",
        ",,,",
        "for=\"",
        "unknown, \u{e9}",
    ] {
        let ours = "203.0.113.7";
        let appended = format!("{forged}, {ours}");
        assert_eq!(x_forwarded_for(1, &[&appended]), Some(address(ours)), "{forged}");
        assert_eq!(x_forwarded_for(1, &[forged, ours]), Some(address(ours)), "{forged}");
        let appended = format!("{forged}, for={ours};host=\"a,b;for=1.1.1.1\"");
        assert_eq!(forwarded(1, &[&appended]), Some(address(ours)), "{forged}");
    }
    // The header that our proxy does not maintain is not read.
    let both = ClientAddress::new().trusted_hops(1);
    assert_eq!(client(&both, "forwarded", &["for=1.1.1.1"]), None);
}

#[test]
fn hops_count_from_the_right_over_all_lines() {
    let lines = ["1.1.1.1, 2.2.2.2", "3.3.3.3", "4.4.4.4,5.5.5.5"];
    for (hops, expected) in [
        (1, "5.5.5.5"),
        (2, "4.4.4.4"),
        (3, "3.3.3.3"),
        (4, "2.2.2.2"),
        (5, "1.1.1.1"),
    ] {
        assert_eq!(x_forwarded_for(hops, &lines), Some(address(expected)));
    }
    // A request that did not come through all of the proxies has no address of theirs.
    for hops in [6, usize::MAX] {
        assert_eq!(x_forwarded_for(hops, &lines), None);
    }
    assert_eq!(x_forwarded_for(1, &[]), None);
}

#[test]
fn nodes() {
    for (node, expected) in [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7\t", "203.0.113.7"),
        ("203.0.113.7:80", "203.0.113.7"),
        ("203.0.113.7:_port", "203.0.113.7"),
        ("\"203.0.113.7:80\"", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("\"[2001:DB8::1]:4711\"", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
    ] {
        assert_eq!(x_forwarded_for(1, &[node]), Some(address(expected)), "{node}");
    }
    for node in [
        "",
        "unknown",
        "_hidden",
        "_hidden:80",
        "unknown:80",
        "localhost",
        "203.0.113",
        "203.0.113.7:",
        "203.0.113.7:99999",
        "203.0.113.7:_",
        "203.0.113.7:x",
        "203.0.113.07",
        "[2001:db8::1",
        "[2001:db8::1]x",
        "[2001:db8::1]:",
        "[203.0.113.7]",
        "2001:db8::1]",
        "\"203.0.113.7",
        "203.0.113.7\"",
        "\"\\203.0.113.7\"",
        "\"\"",
        "\"",
        "for=203.0.113.7",
        "1.1.1.1 2.2.2.2",
    ] {
        assert_eq!(x_forwarded_for(1, &[node]), None, "{node}");
    }
    // Nobody behind a proxy that knows no address is taken for whom a stranger names.
    for line in ["1.1.1.1,", "1.1.1.1, ", "1.1.1.1, unknown", "1.1.1.1, _hidden"] {
        assert_eq!(x_forwarded_for(1, &[line]), None, "{line}");
    }
}

/// The examples of RFC 7239, sections 4, 6 and 7.1, and what surrounds them.
#[test]
fn forwarded_elements() {
    for (line, expected) in [
        ("for=192.0.2.43", Some("192.0.2.43")),
        ("For=\"[2001:db8:cafe::17]:4711\"", Some("2001:db8:cafe::17")),
        ("for=192.0.2.60;proto=http;by=203.0.113.43", Some("192.0.2.60")),
        ("proto=http; FOR = 192.0.2.60", None), // no space around "="
        ("proto=http; FOR=192.0.2.60", Some("192.0.2.60")),
        ("for=192.0.2.43, for=198.51.100.17", Some("198.51.100.17")),
        ("for=192.0.2.43,for=\"[2001:db8:cafe::17]\"", Some("2001:db8:cafe::17")),
        ("for=_hidden, for=_SEVKISEK", None),
        ("for=unknown", None),
        ("by=203.0.113.43;proto=https", None),
        ("for=1.1.1.1;for=2.2.2.2", None),
        ("host=\"a\\\"b, for=1.1.1.1\";for=2.2.2.2", Some("2.2.2.2")),
        ("host=\"for=1.1.1.1;\\\\\";for=\"2.2.2.2:443\"", Some("2.2.2.2")),
        ("xfor=1.1.1.1", None),
        ("", None),
    ] {
        assert_eq!(forwarded(1, &[line]), expected.map(address), "{line}");
    }
}

#[test]
fn other_headers_and_other_peers() {
    let cdn = ClientAddress::new()
        .trusted_hops(1)
        .header(HeaderName::from_static("cf-connecting-ip"));
    assert_eq!(
        client(&cdn, "cf-connecting-ip", &["203.0.113.7"]),
        Some(address("203.0.113.7"))
    );
    let of_function = ClientAddress::new().peer(|_| Some([10, 0, 0, 1].into()));
    assert_eq!(
        client(&of_function, "x-forwarded-for", &["1.1.1.1"]),
        Some(address("10.0.0.1"))
    );
    assert_eq!(ClientAddress::new().resolve((&Request::new(())).into()), None);
}

#[test]
fn a_network_is_one_client() {
    for (given, network) in [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
    ] {
        assert_eq!(ClientAddress::network(address(given)), address(network));
    }
}

proptest! {
    #[test]
    fn whatever_is_to_the_left_is_never_believed(forged in "[ -~\t]{0,60}", ours: IpAddr) {
        let ours = ours.to_canonical();
        prop_assert_eq!(x_forwarded_for(1, &[&format!("{forged},{ours}")]), Some(ours));
        prop_assert_eq!(forwarded(1, &[&format!("{forged},for=\"[::1]\";by=x, for={}", match ours {
            IpAddr::V4(ours) => ours.to_string(),
            IpAddr::V6(ours) => format!("\"[{ours}]\""),
        })]), Some(ours));
    }

    #[test]
    fn nonsense_is_no_address(node in "[0-9a-f:.\\[\\]\"\\\\_]{0,40}", hops in 0..3usize) {
        let _ = x_forwarded_for(hops, &[&node]);
        let _ = forwarded(hops, &[&format!("for={node}")]);
    }
}
