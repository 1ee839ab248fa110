//! The section `host` of the configuration file.

use std::path::PathBuf;

use yaml::{Place, Section};

use crate::{ALL, Config, Exclude};

impl Config {
    /// Decodes the section `host`; problems go to its report, and a default stands in.
    pub fn decode(section: &Section<'_>) -> Self {
        let mut config = Self::default();
        if let Some(enabled) = section.boolean("enabled") {
            config.enabled = enabled;
        }
        if let Some(place) = section.get("collectors") {
            config.collectors = place.list().iter().filter_map(collector).collect();
        }
        let path = |key, into: &mut PathBuf| {
            if let Some(text) = section.string(key) {
                *into = PathBuf::from(text);
            }
        };
        path("proc_path", &mut config.proc_path);
        path("sys_path", &mut config.sys_path);
        path("root_path", &mut config.root_path);
        if let Some(filesystem) = section.section("filesystem") {
            exclude(&filesystem, "mount_points_exclude", &mut config.mount_points_exclude);
            exclude(&filesystem, "types_exclude", &mut config.fs_types_exclude);
            if let Some(timeout) = filesystem.duration("timeout") {
                config.filesystem_timeout = timeout;
            }
            filesystem.finish();
        }
        for (key, into) in [("diskstats", &mut config.disk_exclude), ("netdev", &mut config.net_exclude)] {
            if let Some(devices) = section.section(key) {
                exclude(&devices, "device_exclude", into);
                devices.finish();
            }
        }
        config
    }
}

fn collector(place: &Place<'_>) -> Option<String> {
    let name = place.string()?;
    if !ALL.iter().any(|collector| collector.name == name) {
        let known: Vec<&str> = ALL.iter().map(|collector| collector.name).collect();
        place.error(format!("unknown collector {name:?}"), format!("known are {}", known.join(", ")));
        return None;
    }
    Some(name)
}

fn exclude(section: &Section<'_>, key: &'static str, into: &mut Exclude) {
    let Some(place) = section.get(key) else { return };
    match Exclude::new(&place.string().unwrap_or_default()) {
        Ok(exclude) => *into = exclude,
        Err(error) => place.error(error, "write a regular expression"),
    }
}
