//! `x-forwarded-for` and `forwarded` (RFC 7239), from the right.
//!
//! The right end is what trusted proxies wrote, the left what anybody sent. So nothing is parsed from the left: an open
//! quotation mark there, meant to swallow what is appended to it, is never reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::{GetAll, HeaderValue};

/// The n-th entry from the right, all lines being one list (RFC 9110, section 5.3), without the space around it.
///
/// Empty entries count. Passed over (RFC 9110, section 5.6.1), they would let a proxy that knows no address promote an entry
/// that a stranger wrote.
pub(super) fn nth_from_right<'a>(lines: &GetAll<'a, HeaderValue>, n: usize) -> Option<&'a [u8]> {
    let entries = lines.iter().rev().flat_map(|line| Entries {
        rest: Some(line.as_bytes()),
    });
    entries.skip(n.checked_sub(1)?).map(<[u8]>::trim_ascii).next()
}

/// The entries of a line from right to left, parted by commas that stand outside of quoted strings.
struct Entries<'a> {
    rest: Option<&'a [u8]>,
}

impl<'a> Iterator for Entries<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let Some(comma) = separator(rest, b',') else {
            return Some(rest);
        };
        self.rest = rest.get(..comma);
        rest.get(comma + 1..)
    }
}

/// The last `separator` outside of a quoted string (RFC 9110, section 5.6.4), read from the right.
fn separator(text: &[u8], separator: u8) -> Option<usize> {
    let mut quoted = false;
    let mut at = text.len();
    while let Some((&byte, before)) = text.get(..at).and_then(<[u8]>::split_last) {
        at = before.len();
        if byte == b'"' {
            // Within a string, one after an odd number of backslashes is a letter of it.
            let backslashes = before.iter().rev().take_while(|byte| **byte == b'\\').count();
            if !quoted || backslashes % 2 == 0 {
                quoted = !quoted;
            }
        } else if byte == separator && !quoted {
            return Some(at);
        }
    }
    None
}

/// The address in an element of `forwarded`: that of its `for`, whatever the case of the letters.
pub(super) fn element(element: &[u8]) -> Option<IpAddr> {
    let mut rest = element;
    let mut found = None;
    loop {
        let (before, pair) = match separator(rest, b';') {
            Some(at) => (rest.get(..at), rest.get(at + 1..)?),
            None => (None, rest),
        };
        if let Some((name, value)) = pair.trim_ascii().split_at_checked(4)
            && name.eq_ignore_ascii_case(b"for=")
        {
            // RFC 7239, section 4: each parameter once.
            if found.replace(value).is_some() {
                return None;
            }
        }
        let Some(before) = before else { break };
        rest = before;
    }
    node(found?)
}

/// A node's address (RFC 7239, section 6): IPv4, or IPv6 in brackets, each with or without a port; quoted or not. Bare IPv6 too, as
/// `x-forwarded-for` has it. `unknown`, what is obfuscated (`_hidden`) and all else is none.
pub(super) fn node(node: &[u8]) -> Option<IpAddr> {
    let node = str::from_utf8(unquoted(node)).ok()?;
    if let Some(bracketed) = node.strip_prefix('[') {
        let (address, port) = bracketed.split_once(']')?;
        let port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return address.parse::<Ipv6Addr>().ok().filter(|_| port).map(Into::into);
    }
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address);
    }
    // An obfuscated port hides nothing of the address.
    let (address, _) = node.split_once(':').filter(|(_, port)| is_port(port))?;
    address.parse::<Ipv4Addr>().ok().map(Into::into)
}

/// A node's port: digits, or an obfuscated one.
fn is_port(port: &str) -> bool {
    let hidden = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    port.parse::<u16>().is_ok()
        || port
            .strip_prefix('_')
            .is_some_and(|name| !name.is_empty() && hidden(name))
}

/// Without quotation marks. An address has nothing to be escaped, so a backslash within makes it none.
fn unquoted(text: &[u8]) -> &[u8] {
    match text {
        [b'"', within @ .., b'"'] => within,
        text => text,
    }
}
