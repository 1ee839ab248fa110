//! `metric_name_validation_scheme` and `metric_name_escaping_scheme`: what names may be made of, and how others are spelt.

use exposition::Escaping;
use yaml::{Place, Section};

use super::global::given;

/// How names are judged and asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names of letters beyond the old alphabet are refused.
    pub legacy: bool,
    /// How the target is to spell them.
    pub escaping: Escaping,
}

const VALIDATION: &str = "metric_name_validation_scheme";
const ESCAPING: &str = "metric_name_escaping_scheme";

impl Names {
    /// Decodes the two keys of `global`. Prometheus judges their words only where there is a job that they hold for.
    pub(super) fn decode_global(section: &Section<'_>, has_jobs: bool) -> Self {
        let [validation, escaping] = [VALIDATION, ESCAPING].map(|key| section.get(key).filter(given));
        if !has_jobs {
            for place in [&validation, &escaping].into_iter().flatten() {
                place.string();
            }
            return Self::default();
        }
        let legacy = validation.and_then(|place| decode_validation(&place)).unwrap_or_default();
        let default = if legacy { Escaping::Underscores } else { Escaping::AllowUtf8 };
        Self { legacy, escaping: escaping.and_then(|place| decode_escaping(&place)).unwrap_or(default) }
    }

    /// Decodes the two keys of a job; those of `global` hold where they are absent.
    pub(super) fn decode_job(section: &Section<'_>, global: Self) -> Self {
        let [validation, escaping] = [VALIDATION, ESCAPING].map(|key| section.get(key).filter(given));
        let legacy = validation.as_ref().and_then(decode_validation).unwrap_or(global.legacy);
        let names = Self { legacy, escaping: escaping.as_ref().and_then(decode_escaping).unwrap_or(global.escaping) };
        if names.legacy && names.escaping == Escaping::AllowUtf8 {
            let place = validation.or(escaping).unwrap_or_else(|| section.place().clone());
            let hint = format!("add {ESCAPING}: underscores, or leave out {VALIDATION}");
            place.error("utf8 metric names requested but validation scheme is not set to UTF8", hint);
        }
        names
    }
}

/// Whether the scheme is the old one; nothing where the word is empty or unknown.
fn decode_validation(place: &Place<'_>) -> Option<bool> {
    match &*place.string()? {
        "" => None,
        "legacy" => Some(true),
        "utf8" => Some(false),
        word => {
            let message = format!("unknown name validation method {word:?}");
            place.error(message, "must be either legacy or utf8");
            None
        }
    }
}

fn decode_escaping(place: &Place<'_>) -> Option<Escaping> {
    let word = place.string().filter(|word| !word.is_empty())?;
    let scheme = Escaping::from_name(&word);
    if scheme.is_none() {
        let hint = "must be one of allow-utf-8, underscores, dots or values";
        place.error(format!("unknown name escaping method {word:?}"), hint);
    }
    scheme
}
