//! The figures as pictures: SVG, with text that the viewer sets.

use std::{
    fs,
    path::{Path, PathBuf},
};

use plotters::{coord::Shift, prelude::*};

use super::{Figures, Report};
use crate::{
    error::{Doing as _, Error},
    scenarios::Name,
};

/// Width and height of a picture, in pixels.
const SIZE: (u32, u32) = (960, 540);
/// Sizes of text, in pixels.
const CAPTION: i32 = 22;
const LABEL: i32 = 15;
const FONT: &str = "sans-serif";
/// Room for the names of scenarios, and for other labels.
const NAMES_WIDTH: u32 = 190;
const LABELS: u32 = 70;
/// Percentiles that a curve is drawn through, as one in so many that takes longer.
const ONE_IN: [f64; 13] = [2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 2_000.0, 5_000.0, 10_000.0];
/// What is done for a booking, by everybody who does it.
const BOOKING: [Name; 8] = [
    Name::NaiveEsPeer,
    Name::CrudPeer,
    Name::Book,
    Name::Growth,
    Name::Many,
    Name::Accept,
    Name::CrudPeerLifecycle,
    Name::Lifecycle,
];

type Drawn<T> = Result<T, Box<dyn std::error::Error>>;
type Picture = fn(&Report, &Area<'_>) -> Drawn<bool>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws what there are figures for, into `directory`; the files.
pub(crate) fn draw(report: &Report, directory: &Path) -> Result<Vec<PathBuf>, Error> {
    fs::create_dir_all(directory).doing(format!("creating {}", directory.display()))?;
    let pictures: [(&str, Picture); 3] =
        [("throughput.svg", throughput), ("latency.svg", latency), ("growth.svg", growth)];
    let mut files = Vec::new();
    for (name, picture) in pictures {
        let mut text = String::new();
        let drawn = paint(&mut text, report, picture)
            .map_err(|error| Error::Plot { what: name.to_owned(), why: error.to_string() })?;
        if drawn {
            let file = directory.join(name);
            fs::write(&file, text).doing(format!("writing {}", file.display()))?;
            files.push(file);
        }
    }
    Ok(files)
}

fn paint(text: &mut String, report: &Report, picture: Picture) -> Drawn<bool> {
    let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let drawn = picture(report, &area)?;
    area.present()?;
    Ok(drawn)
}

fn measured<'a>(report: &'a Report, names: &'a [Name]) -> impl Iterator<Item = (Name, &'a Figures)> {
    names.iter().filter_map(|name| Some((*name, report.scenarios.get(name)?.figures()?)))
}

/// Bars from nothing to the median, with the least and the most round.
#[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
fn throughput(report: &Report, area: &Area<'_>) -> Drawn<bool> {
    let mut bars: Vec<_> = measured(report, &BOOKING).collect();
    // The first of them stands at the top.
    bars.reverse();
    let most = bars.iter().map(|(_, figures)| figures.per_second_most).fold(0.0, f64::max);
    if most <= 0.0 {
        return Ok(false);
    }
    let mut chart = ChartBuilder::on(area)
        .caption("Bookings and lifecycles a second (median; least and most round)", (FONT, CAPTION))
        .margin(15)
        .margin_right(50)
        .x_label_area_size(LABELS)
        .y_label_area_size(NAMES_WIDTH)
        .build_cartesian_2d(0.0..most * 1.1, 0.0..bars.len() as f64)?;
    let name_of = |y: &f64| {
        let nth = bars.iter().enumerate().find(|(nth, _)| (*nth as f64 + 0.5 - y).abs() < 0.01);
        nth.map_or_else(String::new, |(_, (name, _))| name.as_str().to_owned())
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(2 * bars.len() + 1)
        .y_label_formatter(&name_of)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style((FONT, LABEL))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (nth, (name, figures)) in bars.iter().enumerate() {
        let (from, middle, to) = (nth as f64 + 0.2, nth as f64 + 0.5, nth as f64 + 0.8);
        let colour = colour(*name);
        chart.draw_series([Rectangle::new([(0.0, from), (figures.per_second, to)], colour.mix(0.75).filled())])?;
        let whisker = vec![(figures.per_second_least, middle), (figures.per_second_most, middle)];
        chart.draw_series([PathElement::new(whisker, BLACK.stroke_width(2))])?;
        let label = format!("{:.0}", figures.per_second);
        chart.draw_series([Text::new(label, (figures.per_second_most + most * 0.01, middle + 0.1), (FONT, LABEL))])?;
    }
    Ok(true)
}

/// Percentiles at half of the maximum rate.
fn latency(report: &Report, area: &Area<'_>) -> Drawn<bool> {
    let curves: Vec<_> = measured(report, &BOOKING)
        .map(|(name, figures)| {
            let point = |one_in: f64| Some((one_in, figures.histogram.millis(1.0 - 1.0 / one_in)?));
            (name, figures, ONE_IN.into_iter().filter_map(point).collect::<Vec<_>>())
        })
        .filter(|(.., points)| !points.is_empty())
        .collect();
    let all = || curves.iter().flat_map(|(.., points)| points.iter().map(|(_, millis)| *millis));
    let (Some(least), Some(most)) = (all().reduce(f64::min), all().reduce(f64::max)) else { return Ok(false) };
    let mut chart = ChartBuilder::on(area)
        .caption("Time until answered, at half of each maximum rate (open loop)", (FONT, CAPTION))
        .margin(15)
        .margin_right(50)
        .x_label_area_size(LABELS)
        .y_label_area_size(LABELS)
        .build_cartesian_2d((2.0..10_000.0_f64).log_scale(), (least.max(0.1) * 0.8..most * 1.3).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("percentile")
        .y_desc("milliseconds")
        .x_label_formatter(&|one_in| format!("{:.2} %", 100.0 - 100.0 / one_in))
        .y_label_formatter(&|millis| format!("{millis}"))
        .label_style((FONT, LABEL))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (name, figures, points) in curves {
        let colour = colour(name);
        let label = format!("{} at {:.0}/s", name.as_str(), figures.latency_at_per_second.unwrap_or(0.0));
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    legend(&mut chart, SeriesLabelPosition::LowerRight)?;
    Ok(true)
}

/// Every round by how long the log was when it began.
#[expect(clippy::cast_precision_loss, reason = "events are far below 2^52")]
fn growth(report: &Report, area: &Area<'_>) -> Drawn<bool> {
    let names = [Name::Book, Name::Growth, Name::Many];
    let series: Vec<_> = measured(report, &names)
        .map(|(name, figures)| {
            let rounds = figures.rounds.iter().map(|round| (round.journal_before as f64, round.per_second));
            (name, rounds.collect::<Vec<_>>())
        })
        .collect();
    let all = || series.iter().flat_map(|(_, points)| points.iter().copied());
    let events = all().map(|(events, _)| events).reduce(f64::max);
    let (Some(events), Some(most)) = (events, all().map(|(_, rate)| rate).reduce(f64::max)) else { return Ok(false) };
    let mut chart = ChartBuilder::on(area)
        .caption("Bookings a second by the length of the log", (FONT, CAPTION))
        .margin(15)
        .margin_right(50)
        .x_label_area_size(LABELS)
        .y_label_area_size(LABELS)
        .build_cartesian_2d(0.0..events * 1.1, 0.0..most * 1.2)?;
    chart
        .configure_mesh()
        .x_desc("events in the journal")
        .y_desc("bookings a second")
        .x_label_formatter(&|events| format!("{events:.0}"))
        .y_label_formatter(&|rate| format!("{rate:.0}"))
        .label_style((FONT, LABEL))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (name, points) in series {
        let colour = colour(name);
        let dots = points.into_iter().map(|at| Circle::new(at, 5, colour.filled()));
        chart.draw_series(dots)?.label(name.as_str()).legend(move |(x, y)| Circle::new((x + 9, y), 5, colour.filled()));
    }
    legend(&mut chart, SeriesLabelPosition::LowerLeft)?;
    Ok(true)
}

fn legend<'a, 'b: 'a, X: Ranged, Y: Ranged>(
    chart: &mut ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>,
    position: SeriesLabelPosition,
) -> Drawn<()> {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, LABEL))
        .draw()
        .map_err(|error| error.to_string().into())
}

/// The same in every picture, and told apart without colour vision.
const fn colour(name: Name) -> RGBColor {
    match name {
        Name::Book => RGBColor(0, 114, 178),
        Name::Lifecycle => RGBColor(213, 94, 0),
        Name::Growth => RGBColor(0, 158, 115),
        Name::Many => RGBColor(86, 180, 233),
        Name::Accept => RGBColor(204, 121, 167),
        Name::CrudPeer => RGBColor(110, 110, 110),
        Name::CrudPeerLifecycle => RGBColor(160, 130, 90),
        Name::NaiveEsPeer => RGBColor(0, 0, 0),
        Name::HttpLimit
        | Name::JournalLimit
        | Name::ScanLimit
        | Name::ReadsHistory
        | Name::ReadsConcert
        | Name::SellOut
        | Name::RebuildTicketCounts
        | Name::RebuildMypage
        | Name::Verify => RGBColor(230, 159, 0),
    }
}
