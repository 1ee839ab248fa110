//! What a panel's kind decides where its columns say nothing.

use crate::board::Panel;
use crate::color::{ColorMode, Continuous};
use crate::threshold::{Step, Thresholds};
use crate::visual::Visual;

/// Fills in colours, limits, widths and fillings as the kinds have them by themselves.
pub(super) fn fill(panel: &mut Panel) {
    let options = &mut panel.fields.defaults;
    let (color, line_width, fill_opacity) = match &panel.visual {
        Visual::TimeSeries(_) => (ColorMode::Classic, Some(1.0), Some(0.0)),
        Visual::Pie(_) => (ColorMode::Classic, None, None),
        Visual::StateTimeline(timeline) if timeline.cells => (ColorMode::Thresholds, Some(1.0), Some(70.0)),
        Visual::StateTimeline(_) => (ColorMode::Continuous(Continuous::GreenYellowRed), Some(0.0), Some(70.0)),
        _ => (ColorMode::Thresholds, None, None),
    };
    options.color.get_or_insert(color);
    options.line_width = options.line_width.or(line_width);
    options.fill_opacity = options.fill_opacity.or(fill_opacity);
    if matches!(panel.visual, Visual::TimeSeries(_)) {
        options.point_size.get_or_insert(5.0);
    }
    options.thresholds.get_or_insert_with(limits);
}

/// Green, and red from 80 on.
fn limits() -> Thresholds {
    let step = |(from, color): (f64, &str)| Step { from, color: color.to_owned() };
    Thresholds::new(false, [(f64::NEG_INFINITY, "green"), (80.0, "red")].map(step).to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_colors_of_their_own() {
        let check = |kind: &str, color: ColorMode, line_width: Option<f64>| {
            let json = format!("{{\"panels\": [{{\"type\": \"{kind}\"}}]}}");
            let dashboard = crate::import(&json).unwrap().dashboard;
            let defaults = &dashboard.panels().next().unwrap().fields.defaults;
            assert_eq!((defaults.color.as_ref(), defaults.line_width), (Some(&color), line_width), "{kind}");
            assert_eq!(defaults.thresholds.as_ref(), Some(&limits()), "{kind}");
        };
        check("timeseries", ColorMode::Classic, Some(1.0));
        check("graph", ColorMode::Classic, Some(1.0));
        check("piechart", ColorMode::Classic, None);
        check("stat", ColorMode::Thresholds, None);
        check("state-timeline", ColorMode::Continuous(Continuous::GreenYellowRed), Some(0.0));
        check("status-history", ColorMode::Thresholds, Some(1.0));
    }
}
