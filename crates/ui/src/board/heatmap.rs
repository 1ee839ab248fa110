//! Heat maps: buckets as they come, or made of values here.

use dashboard::{BucketSize, Column, Continuous, FieldType, Heatmap, Rgba, Unit, parse_duration_ms};

use super::canvas::{Canvas, Cell, color};
use super::model::{HeatmapPicture, HeatmapRow};

/// Cells of a picture.
const CELLS_MAX: usize = 200_000;
/// Buckets that are made where nobody says how many.
const ROWS: f64 = 20.0;
/// Buckets that are made at most.
const ROWS_MAX: usize = 200;
/// Colours where nobody says how many.
const STEPS: u32 = 64;
/// Columns of times that are made at most.
const COLUMNS_MAX: i64 = 990;
/// Columns of times that are made where nobody says how many.
const COLUMNS: f64 = 100.0;

/// Buckets over even times.
struct Buckets {
    start: i64,
    step: i64,
    count: usize,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    low: Option<f64>,
    high: Option<f64>,
    values: Vec<Option<f64>>,
}

/// Draws a panel.
pub(super) fn draw(canvas: &Canvas<'_>, visual: &Heatmap) -> HeatmapPicture {
    let mut buckets = if visual.calculate { made(canvas, visual) } else { given(canvas, visual) };
    buckets.rows.truncate(CELLS_MAX / buckets.count.max(1));
    let is_shown = |value: f64| {
        value.is_finite()
            && visual.hide_below.is_none_or(|below| value > below)
            && visual.hide_above.is_none_or(|above| value < above)
    };
    let shown = || buckets.rows.iter().flat_map(|row| row.values.iter().flatten()).filter(|value| is_shown(**value));
    let (low, high) = shown().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(*v), high.max(*v)));
    let min = visual.color_min.unwrap_or(if low.is_finite() { low } else { 0.0 });
    let max = visual.color_max.unwrap_or(if high.is_finite() { high } else { 1.0 });
    let colors = colors(visual);
    let level = |value: &Option<f64>| match value {
        Some(value) if is_shown(*value) => level(*value, (min, max), visual.exponent, colors.len()),
        _ => -1,
    };
    let round = |value: f64| crate::chart::round_for_chart(value, max - min);
    let row = |row: Row| HeatmapRow {
        c: row.values.iter().map(level).collect(),
        v: row.values.into_iter().map(|value| value.filter(|value| value.is_finite()).map(round)).collect(),
        name: row.name,
        low: row.low,
        high: row.high,
    };
    HeatmapPicture {
        start: buckets.start,
        step: buckets.step,
        count: buckets.count,
        from: canvas.range.from_ms,
        to: canvas.range.to_ms,
        rows: buckets.rows.into_iter().map(row).collect(),
        min,
        max,
        format: Unit::parse(visual.cell_unit.as_deref().unwrap_or("short")).recipe(visual.cell_decimals),
        y_format: Unit::parse(visual.y_unit.as_deref().unwrap_or("short")).recipe(visual.y_decimals),
        label: visual.y_label.clone(),
        right: visual.y_right,
        gap: visual.gap,
        legend: visual.legend,
        tooltip: visual.tooltip,
        turned: turned(visual),
        colors,
    }
}

fn level(value: f64, (min, max): (f64, f64), exponent: f64, colors: usize) -> i16 {
    let place = super::canvas::part(value, (min, max));
    let exponent = if exponent > 0.0 { exponent } else { 1.0 };
    let place = place.powf(exponent) * colors as f64;
    i16::try_from((place as usize).min(colors.saturating_sub(1))).unwrap_or(i16::MAX)
}

/// The colours from the lowest to the highest value.
fn colors(visual: &Heatmap) -> Vec<String> {
    let steps = if visual.steps == 0 { STEPS } else { visual.steps.clamp(2, 128) };
    let place = |at: u32| f64::from(at) / f64::from(steps - 1);
    if let Some(fill) = visual.fill.as_deref().and_then(Rgba::parse) {
        return (0..steps).map(|at| color(Rgba { alpha: place(at).max(0.02), ..fill })).collect();
    }
    let row = scheme(&visual.scheme);
    let at = |at: u32| if visual.reverse { 1.0 - place(at) } else { place(at) };
    (0..steps).map(|step| color(row.at(at(step)))).collect()
}

/// The theme in which Grafana turns a row of colours round, so that low values stay near the ground.
fn turned(visual: &Heatmap) -> Option<&'static str> {
    match visual.scheme.as_str() {
        _ if visual.fill.is_some() => None,
        "Blues" | "Greens" | "Greys" | "Oranges" | "Purples" | "Reds" | "BuGn" | "BuPu" | "GnBu" | "OrRd" | "PuBu"
        | "PuBuGn" | "PuRd" | "RdPu" | "YlGn" | "YlGnBu" | "YlOrBr" | "YlOrRd" => Some("dark"),
        "Viridis" | "Magma" | "Plasma" | "Inferno" | "Cividis" => Some("light"),
        _ => None,
    }
}

/// The row of colours that comes nearest to one of Grafana's.
fn scheme(name: &str) -> Continuous {
    match name {
        "Blues" | "GnBu" | "PuBu" => Continuous::Blues,
        "Greens" | "BuGn" | "YlGn" => Continuous::Greens,
        "Reds" | "Oranges" | "OrRd" | "YlOrRd" | "YlOrBr" | "PuRd" | "RdPu" => Continuous::Reds,
        "Purples" | "BuPu" => Continuous::Purples,
        "Viridis" | "YlGnBu" | "PuBuGn" | "Rainbow" | "Sinebow" => Continuous::Viridis,
        "Magma" => Continuous::Magma,
        "Plasma" | "Warm" => Continuous::Plasma,
        "Cividis" | "Cool" => Continuous::Cividis,
        "RdYlGn" | "Spectral" => Continuous::RedYellowGreen,
        "RdYlBu" | "Turbo" => Continuous::BlueYellowRed,
        _ => Continuous::Inferno,
    }
}

/// The times of the panel's queries, else of the first column of times.
fn grid(canvas: &Canvas<'_>) -> (i64, i64, usize) {
    if let Some((step, range)) = &canvas.grid {
        let step = i64::try_from(*step).unwrap_or(i64::MAX).max(1);
        return (range.from_ms, step, usize::try_from((range.to_ms - range.from_ms) / step).unwrap_or(0) + 1);
    }
    let all = canvas.frames.iter().flat_map(|frame| &frame.fields).filter_map(|field| match &field.values {
        Column::Times(times) => Some(times),
        _ => None,
    });
    let mut all: Vec<i64> = all.flatten().flatten().copied().collect();
    all.sort_unstable();
    all.dedup();
    let step = all.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(1).max(1);
    let (first, last) = (all.first().copied().unwrap_or(0), all.last().copied().unwrap_or(0));
    (first, step, usize::try_from((last - first) / step).unwrap_or(0).min(CELLS_MAX) + 1)
}

fn values(cell: Cell<'_>) -> impl Iterator<Item = (i64, f64)> {
    let times = cell.frame.fields.iter().find_map(|field| match &field.values {
        Column::Times(times) => Some(times),
        _ => None,
    });
    let times = times.map(Vec::as_slice).unwrap_or_default();
    let row = move |(at, time): (usize, &Option<i64>)| Some(((*time)?, cell.field.values.get(at).number()?));
    times.iter().enumerate().filter_map(row)
}

fn number_cells<'a>(canvas: &'a Canvas<'_>) -> impl Iterator<Item = Cell<'a>> {
    canvas.cells().filter(|cell| cell.field.values.kind() == FieldType::Number)
}

/// Columns are buckets, named by their ends.
fn given(canvas: &Canvas<'_>, visual: &Heatmap) -> Buckets {
    let (start, step, count) = grid(canvas);
    let mut rows: Vec<Row> = Vec::new();
    for cell in number_cells(canvas).take(CELLS_MAX / count) {
        let mut row = vec![None; count];
        for (time, value) in values(cell) {
            let at = usize::try_from((time - start).div_euclid(step)).ok().filter(|at| *at < count);
            if let Some(at) = at {
                row[at] = Some(value);
            }
        }
        rows.push(Row { name: cell.style.name.clone(), low: None, high: None, values: row });
    }
    let bound = |name: &str| match name.trim() {
        "+Inf" | "Inf" | "inf" => Some(f64::INFINITY),
        text => text.parse::<f64>().ok(),
    };
    let bounds: Option<Vec<f64>> = rows.iter().map(|row| bound(&row.name)).collect();
    if let Some(bounds) = bounds {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|a, b| bounds[*a].total_cmp(&bounds[*b]));
        let is_lower = visual.bound == dashboard::Bound::Lower;
        let end = |at: Option<&usize>| at.map(|at| bounds[*at]).filter(|bound| bound.is_finite());
        let mut by_place: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
        rows = order
            .iter()
            .enumerate()
            .filter_map(|(place, at)| {
                let row = by_place[*at].take()?;
                let (below, own) = (place.checked_sub(1).and_then(|below| order.get(below)), Some(at));
                let (low, high) = if is_lower { (own, order.get(place + 1)) } else { (below, own) };
                Some(Row { low: end(low), high: end(high), ..row })
            })
            .collect();
    }
    if visual.y_reverse {
        rows.reverse();
    }
    Buckets { start, step, count, rows }
}

/// Values are counted in buckets of even height and times of even length.
fn made(canvas: &Canvas<'_>, visual: &Heatmap) -> Buckets {
    let all: Vec<(i64, f64)> = number_cells(canvas).flat_map(values).filter(|(_, value)| value.is_finite()).collect();
    let (low, high) =
        all.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, v)| (low.min(*v), high.max(*v)));
    let (start, step, count) = grid(canvas);
    let length = step.saturating_mul(count as i64);
    let wide = match &visual.x_buckets {
        BucketSize::Auto => length as f64 / COLUMNS,
        BucketSize::Count(count) => length as f64 / count.max(1.0),
        BucketSize::Size(size) => parse_duration_ms(size).unwrap_or(1) as f64,
    };
    // Whole steps, so that each column has as many values as the others.
    let steps = ((wide / step as f64).ceil() as i64).max(count as i64 / COLUMNS_MAX).max(1);
    let wide = steps.saturating_mul(step);
    let count = usize::try_from(length / wide).unwrap_or(0) + 1;
    if all.is_empty() {
        return Buckets { start, step: wide, count, rows: Vec::new() };
    }
    let tall = match &visual.y_buckets {
        BucketSize::Auto => nice((high - low) / ROWS),
        BucketSize::Count(count) => nice((high - low) / count.max(1.0)),
        BucketSize::Size(size) => size.parse::<f64>().unwrap_or(0.0),
    };
    let tall = if tall > 0.0 && tall.is_finite() { tall } else { 1.0 };
    let tall = tall.max((high - low) / (ROWS_MAX - 1) as f64);
    let bottom = (low / tall).floor();
    let rows = ((high / tall).floor() - bottom) as usize + 1;
    let mut cells = vec![vec![None; count]; rows.min(ROWS_MAX + 1)];
    for (time, value) in all {
        let row = ((value / tall).floor() - bottom) as usize;
        let at = usize::try_from((time - start).div_euclid(wide)).unwrap_or(usize::MAX);
        if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(at)) {
            *cell = Some(cell.unwrap_or(0.0) + 1.0);
        }
    }
    let row = |(at, values): (usize, Vec<Option<f64>>)| {
        let low = (bottom + at as f64) * tall;
        let (low, high) = (Some(low), Some(low + tall));
        Row { name: crate::format::exact(low.unwrap_or(0.0)), low, high, values }
    };
    let mut rows: Vec<Row> = cells.into_iter().enumerate().map(row).collect();
    if visual.y_reverse {
        rows.reverse();
    }
    Buckets { start, step: wide, count, rows }
}

/// The next of 1, 2 and 5 with noughts.
fn nice(size: f64) -> f64 {
    if size <= 0.0 || !size.is_finite() {
        return 0.0;
    }
    let power = 10f64.powf(size.log10().floor());
    [1.0, 2.0, 5.0, 10.0].iter().map(|step| step * power).find(|step| *step >= size).unwrap_or(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_colours() {
        let check = |value: f64, exponent: f64, expected: i16| {
            assert_eq!(level(value, (0.0, 100.0), exponent, 10), expected, "{value} {exponent}");
        };
        check(0.0, 1.0, 0);
        check(55.0, 1.0, 5);
        check(100.0, 1.0, 9);
        check(500.0, 1.0, 9);
        check(25.0, 0.5, 5);
        check(f64::NAN, 1.0, 0);
    }

    #[test]
    fn buckets_are_round() {
        let check = |size: f64, expected: f64| assert!((nice(size) - expected).abs() < expected * 1e-9, "{size}");
        check(0.3, 0.5);
        check(7.0, 10.0);
        check(1.0, 1.0);
        check(130.0, 200.0);
        assert_eq!(nice(0.0), 0.0);
    }
}
