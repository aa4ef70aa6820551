//! Small pictures: what every plot is made of.
//!
//! The background is left open, and text and colours are of a middle brightness, so that a picture can be read on a white
//! page as on a dark one. A crate that draws plots would bring fonts and backends for what is 100 lines here.

use std::fmt::Write;

use crate::results::{Contestant, Role};

/// What names and labels are written in.
const TEXT: &str = "#6e7681";
/// Lines of the grid; faint on either ground.
const GRID: &str = "#8b949e";

/// Where a text stands in relation to its point.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Is centred there.
    Middle,
    /// Ends there.
    End,
}

/// A picture that grows.
#[derive(Debug)]
pub struct Picture {
    width: f64,
    height: f64,
    body: String,
}

// Writing into a `String` does not fail.
impl Picture {
    /// An empty one.
    #[must_use]
    pub fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    /// A text, `size` high.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, size: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" font-size="{size}">{text}</text>"#
        );
    }

    /// A heading.
    pub fn heading(&mut self, (x, y): (f64, f64), text: &str) {
        let text = escaped(text);
        let _ = writeln!(self.body, r#"<text x="{x:.1}" y="{y:.1}" font-size="13" font-weight="600">{text}</text>"#);
    }

    /// A line of the grid.
    pub fn grid(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line(from, to, GRID, 1.0, 0.25);
    }

    /// A line.
    pub fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), colour: &str, width: f64, opacity: f64) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}" stroke-width="{width}" stroke-opacity="{opacity}"/>"#
        );
    }

    /// A bar of a contestant: filled, or only outlined when it is a ceiling.
    pub fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), look: Look) {
        let (colour, fill) = (look.colour, if look.outlined { 0.15 } else { 0.85 });
        let dash = if look.outlined { r#" stroke-dasharray="3 2""# } else { "" };
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}" fill-opacity="{fill}" stroke="{colour}"{dash}/>"#
        );
    }

    /// A line through points, with a dot at each if they are few.
    pub fn curve(&mut self, points: &[(f64, f64)], look: Look) {
        let mut path = String::new();
        for (x, y) in points {
            let _ = write!(path, "{x:.1},{y:.1} ");
        }
        let (colour, path) = (look.colour, path.trim_end());
        let dash = if look.outlined { r#" stroke-dasharray="4 3""# } else { "" };
        let _ = writeln!(
            self.body,
            r#"<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"{dash}/>"#
        );
        if points.len() <= 10 {
            for (x, y) in points {
                let _ = writeln!(self.body, r#"<circle cx="{x:.1}" cy="{y:.1}" r="2.5" fill="{colour}"/>"#);
            }
        }
    }

    /// The names of contestants with their colours, from a point to the right.
    pub fn legend(&mut self, (mut x, y): (f64, f64), entries: &[(&str, Look)]) {
        for (name, look) in entries {
            self.bar((x, y - 9.0), (14.0, 9.0), *look);
            self.text((x + 19.0, y), Anchor::Start, 12.0, name);
            x += 19.0 + 6.6 * name.chars().count() as f64 + 18.0;
        }
    }

    /// The whole picture; `title` is for those who cannot see it.
    #[must_use]
    pub fn finish(self, title: &str) -> String {
        let Self { width, height, body } = self;
        let title = escaped(title);
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="system-ui, -apple-system, 'Segoe UI', sans-serif" fill="{TEXT}" role="img">
<title>{title}</title>
{body}</svg>
"#
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('`', "")
}

/// How a contestant is drawn, the same in every plot.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    colour: &'static str,
    /// Ceilings are bounds, not servers.
    outlined: bool,
}

impl Look {
    /// Of a contestant among all.
    #[must_use]
    pub fn of(id: &str, all: &[Contestant]) -> Self {
        const PEERS: [&str; 5] = ["#d4852b", "#a371f7", "#2da44e", "#db61a2", "#b08b4f"];
        let role = all.iter().find(|who| who.id == id).map(|who| who.role);
        match role {
            Some(Role::Subject) => Self { colour: "#2f81f7", outlined: false },
            Some(Role::Peer) => {
                let place = all.iter().filter(|who| who.role == Role::Peer).position(|who| who.id == id);
                Self { colour: PEERS[place.unwrap_or(0) % PEERS.len()], outlined: false }
            }
            Some(Role::Ceiling) | None => Self { colour: GRID, outlined: true },
        }
    }

    /// Of the n-th of several lines of one contestant.
    #[must_use]
    pub fn nth(n: usize) -> Self {
        const LINES: [&str; 5] = ["#2f81f7", "#d4852b", "#2da44e", "#a371f7", "#db61a2"];
        Self { colour: LINES[n % LINES.len()], outlined: false }
    }

    /// Its colour.
    #[must_use]
    pub fn colour(self) -> &'static str {
        self.colour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_end_the_picture() {
        let mut picture = Picture::new(10.0, 10.0);
        picture.text((0.0, 0.0), Anchor::Start, 12.0, "a < b & `c`");
        assert!(picture.finish("x").contains(">a &lt; b &amp; c</text>"));
    }
}
