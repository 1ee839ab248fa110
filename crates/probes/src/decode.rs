//! What the sections of the probes have in common; each probe decodes its own.

use std::fmt::Display;
use std::str::FromStr;

use yaml::Section;

/// A key that is true or false; absent, it leaves what was there.
pub(crate) fn switch(section: &Section<'_>, key: &'static str, into: &mut bool) {
    if let Some(value) = section.boolean(key) {
        *into = value;
    }
}

/// A key that is one of a few words; absent, it leaves what was there.
pub(crate) fn word<T: FromStr<Err: Display>>(section: &Section<'_>, key: &'static str, into: &mut T) {
    let Some(place) = section.get(key) else { return };
    match place.string().unwrap_or_default().parse() {
        Ok(value) => *into = value,
        Err(error) => place.error(error.to_string(), ""),
    }
}

/// A key that is a number from zero to `max`; absent, it leaves what was there.
pub(crate) fn bounded(section: &Section<'_>, key: &'static str, max: usize, into: &mut usize) {
    let Some(place) = section.get(key) else { return };
    match place.unsigned().map(usize::try_from) {
        Some(Ok(value)) if value <= max => *into = value,
        Some(_) => place.error(format!("more than {max}"), format!("take a number from 0 to {max}")),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use yaml::{Place, Report, parse};

    use crate::{Config, DropsConfig, Namespaces, TcpConfig, XdpConfig, XdpMode};

    fn check(text: &str, expected: &Config, problems: &[&str]) {
        let report = Report::default();
        let node = parse("f", text).unwrap();
        let section = Place::root(&node, "f", &report).section().unwrap();
        assert_eq!(&Config::decode(&section), expected, "{text}");
        section.finish();
        let got: Vec<String> = report.problems().iter().map(|p| p.message.clone()).collect();
        assert_eq!(got, problems, "{text}");
    }

    #[test]
    fn every_key() {
        check("", &Config::default(), &[]);
        check("enabled: false", &Config { enabled: false, ..Config::default() }, &[]);
        let (devices, mode) = (vec!["eth*".to_owned()], XdpMode::Native);
        let xdp = XdpConfig { devices, mode, details: false, top: 0, ..XdpConfig::default() };
        check(
            "xdp: {devices: [eth*], mode: native, details: false, top: 0}",
            &Config { xdp, ..Config::default() },
            &[],
        );
        check("xdp: {top: 101}", &Config::default(), &["more than 100"]);
        let own = TcpConfig { namespaces: Namespaces::Own, peers: 5, ..TcpConfig::default() };
        check("tcp: {namespaces: own, peers: 5}", &Config { tcp: own, ..Config::default() }, &[]);
        check("tcp: {peers: 1025}\nudp: {ports: 513}", &Config::default(), &["more than 1024", "more than 512"]);
        let drops = DropsConfig { enabled: false, ..DropsConfig::default() };
        check("drops: {enabled: false}", &Config { drops, ..Config::default() }, &[]);
        let unknown = ["unknown choice of network namespaces \"host\"; known are all and own"];
        check("drops: {namespaces: host}", &Config::default(), &unknown);
        let unknown = ["unknown XDP mode \"fast\"; known are generic, native and auto", "unknown key \"wires\""];
        check("xdp: {mode: fast}\nwires: {}", &Config::default(), &unknown);
    }
}
