//! A concert's curve as a picture: SVG, which needs no font and no library of the system to be made.

use chrono::{DateTime, Duration, Utc};
use plotters::{
    chart::ChartBuilder,
    drawing::IntoDrawingArea as _,
    element::PathElement,
    prelude::SVGBackend,
    series::LineSeries,
    style::{Color as _, RGBColor, WHITE},
};

use crate::{Error, curve::Point};

/// Of the picture, in pixels.
const SIZE: (u32, u32) = (1_000, 500);
const MARGIN: u32 = 16;
/// Room for what stands at the axes.
const LABELS: (u32, u32) = (36, 70);
/// Lines at both axes, about.
const TICKS: usize = 8;

type Value = fn(&Point) -> i64;

/// What is drawn, from the back to the front.
const LINES: [(&str, RGBColor, Value); 4] = [
    ("capacity", RGBColor(150, 150, 150), |point| point.capacity),
    ("available", RGBColor(0, 114, 178), |point| point.available),
    ("held", RGBColor(230, 159, 0), |point| point.held),
    ("sold", RGBColor(0, 158, 115), |point| point.sold),
];

/// The picture of `points`, of which there is at least one.
pub fn svg(name: &str, points: &[Point]) -> Result<String, Error> {
    let mut text = String::new();
    draw(name, points, &mut text).map_err(|error| Error::Plot(error.to_string()))?;
    Ok(text)
}

fn draw(name: &str, points: &[Point], into: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Err("there is no point".into()) };
    let (begin, end) = (first.recorded_at, last.recorded_at.max(first.recorded_at + Duration::seconds(1)));
    let seconds = |at: DateTime<Utc>| (at - begin).as_seconds_f64();
    let most = points.iter().map(|point| point.capacity).max().unwrap_or_default().max(1);

    let area = SVGBackend::with_string(into, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(name, ("sans-serif", 20))
        .margin(MARGIN)
        .x_label_area_size(LABELS.0)
        .y_label_area_size(LABELS.1)
        .build_cartesian_2d(0.0..seconds(end), 0_i64..most + most / 20 + 1)?;
    let format = if end - begin > Duration::days(2) { "%m-%d %H:%M" } else { "%H:%M:%S" };
    let since = |seconds: &f64| {
        let since = std::time::Duration::try_from_secs_f64(*seconds).unwrap_or_default();
        Duration::from_std(since).unwrap_or_default()
    };
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_labels(TICKS)
        .y_labels(TICKS)
        .x_label_formatter(&|at| (begin + since(at)).format(format).to_string())
        .x_desc(format!("UTC, from {}", begin.format("%F %T")))
        .y_desc("tickets")
        .draw()?;
    for (label, color, value) in LINES {
        // Tickets change at once, not little by little: steps.
        let steps = points.windows(2).flat_map(|pair| {
            [(seconds(pair[0].recorded_at), value(&pair[0])), (seconds(pair[1].recorded_at), value(&pair[0]))]
        });
        let steps = steps.chain([(seconds(last.recorded_at), value(last)), (seconds(end), value(last))]);
        chart
            .draw_series(LineSeries::new(steps, color.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(RGBColor(200, 200, 200)).draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use journal::Position;

    use super::*;

    #[test]
    fn a_curve_is_drawn() {
        let point = |n: i64| Point {
            position: Position(n.unsigned_abs()),
            recorded_at: DateTime::from_timestamp_nanos(n * 1_000_000_000),
            capacity: 100,
            held: n,
            sold: n,
            available: 100 - 2 * n,
        };
        let picture = svg("<Autumn> & 가을밤", &[point(1), point(2), point(40)]).unwrap();
        assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"), "{picture}");
        for text in ["sold", "held", "available", "capacity", "&lt;Autumn&gt; &amp; 가을밤"] {
            assert!(picture.contains(text), "{text} is not in the picture");
        }
        for color in ["#009E73", "#E69F00", "#0072B2"] {
            assert!(picture.contains(color), "no line is {color}");
        }
        assert!(svg("empty", &[]).is_err());
        svg("one", &[point(1)]).unwrap();
    }
}
