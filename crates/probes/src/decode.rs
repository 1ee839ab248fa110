//! The section `probes` of the configuration file.

use yaml::Section;

use crate::{Config, XdpConfig, XdpMode};

impl Config {
    /// Decodes the section `probes`; problems go to its report, and a default stands in.
    pub fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(enabled) = section.boolean("enabled") {
            config.enabled = enabled;
        }
        if let Some(xdp) = section.section("xdp") {
            config.xdp = decode_xdp(&xdp);
            xdp.finish();
        }
        config
    }
}

fn decode_xdp(section: &Section<'_>) -> XdpConfig {
    let mut config = XdpConfig { devices: section.strings("devices"), ..XdpConfig::default() };
    if let Some(enabled) = section.boolean("enabled") {
        config.enabled = enabled;
    }
    if let Some(place) = section.get("mode") {
        match place.string().unwrap_or_default().parse::<XdpMode>() {
            Ok(mode) => config.mode = mode,
            Err(error) => place.error(error.to_string(), ""),
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use yaml::{Place, Report, parse};

    use super::*;

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
        let xdp = XdpConfig { enabled: true, devices: vec!["eth*".to_owned()], mode: XdpMode::Native };
        check("xdp: {devices: [eth*], mode: native}", &Config { enabled: true, xdp }, &[]);
        let unknown = ["unknown XDP mode \"fast\"; known are generic, native and auto", "unknown key \"tc\""];
        check("xdp: {mode: fast}\ntc: {}", &Config::default(), &unknown);
    }
}
