//! Hosts that are reached without the proxy: `NO_PROXY`, by curl's rules.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// The hosts that are reached directly.
#[derive(Clone, Debug, Default)]
pub(super) struct NoProxy(Vec<Exempt>);

#[derive(Clone, Debug)]
enum Exempt {
    Everything,
    /// A domain with its subdomains, in lower case, at this port or at any port.
    Domain {
        name: String,
        port: Option<u16>,
    },
    /// The addresses that share the first `bits` bits with `network`.
    Addresses {
        network: IpAddr,
        bits: u8,
    },
}

impl NoProxy {
    /// Parses names, addresses and networks between commas, spaces or tabs. Invalid entries are
    /// ignored.
    pub(super) fn parse(text: &str) -> Self {
        if text == "*" {
            return Self([Exempt::Everything].into());
        }
        let entries = text.split([',', ' ', '\t']).filter(|entry| !entry.is_empty());
        Self(entries.filter_map(Exempt::parse).collect())
    }

    pub(super) fn contains(&self, host: &str, port: u16) -> bool {
        let host = host.trim_matches(['[', ']']);
        let address = host.parse::<IpAddr>().ok();
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.0.iter().any(|exempt| match (exempt, address) {
            (Exempt::Everything, _) => true,
            (Exempt::Addresses { network, bits }, Some(address)) => is_within(address, *network, *bits),
            (Exempt::Domain { name, port: at }, None) => {
                let above = host.strip_suffix(name.as_str());
                at.is_none_or(|at| at == port) && above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
            }
            _ => false,
        })
    }
}

impl Exempt {
    fn parse(entry: &str) -> Option<Self> {
        let bare = entry.trim_matches(['[', ']']);
        if let Ok(network) = bare.parse() {
            return Some(Self::Addresses { network, bits: all_bits(network) });
        }
        if let Some((network, bits)) = bare.split_once('/') {
            let network = network.trim_end_matches(']').parse().ok()?;
            // An empty or zero prefix length means this address: curl has no network of all addresses.
            let bits = if matches!(bits, "" | "0") { all_bits(network) } else { bits.parse().ok()? };
            return (bits <= all_bits(network)).then_some(Self::Addresses { network, bits });
        }
        let (name, port) = match entry.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let name = name.trim_end_matches('.');
        let name = name.strip_prefix('.').unwrap_or(name).to_ascii_lowercase();
        if name.is_empty() { None } else { Some(Self::Domain { name, port }) }
    }
}

fn all_bits(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= bits.into()
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let differ = address.to_bits() ^ network.to_bits();
            differ.leading_zeros() >= bits.into()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_goes_without_the_proxy_where_it_does_so_with_curl() {
        let table = include_str!("no_proxy.txt");
        let cases: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(" | ").map(|cell| cell.trim_matches(' ')).collect())
            .collect();
        assert!(cases.len() > 60);
        for case in cases {
            let [entries, host, way] = case[..] else { panic!("{case:?}") };
            let exempt = NoProxy::parse(entries).contains(host, 443);
            assert_eq!(if exempt { "direct" } else { "proxy" }, way, "NO_PROXY={entries}, {host}");
        }
    }

    #[test]
    fn addresses_and_networks_of_ipv6_are_exempt_by_their_bits() {
        let exempt = NoProxy::parse("[::1],fe80::/10,2001:db8::/32,::2/129");
        for host in ["::1", "[::1]", "fe80::1", "[febf::1]", "2001:db8::5"] {
            assert!(exempt.contains(host, 443), "{host}");
        }
        for host in ["::2", "fec0::1", "2001:db9::5", "10.1.2.3", "global.example.net"] {
            assert!(!exempt.contains(host, 443), "{host}");
        }
    }

    #[test]
    fn a_star_exempts_every_host_where_it_stands_alone_as_curl_has_it() {
        assert!(NoProxy::parse("*").contains("example.net", 443));
        for text in [" *", "* ", "*,x", "*.example.net"] {
            assert!(!NoProxy::parse(text).contains("example.net", 443), "{text:?}");
        }
    }

    #[test]
    fn an_entry_with_a_port_counts_for_that_port() {
        let exempt = NoProxy::parse("example.net:8883");
        assert!(exempt.contains("hub.example.net", 8883));
        assert!(!exempt.contains("hub.example.net", 443));
    }
}
