//! `rules`, `alerts` and `alertmanagers`: what is judged.

use model::Matcher;
use model::status::{AlertState, AlertStatus, AlertingStatus, Health, RuleGroupStatus, RuleStatus};
use promql::quote;

use crate::State;
use crate::call::Call;
use crate::failure::Failure;
use crate::form::{parse_integer, read_selector};
use crate::json::{Object, push_array};
use crate::number::push_exponent;
use crate::reply::Reply;
use crate::time::format_time;

/// What of the rules is asked for.
struct Filter<'a> {
    alerting: bool,
    recording: bool,
    names: Vec<&'a str>,
    groups: Vec<&'a str>,
    files: Vec<&'a str>,
    selectors: Vec<Vec<Matcher>>,
    without_alerts: bool,
}

/// A page of groups.
struct Page<'a> {
    size: usize,
    token: &'a str,
}

/// `rules`: groups with their rules, and those with their alerts.
pub(crate) fn rules(state: &State, call: &Call) -> Result<Reply, Failure> {
    call.form.whole()?;
    let filter = Filter::read(call)?;
    let page = Page::read(call)?;
    let mut groups = state.rules.groups();
    groups.retain(|group| filter.wants_group(group));
    for group in &mut groups {
        group.rules.retain(|rule| filter.wants_rule(rule));
    }
    groups.retain(|group| !group.rules.is_empty());
    let next = page.map(|page| page.cut(&mut groups)).transpose()?.flatten();
    Ok(Reply::object(|object| {
        object.array("groups", &groups, |out, group| push_group(out, group, filter.without_alerts));
        if let Some(token) = next {
            object.text("groupNextToken", &token);
        }
    }))
}

impl<'a> Filter<'a> {
    fn read(call: &'a Call) -> Result<Self, Failure> {
        let kind = call.form.get("type").to_lowercase();
        if !matches!(&kind[..], "" | "alert" | "record") {
            return Err(Failure::parameter("type", &format!("not supported value {}", quote(kind.as_bytes()))));
        }
        let selectors = call.form.all("match[]").map(read_selector).collect::<Result<_, _>>();
        let without_alerts = parse_bool(call.form.get("exclude_alerts")).map_err(|reason| {
            Failure::parameter("exclude_alerts", &format!("error converting exclude_alerts: {reason}"))
        })?;
        Ok(Self {
            alerting: kind != "record",
            recording: kind != "alert",
            names: call.form.all("rule_name[]").collect(),
            groups: call.form.all("rule_group[]").collect(),
            files: call.form.all("file[]").collect(),
            selectors: selectors.map_err(Failure::bad_data)?,
            without_alerts,
        })
    }

    fn wants_group(&self, group: &RuleGroupStatus) -> bool {
        let listed = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
        listed(&self.groups, &group.name) && listed(&self.files, &group.file)
    }

    fn wants_rule(&self, rule: &RuleStatus) -> bool {
        let of_kind = if rule.alerting.is_some() { self.alerting } else { self.recording };
        let named = self.names.is_empty() || self.names.contains(&&rule.name[..]);
        let mut selectors = self.selectors.iter();
        let matches = |matchers: &Vec<Matcher>| matchers.iter().all(|matcher| matcher.matches_labels(&rule.labels));
        of_kind && named && (self.selectors.is_empty() || selectors.any(matches))
    }
}

/// A boolean as Go's `ParseBool` reads it; empty is false.
fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quote(text.as_bytes()))),
    }
}

impl<'a> Page<'a> {
    fn read(call: &'a Call) -> Result<Option<Self>, Failure> {
        let (size, token) = (call.form.get("group_limit"), call.form.get("group_next_token"));
        if size.is_empty() {
            let reason = "group_limit needs to be present in order to paginate over the groups";
            let stray = !token.is_empty();
            return if stray { Err(Failure::parameter("group_next_token", reason)) } else { Ok(None) };
        }
        let number = parse_integer(size, "ParseInt").and_then(|number| {
            let too_large = |_| format!("strconv.ParseInt: parsing {}: value out of range", quote(size.as_bytes()));
            i32::try_from(number).map_err(too_large)
        });
        let size = number.map_err(|reason| {
            Failure::parameter("group_limit", &format!("group_limit needs to be a valid number: {reason}"))
        })?;
        let size = usize::try_from(size).ok().filter(|&size| size > 0);
        let size = size.ok_or_else(|| Failure::parameter("group_limit", "group_limit needs to be greater than 0"))?;
        Ok(Some(Self { size, token }))
    }

    /// Keeps the groups of this page; gives the token of the next.
    fn cut(&self, groups: &mut Vec<RuleGroupStatus>) -> Result<Option<String>, Failure> {
        if !self.token.is_empty() {
            let start = groups.iter().position(|group| token(group) == self.token).ok_or_else(|| {
                let reason = format!("invalid group_next_token '{}'. were rule groups changed?", self.token);
                Failure::parameter("group_next_token", &reason)
            })?;
            groups.drain(..start);
        }
        let next = groups.get(self.size).map(token);
        groups.truncate(self.size);
        Ok(next)
    }
}

/// Names a group for the next page: its file and name, in hexadecimal so that it survives any URL.
fn token(group: &RuleGroupStatus) -> String {
    let text = format!("{};{}", group.file, group.name);
    text.bytes().map(|byte| format!("{byte:02x}")).collect()
}

fn push_group(out: &mut Vec<u8>, group: &RuleGroupStatus, without_alerts: bool) {
    let mut object = Object::new(out);
    object.text("name", &group.name).text("file", &group.file);
    object.array("rules", &group.rules, |out, rule| push_rule(out, rule, without_alerts));
    object.float("interval", group.interval.as_secs_f64()).integer("limit", group.limit.cast_signed());
    object.float("evaluationTime", group.evaluation_time.as_secs_f64());
    object.text("lastEvaluation", &format_time(group.last_evaluation));
    object.end();
}

fn push_rule(out: &mut Vec<u8>, rule: &RuleStatus, without_alerts: bool) {
    let mut object = Object::new(out);
    match &rule.alerting {
        Some(alerting) => push_alerting(&mut object, rule, alerting, without_alerts),
        None => {
            object.text("name", &rule.name).text("query", &rule.query);
            if !rule.labels.is_empty() {
                object.labels("labels", &rule.labels);
            }
        }
    }
    object.text("health", rule_health(rule.health));
    if !rule.last_error.is_empty() {
        object.text("lastError", &rule.last_error);
    }
    object.float("evaluationTime", rule.evaluation_time.as_secs_f64());
    object.text("lastEvaluation", &format_time(rule.last_evaluation));
    object.text("type", if rule.alerting.is_some() { "alerting" } else { "recording" });
    object.end();
}

fn push_alerting(object: &mut Object<'_>, rule: &RuleStatus, alerting: &AlertingStatus, without_alerts: bool) {
    let state = alerting.alerts.iter().map(|alert| alert.state).max().unwrap_or(AlertState::Inactive);
    object.text("state", state_word(state)).text("name", &rule.name).text("query", &rule.query);
    object.float("duration", alerting.hold.as_secs_f64());
    object.float("keepFiringFor", alerting.keep_firing.as_secs_f64());
    object.labels("labels", &rule.labels).labels("annotations", &alerting.annotations);
    if without_alerts {
        object.word("alerts", "null");
    } else {
        object.array("alerts", &alerting.alerts, push_alert);
    }
}

fn push_alert(out: &mut Vec<u8>, alert: &AlertStatus) {
    let mut object = Object::new(out);
    object.labels("labels", &alert.labels).labels("annotations", &alert.annotations);
    object.text("state", state_word(alert.state)).text("activeAt", &format_time(Some(alert.active_at)));
    if alert.keep_firing_since.is_some() {
        object.text("keepFiringSince", &format_time(alert.keep_firing_since));
    }
    let value = object.field("value");
    value.push(b'"');
    push_exponent(value, alert.value);
    value.push(b'"');
    object.end();
}

fn rule_health(health: Health) -> &'static str {
    match health {
        Health::Unknown => "unknown",
        Health::Good => "ok",
        Health::Bad => "err",
    }
}

fn state_word(state: AlertState) -> &'static str {
    match state {
        AlertState::Inactive => "inactive",
        AlertState::Pending => "pending",
        AlertState::Firing => "firing",
    }
}

/// `alerts`: all that are active.
pub(crate) fn alerts(state: &State, _: &Call) -> Result<Reply, Failure> {
    let groups = state.rules.groups();
    let rules = groups.iter().flat_map(|group| &group.rules);
    let alerts = rules.filter_map(|rule| rule.alerting.as_ref()).flat_map(|alerting| &alerting.alerts);
    Ok(Reply::object(|object| {
        object.array("alerts", alerts, push_alert);
    }))
}

/// `alertmanagers`: where alerts are sent.
pub(crate) fn alertmanagers(state: &State, _: &Call) -> Result<Reply, Failure> {
    let urls = state.process.alertmanagers();
    Ok(Reply::object(|object| {
        object.array("activeAlertmanagers", &urls, |out, url| {
            let mut object = Object::new(out);
            object.text("url", url);
            object.end();
        });
        push_array(object.field("droppedAlertmanagers"), [(); 0], |_, ()| {});
    }))
}
