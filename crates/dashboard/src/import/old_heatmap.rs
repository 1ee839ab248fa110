//! The heatmap of before Grafana 9, whose settings stand in the panel itself.

use super::field::DECIMALS_MAX;
use crate::json::Object;
use crate::visual::{Bound, BucketSize, Heatmap};

/// Whether the panel has its settings so.
pub(super) fn is_old(panel: &Object<'_>) -> bool {
    ["dataFormat", "yAxis", "cards", "heatmap", "yBucketBound"].iter().any(|key| panel.has(key))
}

pub(super) fn read(panel: &Object<'_>) -> Heatmap {
    panel.ignore(&[
        "options",
        "xAxis",
        "heatmap",
        "highlightCards",
        "cards",
        "hideZeroBuckets",
        "dataFormat",
        "tooltip",
    ]);
    let size = |size: &'static str, count: &'static str| match (panel.filled(size), panel.number(count)) {
        (Some(size), _) => BucketSize::Size(size),
        (None, Some(count)) => BucketSize::Count(count),
        (None, None) => BucketSize::Auto,
    };
    let mut map = Heatmap {
        calculate: panel.string("dataFormat") != "tsbuckets",
        x_buckets: size("xBucketSize", "xBucketNumber"),
        y_buckets: size("yBucketSize", "yBucketNumber"),
        steps: 128,
        exponent: 0.5,
        gap: panel.object("cards").and_then(|cards| cards.number("cardPadding")).unwrap_or(1.0),
        hide_below: panel.is("hideZeroBuckets").then_some(1e-9),
        y_reverse: panel.is("reverseYBuckets"),
        bound: panel.word("yBucketBound", &BOUNDS).unwrap_or_default(),
        legend: panel.object("legend").is_some_and(|legend| legend.is("show")),
        tooltip: true,
        ..Heatmap::default()
    };
    if let Some(tooltip) = panel.object("tooltip") {
        tooltip.ignore(&["showHistogram", "show"]);
        map.tooltip = tooltip.flag("show").unwrap_or(true);
        map.histogram = tooltip.is("showHistogram");
    }
    if let Some(color) = panel.object("color") {
        self::color(&color, &mut map);
    }
    if let Some(axis) = panel.object("yAxis") {
        self::axis(&axis, &mut map);
    }
    map
}

const BOUNDS: [(&str, Bound); 4] =
    [("auto", Bound::Auto), ("upper", Bound::Upper), ("lower", Bound::Lower), ("middle", Bound::Middle)];

fn color(color: &Object<'_>, map: &mut Heatmap) {
    color.ignore(&["mode", "cardColor", "colorScale", "exponent", "colorScheme"]);
    // Its schemes were functions of a library: `interpolateOranges`.
    map.scheme = color.string("colorScheme").trim_start_matches("interpolate").to_owned();
    map.color_min = color.number("min");
    map.color_max = color.number("max");
    map.exponent = color.number("exponent").unwrap_or(0.5);
    if color.string("colorScale") == "linear" {
        map.exponent = 1.0;
    }
    map.fill = (color.string("mode") == "opacity").then(|| color.string("cardColor"));
}

fn axis(axis: &Object<'_>, map: &mut Heatmap) {
    axis.ignore(&["show", "width"]);
    map.y_unit = axis.filled("format");
    map.y_decimals = axis.count("decimals", DECIMALS_MAX);
    map.y_min = axis.number("min");
    map.y_max = axis.number("max");
    if axis.number("logBase").is_some_and(|base| base > 1.0) && map.calculate {
        axis.lose("logBase", "buckets of even height are made");
    }
    axis.ignore(&["logBase"]);
    axis.lose("splitFactor", "buckets are not split");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{Bound, BucketSize, Visual, import};

    #[test]
    fn old_heatmaps_are_read() {
        let panel = json!({
            "type": "heatmap", "dataFormat": "tsbuckets", "yBucketBound": "upper", "hideZeroBuckets": true, "reverseYBuckets": false,
            "color": {"mode": "spectrum", "colorScheme": "interpolateOranges", "exponent": 0.5, "colorScale": "sqrt", "cardColor": "#b4ff00"},
            "yAxis": {"format": "s", "decimals": 0, "logBase": 1, "show": true, "min": null, "splitFactor": null},
            "xAxis": {"show": true}, "tooltip": {"show": true, "showHistogram": true}, "legend": {"show": true}, "heatmap": {},
            "cards": {"cardPadding": 2, "cardRound": null}, "highlightCards": true, "yBucketNumber": 20,
        });
        let imported = import(&json!({"schemaVersion": 27, "panels": [panel]}).to_string()).unwrap();
        assert!(imported.report.is_empty(), "{}", imported.report);
        let panel = imported.dashboard.panels().next().unwrap();
        let Visual::Heatmap(map) = &panel.visual else { panic!("{:?}", panel.visual) };
        assert_eq!((map.scheme.as_str(), map.y_unit.as_deref(), map.calculate), ("Oranges", Some("s"), false));
        assert_eq!((map.bound, map.gap, map.histogram, map.hide_below), (Bound::Upper, 2.0, true, Some(1e-9)));
        assert_eq!(map.y_buckets, BucketSize::Count(20.0));
    }
}
