//! The plot of a soak: one small picture per measure, all over the same time.

use std::fmt::Write;

use crate::soak::{MEASURES, Sample};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 110.0;
const LEFT: f64 = 60.0;

/// An SVG that can be read on a white page as on a dark one. Each server has its own line.
#[must_use]
pub fn growth(samples: &[Sample]) -> String {
    let all = HEIGHT * MEASURES.len() as f64 + 30.0;
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{all}\" viewBox=\"0 0 {WIDTH} {all}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#6e7681\" role=\"img\">\n\
         <title>What the server held during the soak</title>\n"
    );
    let end = samples.last().map_or(1.0, |sample| sample.seconds).max(1.0);
    for (row, measure) in MEASURES.iter().enumerate() {
        let (top, most) = (HEIGHT * row as f64 + 24.0, samples.iter().map(measure.of).fold(1.0, f64::max));
        let bottom = top + HEIGHT - 34.0;
        // Writing into a `String` does not fail.
        let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"600\">{}</text>", top - 8.0, measure.name);
        for (value, y) in [(most, top), (0.0, bottom)] {
            let (right, shown) = (WIDTH - 10.0, value / measure.unit);
            let _ = writeln!(
                text,
                "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"#8b949e\" stroke-opacity=\"0.3\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{shown:.0}</text>",
                LEFT - 6.0,
                y + 4.0
            );
        }
        for life in samples.chunk_by(|one, next| one.life == next.life) {
            let mut points = String::new();
            for sample in life {
                let x = LEFT + (WIDTH - 10.0 - LEFT) * sample.seconds / end;
                let _ = write!(points, "{x:.1},{:.1} ", bottom - (bottom - top) * (measure.of)(sample) / most);
            }
            let _ = writeln!(
                text,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"#2f81f7\" stroke-width=\"1.5\"/>",
                points.trim_end()
            );
        }
    }
    let _ = writeln!(text, "<text x=\"{LEFT}\" y=\"{}\">{:.0} minutes</text>\n</svg>", all - 8.0, end / 60.0);
    text
}
