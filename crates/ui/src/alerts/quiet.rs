//! Quiet hours: the form in which somebody says when little may be told, with a preview of what that would keep back now.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::tz::TimeZone;
use model::Timestamp;
use model::status::{NotificationsView, NotifiedAlert, QuietHours};

use super::fields::{self, Fields};
use super::list::{Kind, Row};
use super::{Tab, left};
use crate::Ui;
use crate::page::{Shell, respond};
use crate::params::Params;
use crate::problem::Problem;
use crate::targets::State3;

/// Alerts in the preview; the rest is counted.
const PREVIEW_MAX: usize = 20;

/// The days as addresses and people name them.
const DAYS: [(&str, &str); 7] = [
    ("mo", "Monday"),
    ("tu", "Tuesday"),
    ("we", "Wednesday"),
    ("th", "Thursday"),
    ("fr", "Friday"),
    ("sa", "Saturday"),
    ("su", "Sunday"),
];

#[derive(Template)]
#[template(path = "alert_quiet.html")]
struct Page {
    shell: Shell,
    tab: Tab,
    form: Form,
    error: String,
    /// What the form says, in a sentence.
    sentence: String,
    /// The time where the clock hangs.
    clock: String,
    keeping: Vec<Row>,
    hidden: usize,
    receivers: Vec<String>,
    zones: Vec<String>,
    told: bool,
}

/// What somebody typed.
struct Form {
    /// Of those that are changed; empty for new ones.
    id: String,
    /// Each day with its two letters, its name, and whether they begin on it.
    days: Vec<(&'static str, &'static str, bool)>,
    from: String,
    to: String,
    zone: String,
    receiver: String,
    heard: String,
    comment: String,
}

impl Form {
    fn read(params: &Params) -> Self {
        let text = |name| params.get(name).unwrap_or_default().trim().to_owned();
        let is_new = !params.has("from");
        let or = |name, default: &str| if is_new { default.to_owned() } else { text(name) };
        let zone = TimeZone::system().iana_name().unwrap_or("UTC").to_owned();
        Self {
            id: text("id"),
            days: DAYS.map(|(short, name)| (short, name, is_new || params.all("day").any(|day| day == short))).to_vec(),
            from: or("from", "22:00"),
            to: or("to", "07:00"),
            zone: or("zone", &zone),
            receiver: text("receiver"),
            heard: or("heard", "critical"),
            comment: text("comment"),
        }
    }

    /// Those that are kept as the form shows them.
    fn of(hours: &QuietHours) -> Self {
        let days = DAYS.iter().zip(hours.days).map(|((short, name), on)| (*short, *name, on));
        Self {
            id: hours.id.clone(),
            days: days.collect(),
            from: time(hours.from),
            to: time(hours.to),
            zone: hours.zone.clone(),
            receiver: hours.receiver.clone(),
            heard: hours.heard.join(", "),
            comment: hours.comment.clone(),
        }
    }

    /// The hours that it describes, and the reason why they are none.
    fn hours(&self) -> Result<QuietHours, String> {
        let mut days = [false; 7];
        days.iter_mut().zip(&self.days).for_each(|(day, (_, _, on))| *day = *on);
        if !days.contains(&true) {
            return Err("Choose at least one day.".to_owned());
        }
        let zone = if self.zone.is_empty() { "UTC" } else { &self.zone };
        if TimeZone::get(zone).is_err() {
            return Err(format!("There is no time zone {zone:?}: write UTC, or a name such as Europe/Berlin."));
        }
        let heard = self.heard.split(',').map(str::trim).filter(|word| !word.is_empty());
        Ok(QuietHours {
            id: self.id.clone(),
            receiver: self.receiver.clone(),
            days,
            from: minutes(&self.from)?,
            to: minutes(&self.to)?,
            zone: zone.to_owned(),
            heard: heard.map(str::to_owned).collect(),
            comment: self.comment.clone(),
            ..QuietHours::default()
        })
    }
}

/// The minute of the day.
fn minutes(text: &str) -> Result<u16, String> {
    let read = |text: &str, below: u16| text.parse().ok().filter(|number: &u16| *number < below);
    let parts = text.split_once(':').and_then(|(hours, minutes)| Some((read(hours, 24)?, read(minutes, 60)?)));
    let (hours, minutes) = parts.ok_or_else(|| format!("{text:?} is no time of the day: write one such as 22:00."))?;
    Ok(hours * 60 + minutes)
}

fn time(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// `every day`, `Monday to Friday`, `Saturday and Sunday`.
fn days(days: &[bool; 7]) -> String {
    let names: Vec<&str> = DAYS.iter().zip(days).filter(|(_, on)| **on).map(|((_, name), _)| *name).collect();
    match (days, names.as_slice()) {
        ([true, true, true, true, true, true, true], _) => "every day".to_owned(),
        ([true, true, true, true, true, false, false], _) => "Monday to Friday".to_owned(),
        (_, [first @ .., last]) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        (_, names) => names.join(""),
    }
}

/// When they are: `every day from 22:00 to 07:00`.
fn when(hours: &QuietHours) -> String {
    let days = days(&hours.days);
    match (hours.from, hours.to) {
        (0, 0) => format!("{days}, the whole day"),
        (from, to) => format!("{days} from {} to {}", time(from), time(to)),
    }
}

/// What they do, in a sentence.
fn sentence(hours: &QuietHours) -> String {
    let whom = if hours.receiver.is_empty() { "nobody".to_owned() } else { format!("{:?} is not", hours.receiver) };
    let verb = if hours.receiver.is_empty() { " is told" } else { " told" };
    let but = match hours.heard.as_slice() {
        [] => "anything".to_owned(),
        heard => format!("anything but alerts of severity {}", heard.join(" or ")),
    };
    let mut when = when(hours);
    when.get_mut(..1).iter_mut().for_each(|first| first.make_ascii_uppercase());
    format!("{when} in {}, {whom}{verb} of {but}.", hours.zone)
}

/// Quiet hours in the list.
pub(super) struct Hours {
    pub(super) id: String,
    pub(super) state: State3,
    /// `Every day from 22:00 to 07:00`.
    pub(super) when: String,
    pub(super) zone: String,
    pub(super) receiver: String,
    pub(super) heard: String,
    pub(super) comment: String,
    /// `5 h left`, `begins in 2 h`.
    pub(super) left: String,
    /// How many alerts they keep back now.
    pub(super) alerts: usize,
}

impl Hours {
    pub(super) fn new(hours: &QuietHours, alerts: &[NotifiedAlert], now: Timestamp) -> Self {
        let is_kept =
            |alert: &&NotifiedAlert| hours.keep_back(&alert.receiver, alert.labels.get("severity").unwrap_or_default());
        let (state, left, alerts) = match (hours.ends_at, hours.begins_at) {
            (Some(end), _) => {
                let state = State3 { word: "quiet now", class: "good", icon: "pause" };
                (state, format!("{} left", left(end, now)), alerts.iter().filter(is_kept).count())
            }
            (None, begin) => {
                let left = begin.map(|begin| format!("begins in {}", left(begin, now))).unwrap_or_default();
                (State3 { word: "waits", class: "idle", icon: "clock" }, left, 0)
            }
        };
        Self {
            id: hours.id.clone(),
            state,
            when: when(hours),
            zone: hours.zone.clone(),
            receiver: hours.receiver.clone(),
            heard: hours.heard.join(", "),
            comment: hours.comment.clone(),
            left,
            alerts,
        }
    }
}

/// The handler of the form and its preview.
pub(crate) async fn page(State(ui): State<Arc<Ui>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let params = Params::parse(query.as_deref());
    let view = ui.state.notifications.view().await;
    let asked = params.get("id").filter(|_| !params.has("from"));
    let known = view.iter().flat_map(|view| &view.quiet_hours);
    let form = match asked.map(|id| known.clone().find(|hours| hours.id == id)) {
        None => Form::read(&params),
        Some(Some(hours)) => Form::of(hours),
        Some(None) => {
            let problem = Problem::new(StatusCode::NOT_FOUND, "These quiet hours are gone", "Somebody removed them.");
            return problem.respond(&ui, &headers);
        }
    };
    show(&ui, &params, form, String::new(), view, &headers)
}

/// The form, with what is wrong with it: what was refused, else what cannot be kept.
fn show(
    ui: &Arc<Ui>,
    params: &Params,
    form: Form,
    refused: String,
    view: Option<NotificationsView>,
    headers: &HeaderMap,
) -> Response {
    let status = if refused.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let title = if form.id.is_empty() { "New quiet hours" } else { "Change quiet hours" };
    let mut shell = Shell::new(ui, params, "/alerts", title);
    shell.range = None;
    let told = view.is_some();
    let view = view.unwrap_or_default();
    let mut keeping = Vec::new();
    let (mut said, mut clock) = (String::new(), String::new());
    let mut error = refused;
    match form.hours() {
        Ok(hours) => {
            (said, clock) = (sentence(&hours), local(&hours.zone, ui.state.clock.now()));
            let is_kept = |row: &Row| row.receivers.iter().any(|name| hours.keep_back(name, &row.alert.severity));
            keeping = ui.rows(&view, &shell.prefix, ui.state.clock.now());
            keeping.retain(|row| row.kind != Kind::Pending && is_kept(row));
        }
        Err(mistake) if error.is_empty() => error = mistake,
        Err(_) => {}
    }
    let hidden = keeping.len().saturating_sub(PREVIEW_MAX);
    keeping.truncate(PREVIEW_MAX);
    let page = Page {
        shell,
        tab: Tab::None,
        receivers: view.receiver_names(&form.receiver),
        zones: jiff::tz::db().available().map(|zone| zone.to_string()).collect(),
        form,
        error,
        sentence: said,
        clock,
        keeping,
        hidden,
        told,
    };
    respond(status, headers, page.render())
}

/// Day and time in a zone.
fn local(zone: &str, now: Timestamp) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let now = jiff::Timestamp::from_millisecond(now).unwrap_or_default().to_zoned(zone);
    now.strftime("%A %H:%M").to_string()
}

/// The handler that keeps them.
pub(crate) async fn save(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let form = Form::read(&params);
    let result = match form.hours() {
        Ok(hours) => ui.state.notifications.set_quiet_hours(hours).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(_) => fields::see_other(&ui, "/alerts/silences"),
        Err(error) => {
            let view = ui.state.notifications.view().await;
            show(&ui, &params, form, error, view, &headers)
        }
    }
}

/// The handler that removes some.
pub(crate) async fn remove(State(ui): State<Arc<Ui>>, headers: HeaderMap, Fields(params): Fields) -> Response {
    let id = params.get("id").unwrap_or_default().to_owned();
    let result = ui.state.notifications.remove_quiet_hours(id).await;
    fields::done(&ui, &headers, result, "/alerts/silences")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_quiet_hours() {
        let check = |query: &str, expected: &str| {
            let got = Form::read(&Params::parse(Some(query))).hours().map(|hours| sentence(&hours));
            assert_eq!(got.unwrap_or_else(|error| error), expected, "{query}");
        };
        let night = "day=mo&day=tu&day=we&day=th&day=fr&day=sa&day=su&from=22:00&to=07:00&zone=UTC&heard=critical";
        check(
            night,
            "Every day from 22:00 to 07:00 in UTC, nobody is told of anything but alerts of severity critical.",
        );
        check(
            "day=sa&day=su&from=00:00&to=00:00&zone=Europe/Berlin&receiver=mail",
            "Saturday and Sunday, the whole day in Europe/Berlin, \"mail\" is not told of anything.",
        );
        check("from=22:00&to=07:00", "Choose at least one day.");
        check("day=mo&from=24:00&to=07:00", "\"24:00\" is no time of the day: write one such as 22:00.");
        check("day=mo&from=&to=07:00", "\"\" is no time of the day: write one such as 22:00.");
        check(
            "day=mo&from=1:05&to=07:00&zone=Berlin",
            "There is no time zone \"Berlin\": write UTC, or a name such as Europe/Berlin.",
        );
        let first = Form::read(&Params::default()).hours().unwrap();
        assert_eq!((first.days, first.from, first.to), ([true; 7], 22 * 60, 7 * 60));
    }

    #[test]
    fn kept_hours_come_back_into_the_form() {
        let hours = QuietHours {
            days: [true, false, true, false, false, false, true],
            from: 65,
            to: 1439,
            zone: "Europe/Berlin".to_owned(),
            heard: vec!["critical".to_owned(), "page".to_owned()],
            ..QuietHours::default()
        };
        assert_eq!(Form::of(&hours).hours().unwrap(), hours);
        assert_eq!(when(&hours), "Monday, Wednesday and Sunday from 01:05 to 23:59");
    }
}
