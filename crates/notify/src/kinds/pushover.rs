//! Pushover.

use client::config::Source;
use hyper::Uri;
use template::Output;
use yaml::Section;

use super::Kind;
use crate::client::Error;
use crate::config::{Globals, keys};
use crate::outgoing::{Outgoing, reveal};
use crate::speech::{Speech, shortened};

const URL: &str = "https://api.pushover.net/1/messages.json";

/// The service refuses longer texts.
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_MAX: usize = 512;

/// What is said where the templates say nothing: the service takes no empty message.
const NO_DETAILS: &str = "(no details)";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pushover {
    user: Source,
    token: Source,
    title: String,
    message: String,
    url: String,
    url_title: String,
    device: String,
    sound: String,
    priority: String,
    retry_secs: u64,
    expire_secs: u64,
    ttl: String,
    style: Option<&'static str>,
}

pub(super) fn decode(section: &Section<'_>, _: &Globals) -> Option<Kind> {
    let flag = |key| section.boolean(key).unwrap_or(false);
    let (html, monospace) = (flag("html"), flag("monospace"));
    if html && monospace {
        section.place().error("at most one of monospace & html must be configured", "");
    }
    let seconds = |key, default| keys::whole_seconds(section, key).map_or(default, |time| time.as_secs());
    let ttl = section.get("ttl").and_then(|place| place.string()).unwrap_or_default();
    let ttl_secs = model::parse_duration(&ttl).map(|time| time.as_secs()).unwrap_or(0);
    if !ttl.is_empty()
        && ttl_secs == 0
        && let Some(place) = section.get("ttl")
    {
        place.error(format!("{ttl:?} is no time"), "such as 1h");
    }
    Some(Kind::Pushover(Box::new(Pushover {
        user: keys::needed(section, "user_key", "user_key_file"),
        token: keys::needed(section, "token", "token_file"),
        title: keys::template(section, "title", "{{ template \"pushover.default.title\" . }}"),
        message: keys::template(section, "message", "{{ template \"pushover.default.message\" . }}"),
        url: keys::template(section, "url", "{{ template \"pushover.default.url\" . }}"),
        url_title: keys::template(section, "url_title", ""),
        device: keys::template(section, "device", ""),
        sound: keys::template(section, "sound", ""),
        priority: keys::template(section, "priority", "{{ if eq .Status \"firing\" }}2{{ else }}0{{ end }}"),
        retry_secs: seconds("retry", 60),
        expire_secs: seconds("expire", 3600),
        ttl: if ttl_secs > 0 { ttl_secs.to_string() } else { String::new() },
        style: html.then_some("html").or(monospace.then_some("monospace")),
    })))
}

impl Pushover {
    pub(super) fn compose(&self, speech: &Speech<'_>) -> Result<Outgoing, Error> {
        let message = shortened(&speech.body(&self.message, Output::Text), MESSAGE_MAX);
        let message = if message.trim().is_empty() { NO_DETAILS } else { message.trim() };
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("device", &speech.text(&self.device));
        query.append_pair("expire", &self.expire_secs.to_string());
        if self.style == Some("html") {
            query.append_pair("html", "1");
        }
        query.append_pair("message", message);
        if self.style == Some("monospace") {
            query.append_pair("monospace", "1");
        }
        query.append_pair("priority", speech.text(&self.priority).trim());
        query.append_pair("retry", &self.retry_secs.to_string());
        query.append_pair("sound", &speech.text(&self.sound));
        query.append_pair("title", &shortened(&speech.title(&self.title), TITLE_MAX));
        query.append_pair("token", &reveal(&self.token)?);
        if !self.ttl.is_empty() {
            query.append_pair("ttl", &self.ttl);
        }
        query.append_pair("url", &shortened(&speech.text(&self.url), URL_MAX));
        query.append_pair("url_title", &speech.text(&self.url_title));
        query.append_pair("user", &reveal(&self.user)?);
        // In the body, so that no log of a proxy has the token; the service reads either.
        let body = query.finish().into_bytes();
        Ok(Outgoing::post(Uri::from_static(URL), "application/x-www-form-urlencoded", body).retry(&[429]))
    }
}

#[cfg(test)]
mod tests {
    use model::{Alert, Labels};

    use super::*;
    use crate::decide::Reason;
    use crate::group::Told;
    use crate::payload::Message;

    fn body(keys: &str) -> String {
        let report = yaml::Report::default();
        let root = yaml::parse("a", &format!("{{user_key: u, token: t{keys}}}")).unwrap();
        let section = yaml::Place::root(&root, "a", &report).section().unwrap();
        let Some(Kind::Pushover(pushover)) = decode(&section, &Globals::default()) else { unreachable!() };
        section.finish();
        assert_eq!(report.into_problems(), []);
        let labels = Labels::from_pairs([("alertname", "HighLoad"), ("job", "node")]);
        let alert = Alert {
            annotations: Labels::from_pairs([("summary", "load <5> & \"x\"")]),
            starts_at: 0,
            ends_at: 0,
            generator_url: "http://p/graph?g0.expr=a%3E1&g0.tab=1".to_owned(),
            labels: labels.clone(),
        };
        let told = [Told { fingerprint: 1, resolved: false, alert }];
        let group_labels = Labels::from_pairs([("alertname", "HighLoad")]);
        let external_url = "http://am.example:9093";
        let (receiver, reason, group_key) = ("all", Reason::First, "{}");
        let message = Message { receiver, reason, told: &told, group_labels: &group_labels, group_key, external_url };
        let library = crate::speech::defaults();
        let request = pushover.compose(&Speech::new(message, &library, 0)).unwrap();
        String::from_utf8(request.body).unwrap()
    }

    /// Fields, their order and limits are those of the query of Alertmanager 0.33.1 with these templates.
    #[test]
    fn says_what_alertmanager_says() {
        assert_eq!(
            body(""),
            "device=&expire=3600&message=HighLoad+node%0AFiring%3A%0A+-+alertname+%3D+HighLoad%0A+-+job+%3D+node%0A+*+summary%3A+load+%3C5%3E+%26+%22x%22%0A+http%3A%2F%2Fam.example%3A9093%2Falerts%2Falert%2F0000000000000001&priority=2&retry=60&sound=&title=%5BFIRING%3A1%5D+HighLoad+%28node%29&token=t&url=http%3A%2F%2Fam.example%3A9093%2Falerts%3Freceiver%3Dall&url_title=&user=u"
        );
        assert_eq!(
            body(
                ", title: T, message: M, url: 'http://u', url_title: ut, device: d, sound: s, priority: '1', retry: 45s, expire: 30m, ttl: 1h, html: true"
            ),
            "device=d&expire=1800&html=1&message=M&priority=1&retry=45&sound=s&title=T&token=t&ttl=3600&url=http%3A%2F%2Fu&url_title=ut&user=u"
        );
    }
}
