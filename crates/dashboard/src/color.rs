//! Colours: names, palettes and where a column's colour comes from.

use crate::field::words;

/// Where a column's colour comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ColorMode {
    /// This one.
    Fixed(String),
    /// Shades of this one, one a column.
    Shades(String),
    /// The column's place in the classic palette.
    Classic,
    /// The column's name in the classic palette, so that it stays when others come and go.
    ClassicByName,
    /// The threshold that the value has passed.
    #[default]
    Thresholds,
    /// The value's place between the ends, in a row of colours.
    Continuous(Continuous),
}

words! {
    /// Rows of colours.
    Continuous: GreenYellowRed {
        /// Green, yellow, red.
        GreenYellowRed = "continuous-GrYlRd",
        /// Red, yellow, green.
        RedYellowGreen = "continuous-RdYlGr",
        /// Blue, yellow, red.
        BlueYellowRed = "continuous-BlYlRd",
        /// Yellow, red.
        YellowRed = "continuous-YlRd",
        /// Blue, purple.
        BluePurple = "continuous-BlPu",
        /// Yellow, blue.
        YellowBlue = "continuous-YlBl",
        /// Shades of blue.
        Blues = "continuous-blues",
        /// Shades of red.
        Reds = "continuous-reds",
        /// Shades of green.
        Greens = "continuous-greens",
        /// Shades of purple.
        Purples = "continuous-purples",
        /// Viridis.
        Viridis = "continuous-viridis",
        /// Magma.
        Magma = "continuous-magma",
        /// Plasma.
        Plasma = "continuous-plasma",
        /// Inferno.
        Inferno = "continuous-inferno",
        /// Cividis.
        Cividis = "continuous-cividis",
    }
}

impl Continuous {
    /// The colours that the row goes through, in even steps.
    pub fn stops(self) -> &'static [&'static str] {
        match self {
            Self::GreenYellowRed => &["green", "yellow", "red"],
            Self::RedYellowGreen => &["red", "yellow", "green"],
            Self::BlueYellowRed => &["dark-blue", "super-light-yellow", "dark-red"],
            Self::YellowRed => &["super-light-yellow", "dark-red"],
            Self::BluePurple => &["blue", "purple"],
            Self::YellowBlue => &["super-light-yellow", "dark-blue"],
            Self::Blues => &["#e8f1fa", "#0b3c6f"],
            Self::Reds => &["#fbe9e7", "#7f1016"],
            Self::Greens => &["#e9f5e6", "#0d4a20"],
            Self::Purples => &["#f0ebf8", "#3e1470"],
            Self::Viridis => &["#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"],
            Self::Magma => &["#000004", "#51127c", "#b73779", "#fc8961", "#fcfdbf"],
            Self::Plasma => &["#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921"],
            Self::Inferno => &["#000004", "#57106e", "#bc3754", "#f98e09", "#fcffa4"],
            Self::Cividis => &["#00224e", "#434e6c", "#7d7c78", "#bcae6c", "#fee838"],
        }
    }

    /// The colour at a place between 0 and 1.
    pub fn at(self, place: f64) -> Rgba {
        let stops = self.stops();
        let place = if place.is_nan() { 0.0 } else { place.clamp(0.0, 1.0) } * (stops.len() - 1) as f64;
        let from = (place.floor() as usize).min(stops.len() - 2);
        let color = |at: usize| Rgba::parse(stops[at]).unwrap_or(Rgba::GREY);
        color(from).towards(color(from + 1), place - from as f64)
    }
}

/// A colour with its opacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rgba {
    /// Red, green and blue, 0 to 255.
    pub rgb: [u8; 3],
    /// 0, clear, to 1.
    pub alpha: f64,
}

/// The classic palette: a column takes the colour of its place, and the ninth begins again.
///
/// Eight hues that people who see red and green alike tell apart, in the order of greatest distance.
pub const CLASSIC: [&str; 8] = ["#4c9a2a", "#e0a800", "#2f8fd0", "#e0701a", "#d8394c", "#8a63d2", "#16a5a5", "#b8518f"];

/// Families of named colours: each has super-light, light, plain, semi-dark and dark.
const HUES: [(&str, [&str; 5]); 6] = [
    ("red", ["#ffb3b8", "#ff7d86", "#ec4c58", "#d63a47", "#b82633"]),
    ("orange", ["#ffd0a3", "#ffb070", "#fb9334", "#f57e16", "#ef6a02"]),
    ("yellow", ["#fff3a6", "#ffec70", "#f8db30", "#edc60f", "#dcae00"]),
    ("green", ["#c5edb8", "#96d588", "#70bc66", "#539e4c", "#357a31"]),
    ("blue", ["#bfd8ff", "#8bb7fc", "#5a96f0", "#3775da", "#215fc2"]),
    ("purple", ["#dfc0fb", "#c897f3", "#b576e4", "#a054d3", "#8d3ab8"]),
];

impl Rgba {
    /// What stands where a colour is not one.
    pub const GREY: Self = Self { rgb: [0x80, 0x80, 0x80], alpha: 1.0 };

    /// Reads a name of Grafana's (`semi-dark-red`, `text`), a name of CSS that dashboards use, `#rgb`, `#rrggbb`,
    /// `#rrggbbaa`, `rgb()` or `rgba()`. `None` for anything else, so that no text of a file reaches a style sheet.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if let Some(hex) = text.strip_prefix('#') {
            return Self::hex(hex);
        }
        if let Some(parts) = text.strip_prefix("rgba(").or_else(|| text.strip_prefix("rgb(")) {
            return Self::parts(parts.strip_suffix(')')?);
        }
        Self::named(&text)
    }

    fn hex(hex: &str) -> Option<Self> {
        if !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let digits: Vec<u8> = hex.chars().filter_map(|digit| digit.to_digit(16)).map(|digit| digit as u8).collect();
        let pair = |at: usize| digits[at] * 16 + digits[at + 1];
        match digits.len() {
            3 => Some(Self { rgb: [digits[0] * 17, digits[1] * 17, digits[2] * 17], alpha: 1.0 }),
            6 => Some(Self { rgb: [pair(0), pair(2), pair(4)], alpha: 1.0 }),
            8 => Some(Self { rgb: [pair(0), pair(2), pair(4)], alpha: f64::from(pair(6)) / 255.0 }),
            _ => None,
        }
    }

    fn parts(parts: &str) -> Option<Self> {
        let numbers: Option<Vec<f64>> = parts
            .split([',', ' ', '/'])
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok().filter(|number: &f64| number.is_finite()))
            .collect();
        let numbers = numbers?;
        let byte = |at: usize| numbers[at].clamp(0.0, 255.0).round() as u8;
        let alpha = numbers.get(3).map_or(1.0, |alpha| alpha.clamp(0.0, 1.0));
        (3..=4).contains(&numbers.len()).then(|| Self { rgb: [byte(0), byte(1), byte(2)], alpha })
    }

    fn named(name: &str) -> Option<Self> {
        let (shade, hue) = match name.rsplit_once('-') {
            Some(("super-light", hue)) => (0, hue),
            Some(("light", hue)) => (1, hue),
            Some(("semi-dark", hue)) => (3, hue),
            Some(("dark", hue)) => (4, hue),
            Some(_) => return None,
            None => (2, name),
        };
        if let Some((_, shades)) = HUES.iter().find(|(family, _)| *family == hue) {
            return Self::parse(shades[shade]);
        }
        let hex = match name {
            "transparent" => return Some(Self { rgb: [0, 0, 0], alpha: 0.0 }),
            "text" | "panel-bg" => "#888e99",
            "white" => "#ffffff",
            "black" => "#000000",
            "gray" | "grey" => "#808080",
            "brown" => "#a52a2a",
            "cyan" | "aqua" => "#00ffff",
            "magenta" | "fuchsia" => "#ff00ff",
            "pink" => "#ffc0cb",
            "teal" => "#008080",
            "navy" => "#000080",
            "lime" => "#00ff00",
            "maroon" => "#800000",
            "olive" => "#808000",
            "silver" => "#c0c0c0",
            "violet" => "#ee82ee",
            "indigo" => "#4b0082",
            "gold" => "#ffd700",
            _ => return None,
        };
        Self::parse(hex)
    }

    /// The colour so far, 0 to 1, on the way to another one.
    pub fn towards(self, other: Self, part: f64) -> Self {
        let mix = |at: usize| {
            let (from, to) = (f64::from(self.rgb[at]), f64::from(other.rgb[at]));
            (from + (to - from) * part).round().clamp(0.0, 255.0) as u8
        };
        Self { rgb: [mix(0), mix(1), mix(2)], alpha: self.alpha + (other.alpha - self.alpha) * part }
    }

    /// As CSS has it: `#rrggbb`, or with two more digits where it is not opaque.
    pub fn css(self) -> String {
        let [red, green, blue] = self.rgb;
        if self.alpha >= 1.0 {
            return format!("#{red:02x}{green:02x}{blue:02x}");
        }
        format!("#{red:02x}{green:02x}{blue:02x}{:02x}", (self.alpha * 255.0).round() as u8)
    }
}

/// The colour of the column at a place, in the classic palette.
pub fn classic(place: usize) -> Rgba {
    Rgba::parse(CLASSIC[place % CLASSIC.len()]).unwrap_or(Rgba::GREY)
}

/// The colour of a name in the classic palette: the same name has the same colour in every panel.
pub fn classic_by_name(name: &str) -> Rgba {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    classic(hash as usize)
}

/// The shade of a colour for the column at a place among so many.
pub fn shade(base: Rgba, place: usize, count: usize) -> Rgba {
    if count < 2 {
        return base;
    }
    let part = place as f64 / (count - 1) as f64;
    let (light, dark) = (Rgba { rgb: [255; 3], alpha: 1.0 }, Rgba { rgb: [0; 3], alpha: 1.0 });
    if part < 0.5 { base.towards(light, (0.5 - part) * 0.9) } else { base.towards(dark, (part - 0.5) * 0.9) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_read() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Rgba::parse(text).map(Rgba::css).as_deref(), expected, "{text}");
        };
        check("#FFF", Some("#ffffff"));
        check("#890f02", Some("#890f02"));
        check("#890f0280", Some("#890f0280"));
        check("rgba(50, 172, 45, 0.97)", Some("#32ac2df7"));
        check("rgb(50,172,45)", Some("#32ac2d"));
        check("green", Some("#70bc66"));
        check("semi-dark-red", Some("#d63a47"));
        check("super-light-blue", Some("#bfd8ff"));
        check("transparent", Some("#00000000"));
        check("Light-Green", Some("#96d588"));
        check("red;background:url(x)", None);
        check("#12345", None);
        check("#ggg", None);
        check("rgba(1,2)", None);
        check("rgba(1,2,3,NaN)", None);
        check("", None);
        check("odd-red", None);
        check("#é", None);
    }

    #[test]
    fn rows_of_colors_are_even() {
        let check = |place: f64, expected: &str| {
            assert_eq!(Continuous::Viridis.at(place).css(), expected, "{place}");
        };
        check(0.0, "#440154");
        check(-3.0, "#440154");
        check(0.25, "#3b528b");
        check(1.0, "#fde725");
        check(f64::NAN, "#440154");
        check(f64::INFINITY, "#fde725");
    }
}
