//! `boxoffice audit curve`.

use std::{
    io::{BufWriter, Stdout, Write},
    path::PathBuf,
    process::ExitCode,
};

use aggregates::ConcertId;
use audit::{Error, Point, Thinned, curve, svg};
use chrono::SecondsFormat;
use clap::Args;
use uuid::Uuid;

use super::place::{Fault, Place, ended, line, out};

/// Of which concert, and how.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The concert.
    concert: Uuid,
    /// Print JSON documents, one a line, instead of CSV.
    #[arg(long)]
    json: bool,
    /// Draw a picture (SVG) into this file instead.
    #[arg(long, value_name = "FILE.svg", conflicts_with = "json")]
    plot: Option<PathBuf>,
}

/// Shows it.
pub(super) async fn run(options: Options) -> ExitCode {
    ended(show(options).await)
}

async fn show(options: Options) -> Result<(), Fault> {
    let Options { place, concert, json, plot } = options;
    if let Some(file) = &plot
        && file.extension().is_none_or(|extension| !extension.eq_ignore_ascii_case("svg"))
    {
        return Err(Fault::Misused(format!("--plot {}: the picture is SVG, so its name ends in .svg", file.display())));
    }
    let concert = ConcertId(concert);
    let mut snapshot = place.snapshot().await?;
    if let Some(file) = plot {
        let mut thinned = Thinned::default();
        let tally = curve(snapshot.connection(), concert, |point| {
            thinned.push(point);
            Ok(())
        })
        .await?;
        let name = tally.terms.map(|terms| terms.name).unwrap_or_default();
        let picture = svg(&name, &thinned.into_points())?;
        return std::fs::write(&file, picture).map_err(|error| {
            Error::Write(std::io::Error::new(error.kind(), format!("{}: {error}", file.display()))).into()
        });
    }
    let mut out = out();
    let mut begun = false;
    curve(snapshot.connection(), concert, |point| {
        if json {
            return line(&mut out, &point);
        }
        if !std::mem::replace(&mut begun, true) {
            writeln!(out, "position,recordedAt,capacity,held,sold,available")?;
        }
        csv(&mut out, &point)
    })
    .await?;
    Ok(out.flush()?)
}

/// Numbers and a time: nothing in it has to be quoted.
fn csv(out: &mut BufWriter<Stdout>, point: &Point) -> Result<(), Error> {
    let Point { position, recorded_at, capacity, held, sold, available } = point;
    let at = recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    Ok(writeln!(out, "{position},{at},{capacity},{held},{sold},{available}")?)
}
