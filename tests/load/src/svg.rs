//! A line chart as plain SVG: growth on a logarithmic axis, cost on a linear one.

use std::fmt::Write as _;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 52.0;
/// Told apart on white and by people who see few colours.
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#555555", "#e69f00"];

/// One line: its name and its points.
#[derive(Clone, Debug)]
pub struct Series {
    /// Written at its end.
    pub name: String,
    /// Abscissa and ordinate, in order; both finite, the abscissa positive.
    pub points: Vec<(f64, f64)>,
}

/// What stands around the lines.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// Above.
    pub title: &'a str,
    /// Under the logarithmic axis.
    pub x: &'a str,
    /// Beside the linear axis, which begins at 0.
    pub y: &'a str,
}

/// Draws the chart. Series without points are left out.
#[must_use]
pub fn chart(labels: &Labels<'_>, series: &[Series]) -> String {
    let points = || series.iter().flat_map(|series| series.points.iter().copied());
    let mut ticks: Vec<f64> = points().map(|(x, _)| x).collect();
    ticks.sort_by(f64::total_cmp);
    ticks.dedup();
    let (low, high) =
        (ticks.first().copied().unwrap_or(1.0), ticks.last().copied().unwrap_or(10.0));
    let span = (high / low).ln().max(f64::EPSILON);
    let (step, top) = round_steps(points().map(|(_, y)| y).fold(0.0, f64::max));
    let x = |value: f64| LEFT + (value / low).ln() / span * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\" role=\"img\">\n<title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{title}</text>\n",
        title = escaped(labels.title),
    );
    let mut line = 0.0;
    while line <= top + step / 2.0 {
        let _ = writeln!(
            out,
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            y(line) + 4.0,
            (line * 1000.0).round() / 1000.0,
            at = y(line),
        );
        line += step;
    }
    for tick in &ticks {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            x(*tick),
            HEIGHT - BOTTOM + 18.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 14.0,
        escaped(labels.x),
        (TOP + HEIGHT - BOTTOM) / 2.0,
        escaped(labels.y),
    );
    let ends = series.iter().map(|series| series.points.last().map(|&(_, end)| y(end) + 4.0));
    let places = apart(&ends.collect::<Vec<_>>());
    for ((series, colour), at) in series.iter().zip(COLOURS.iter().cycle()).zip(places) {
        let (Some(&(end_x, _)), Some(at)) = (series.points.last(), at) else { continue };
        let path: Vec<String> =
            series.points.iter().map(|p| format!("{:.1},{:.1}", x(p.0), y(p.1))).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.join(" ")
        );
        for p in &series.points {
            let (x, y) = (x(p.0), y(p.1));
            let _ =
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{at:.1}\" fill=\"{colour}\">{}</text>",
            x(end_x) + 8.0,
            escaped(&series.name)
        );
    }
    out.push_str("</svg>\n");
    out
}

/// Where the names of lines stand that end there: from the lowest one up, none on another.
fn apart(ends: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<usize> = (0..ends.len()).filter(|&at| ends[at].is_some()).collect();
    order.sort_by(|a, b| ends[*b].partial_cmp(&ends[*a]).unwrap_or(std::cmp::Ordering::Equal));
    let mut places = vec![None; ends.len()];
    let mut lowest = HEIGHT - BOTTOM;
    for at in order {
        places[at] = ends[at].map(|end| end.min(lowest));
        lowest = places[at].unwrap_or(lowest) - 13.0;
    }
    places
}

/// Distance of the grid's lines and the highest of them: 1, 2 or 5 times a power of ten, four to ten lines.
fn round_steps(highest: f64) -> (f64, f64) {
    let rough = (highest / 5.0).max(1e-9);
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    (step, (highest / step).ceil().max(1.0) * step)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grid_has_round_steps_and_holds_the_highest_point() {
        for highest in [0.03, 0.9, 7.2, 10.0, 44.0, 980.0] {
            let (step, top) = round_steps(highest);
            assert!(top >= highest && top / step <= 10.5 && top / step >= 1.0, "{highest}");
        }
    }

    #[test]
    fn names_of_lines_that_end_together_lie_apart_and_above_the_axis() {
        let places =
            apart(&[Some(349.0), None, Some(347.5), Some(343.8), Some(100.0), Some(380.0)]);
        assert_eq!(places, [Some(349.0), None, Some(336.0), Some(323.0), Some(100.0), Some(368.0)]);
    }

    #[test]
    fn every_point_is_drawn_inside_the_frame() {
        let series = [
            Series { name: "a<b".into(), points: vec![(10.0, 4.0), (1000.0, 3.0)] },
            Series { name: "none".into(), points: Vec::new() },
        ];
        let svg = chart(&Labels { title: "t", x: "calls", y: "% of a core" }, &series);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.contains("a&lt;b") && !svg.contains("NaN"));
        assert!(svg.contains("cx=\"64.0\"") && svg.contains("cx=\"590.0\""), "{svg}");
    }
}
