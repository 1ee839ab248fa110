//! How a column looks: the settings that a panel gives to all of its columns, and the overrides for some of them.

use crate::color::ColorMode;
use crate::link::Link;
use crate::mapping::Mapping;
use crate::reduce::Reducer;
use crate::threshold::Thresholds;

/// More overrides than a person writes; those past it are reported, since each is compared with every column.
pub const OVERRIDES_MAX: usize = 500;

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $kind:ty,)*) => {
        /// The settings of a column. What is absent is decided by the kind of panel.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct FieldOptions {
            $($(#[$doc])* pub $name: Option<$kind>,)*
        }

        impl FieldOptions {
            /// What `other` sets replaces what is set here.
            pub fn overlay(&mut self, other: &Self) {
                $(if other.$name.is_some() {
                    self.$name.clone_from(&other.$name);
                })*
            }
        }
    };
}

options! {
    /// Grafana's name of a unit, as in `reqps`, or `suffix:` and the like.
    unit: String,
    /// Digits after the point; absent, the value decides.
    decimals: u32,
    /// Lower end of the axis or gauge.
    min: f64,
    /// Upper end of the axis or gauge.
    max: f64,
    /// Whether the ends that are absent come from the column alone and not from all columns of the panel.
    field_min_max: bool,
    /// The column's name, with `${__field.labels.x}` and variables not filled in.
    display_name: String,
    /// What the column is about.
    description: String,
    /// Shown in place of no value.
    no_value: String,
    /// Where its colour comes from.
    color: ColorMode,
    /// Limits and their colours.
    thresholds: Thresholds,
    /// Texts and colours in place of values; the first that fits holds.
    mappings: Vec<Mapping>,
    /// Where a click on a value leads.
    links: Vec<Link>,
    /// Lines, bars or points.
    draw_style: DrawStyle,
    /// How points are joined.
    interpolation: Interpolation,
    /// Width of lines, in pixels.
    line_width: f64,
    /// Dashes of lines.
    line_style: LineStyle,
    /// How much of the area under the line is filled, 0 to 100.
    fill_opacity: f64,
    /// The column that the area reaches down to; absent, the axis.
    fill_below_to: String,
    /// Whether the area fades.
    gradient: Gradient,
    /// When points are drawn on a line.
    show_points: ShowPoints,
    /// Diameter of points, in pixels.
    point_size: f64,
    /// What a missing value does to a line.
    nulls: Nulls,
    /// Where a gap is put between points far apart, in milliseconds; absent, nowhere.
    insert_nulls_ms: f64,
    /// Which columns are stacked on each other.
    stacking: Stacking,
    /// The values as they are, or downwards.
    transform: Negate,
    /// Where bars stand at their time: -1 before, 0 about, 1 after.
    bar_alignment: i8,
    /// Part of the step that a bar takes, 0 to 1.
    bar_width: f64,
    /// Greatest width of a bar in pixels.
    bar_width_max: f64,
    /// Which side the axis stands on.
    axis_placement: AxisPlacement,
    /// Text beside the axis.
    axis_label: String,
    /// Width of the axis in pixels.
    axis_width: f64,
    /// The axis reaches down to this, further if values do.
    soft_min: f64,
    /// The axis reaches up to this, further if values do.
    soft_max: f64,
    /// Whether zero stays in the middle.
    axis_centered: bool,
    /// Whether the axis takes the colour of its column.
    axis_colored: bool,
    /// Whether the axis has a line of its own.
    axis_border: bool,
    /// Whether lines run from the axis through the picture.
    axis_grid: bool,
    /// Steps of the axis.
    scale: Scale,
    /// How thresholds are drawn behind lines.
    threshold_style: ThresholdStyle,
    /// Where the column does not appear.
    hide: Hide,
    /// Table: where the text of a cell stands.
    align: Align,
    /// Table: how a cell looks.
    cell: Cell,
    /// Table: width of the column in pixels.
    width: f64,
    /// Table: width below which the column does not go, in pixels.
    width_min: f64,
    /// Table: whether the column can be filtered.
    filterable: bool,
    /// Table: whether the column is left out.
    hidden: bool,
    /// State timeline: space between rows or cells, in pixels.
    state_line_width: f64,
}

/// Settings for the columns that a matcher finds.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// Which columns.
    pub matcher: Matcher,
    /// What is set for them.
    pub options: FieldOptions,
}

/// The settings of a panel's columns: defaults, then overrides in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldConfig {
    /// For every column.
    pub defaults: FieldOptions,
    /// For some; later ones win.
    pub overrides: Vec<Override>,
}

/// Which columns something holds for.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// All of them.
    Any,
    /// None of them.
    Never,
    /// The column of this name, shown or own.
    Name(String),
    /// Columns of these names, or all others.
    Names {
        /// The names.
        names: Vec<String>,
        /// Whether the columns named are the ones left out.
        exclude: bool,
    },
    /// Columns whose shown name has the pattern in it: `/pattern/flags`, or a pattern from end to end.
    Regexp(String),
    /// Columns that any of the names or the pattern fits.
    RegexpOrNames {
        /// A pattern as in [`Matcher::Regexp`].
        pattern: Option<String>,
        /// Names as in [`Matcher::Names`].
        names: Vec<String>,
    },
    /// Columns of one of these types.
    Types(Vec<FieldType>),
    /// Columns of the answer to this query.
    Query(String),
    /// Columns whose reduced value compares so.
    Value {
        /// How the column becomes a value.
        reducer: Reducer,
        /// How it is compared; a reducer that answers yes or no is not compared.
        comparison: Comparison,
        /// What with.
        value: f64,
    },
    /// The first column.
    First,
    /// The first column of times.
    FirstTime,
    /// Columns that the inner one does not find.
    Not(Box<Matcher>),
    /// Columns that all inner ones find.
    All(Vec<Matcher>),
    /// Columns that one of the inner ones finds.
    AnyOf(Vec<Matcher>),
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident: $default:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Grafana's words for them.
            pub const WORDS: &[(&'static str, Self)] = &[$(($word, Self::$variant),)*];
        }

        impl Default for $name {
            fn default() -> Self {
                Self::$default
            }
        }
    };
}
pub(crate) use words;

words! {
    /// What a column holds.
    FieldType: Number {
        /// Numbers.
        Number = "number",
        /// Texts.
        Text = "string",
        /// Points in time.
        Time = "time",
        /// Yes or no.
        Flag = "boolean",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// How two numbers are compared.
    Comparison: GreaterOrEqual {
        /// `>=`
        GreaterOrEqual = "gte",
        /// `>`
        Greater = "gt",
        /// `<=`
        LessOrEqual = "lte",
        /// `<`
        Less = "lt",
        /// `==`
        Equal = "eq",
        /// `!=`
        NotEqual = "neq",
    }
}

impl Comparison {
    /// Whether `left` compares so with `right`.
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::GreaterOrEqual => left >= right,
            Self::Greater => left > right,
            Self::LessOrEqual => left <= right,
            Self::Less => left < right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
        }
    }
}

words! {
    /// What is drawn for each value.
    DrawStyle: Line {
        /// A line through the values.
        Line = "line",
        /// A bar up to each value.
        Bars = "bars",
        /// A point at each value.
        Points = "points",
    }
}

words! {
    /// How points are joined.
    Interpolation: Linear {
        /// Straight.
        Linear = "linear",
        /// Curved, never past the points.
        Smooth = "smooth",
        /// Across at the old value, then to the new one at its time.
        StepAfter = "stepAfter",
        /// To the new value at once, then across.
        StepBefore = "stepBefore",
    }
}

words! {
    /// Whether an area fades.
    Gradient: None {
        /// One colour.
        None = "none",
        /// Fainter towards the axis.
        Opacity = "opacity",
        /// In shades of the column's colour.
        Hue = "hue",
        /// In the colours of the thresholds or of the colour scheme.
        Scheme = "scheme",
    }
}

words! {
    /// When points are drawn on a line.
    ShowPoints: Auto {
        /// When they have room.
        Auto = "auto",
        /// Always.
        Always = "always",
        /// Never; a single value between gaps is one all the same.
        Never = "never",
    }
}

words! {
    /// The values as they are, or turned.
    Negate: None {
        /// As they are.
        None = "none",
        /// Downwards from zero.
        NegativeY = "negative-Y",
        /// Drawn as they are, without touching the axis.
        Constant = "constant",
    }
}

words! {
    /// Which side an axis stands on.
    AxisPlacement: Auto {
        /// The first one left, those with another unit right.
        Auto = "auto",
        /// Left.
        Left = "left",
        /// Right.
        Right = "right",
        /// Not shown.
        Hidden = "hidden",
        /// Bottom.
        Bottom = "bottom",
        /// Top.
        Top = "top",
    }
}

words! {
    /// How thresholds are drawn behind lines.
    ThresholdStyle: Off {
        /// Not at all.
        Off = "off",
        /// As lines.
        Line = "line",
        /// As dashed lines.
        Dashed = "dashed",
        /// As areas.
        Area = "area",
        /// As lines and areas.
        LineAndArea = "line+area",
        /// As dashed lines and areas.
        DashedAndArea = "dashed+area",
        /// By the panel's thresholds.
        Series = "series",
    }
}

words! {
    /// Where the text of a cell stands.
    Align: Auto {
        /// Numbers right, the rest left.
        Auto = "auto",
        /// Left.
        Left = "left",
        /// In the middle.
        Center = "center",
        /// Right.
        Right = "right",
    }
}

words! {
    /// How columns are stacked.
    StackMode: None {
        /// Not at all.
        None = "none",
        /// On each other.
        Normal = "normal",
        /// On each other, as parts of a hundred.
        Percent = "percent",
    }
}

/// Stacking: columns of one group are stacked on each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stacking {
    /// How.
    pub mode: StackMode,
    /// The group's name; Grafana's own is `A`.
    pub group: String,
}

/// What a missing value does to a line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Nulls {
    /// It is a gap.
    #[default]
    Gap,
    /// The line goes on to the next value.
    Connect,
    /// The line goes on if the next value is no more than so many milliseconds away.
    ConnectBelow(f64),
    /// It is a zero, as the legacy graph had it.
    Zero,
}

/// Dashes of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LineStyle {
    /// None.
    #[default]
    Solid,
    /// Lengths of strokes and gaps in turn, in pixels.
    Dash(Vec<f64>),
    /// Dots so far apart, in pixels.
    Dot(Vec<f64>),
}

/// Steps of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scale {
    /// Even.
    #[default]
    Linear,
    /// Logarithmic.
    Log {
        /// 2 or 10.
        base: f64,
    },
    /// Logarithmic on both sides of zero, even near it.
    Symlog {
        /// 2 or 10.
        base: f64,
        /// Even up to here.
        threshold: f64,
    },
}

/// Where a column does not appear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hide {
    /// In the legend.
    pub legend: bool,
    /// In the tooltip.
    pub tooltip: bool,
    /// In the picture.
    pub picture: bool,
}

/// How a cell of a table looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cell {
    /// As the value is.
    #[default]
    Auto,
    /// The text in the value's colour.
    ColorText,
    /// The ground in the value's colour.
    ColorBackground {
        /// Whether the whole row takes it.
        row: bool,
    },
    /// A bar as long as the value.
    Gauge(BarMode),
    /// A small picture of the column's values over time.
    Sparkline,
    /// The structure of the value.
    Json,
}

words! {
    /// The fill of a bar.
    BarMode: Gradient {
        /// From colour to colour of the thresholds.
        Gradient = "gradient",
        /// In the value's colour.
        Basic = "basic",
        /// In small cells, as old displays.
        Lcd = "lcd",
    }
}
