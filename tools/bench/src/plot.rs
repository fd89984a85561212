//! Plots as SVG, drawn from the results alone.

use std::path::Path;

use plotters::{
    chart::ChartBuilder,
    coord::combinators::IntoLogRange as _,
    drawing::IntoDrawingArea as _,
    element::{Circle, PathElement},
    series::LineSeries,
    style::{BLACK, Color as _, IntoFont as _, RGBColor, WHITE},
};

use crate::{
    error::Error,
    results::{Results, write},
};

/// A plot of lines over a logarithmic axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plot {
    /// File name without its ending.
    pub file: &'static str,
    /// Title.
    pub title: String,
    /// What goes to the right.
    pub x: &'static str,
    /// What goes up.
    pub y: &'static str,
    /// Whether the values that go up are shares from 0 to 1.
    pub shares: bool,
    /// The lines.
    pub lines: Vec<Line>,
}

/// A line with its name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// In the legend.
    pub name: String,
    /// Points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Thin: what a line beside it is compared with.
    pub thin: bool,
    /// Which colour; lines of one pair have the same.
    pub colour: usize,
}

/// Can be told apart by most people who do not see all colours.
const COLOURS: [RGBColor; 5] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167), RGBColor(86, 86, 86)];

/// All plots for which there are results.
pub fn plots(results: &Results) -> Vec<Plot> {
    let mut plots = vec![];
    if let Some(latency) = &results.latency {
        let mut rates: Vec<f64> = vec![];
        let mut lines = |what: fn(&crate::results::Run) -> &crate::quantiles::Quantiles| {
            let runs = latency.result.runs.iter().filter(|run| what(run).count > 0);
            runs.map(|run| {
                let colour = rates.iter().position(|rate| (rate - run.rate).abs() < 1e-9).unwrap_or_else(|| {
                    rates.push(run.rate);
                    rates.len() - 1
                });
                let who = if run.bare { "bare client" } else { "operator" };
                let points = what(run).curve.iter().map(|&(share, ms)| (ms, share)).collect();
                Line { name: format!("{who}, {} a second", run.rate), points, thin: run.bare, colour }
            })
            .collect::<Vec<_>>()
        };
        let distribution = |file, title: &str, lines| Plot {
            file,
            title: title.to_owned(),
            x: "milliseconds",
            y: "share of lives",
            shares: true,
            lines,
        };
        plots.push(distribution(
            "approve-to-binding",
            "From the answer to an approval until the binding is seen",
            lines(|run| &run.answered),
        ));
        plots.push(distribution(
            "until-to-gone",
            "From the recorded end until the binding is gone",
            lines(|run| &run.gone),
        ));
    }
    if let Some(growth) = &results.growth {
        let points = &growth.result.points;
        let line = |name: &str, colour, value: fn(&crate::results::Standing) -> f64| Line {
            name: name.to_owned(),
            points: points.iter().map(|point| (point.requests as f64, value(point))).collect(),
            thin: false,
            colour,
        };
        let curve = |file, title: &str, y, lines| Plot {
            file,
            title: title.to_owned(),
            x: "requests that wait",
            y,
            shares: false,
            lines,
        };
        plots.push(curve(
            "growth-memory",
            "Memory of the operator",
            "MB",
            vec![
                line("resident", 0, |point| point.memory.now),
                line("peak since its start", 1, |point| point.memory.peak),
            ],
        ));
        plots.push(curve(
            "growth-time",
            "Times",
            "milliseconds",
            vec![
                line("start until ready", 0, |point| point.ready * 1000.0),
                line("request until asked, median", 1, |point| point.notified.p50),
                line("approval until binding, median", 2, |point| point.answered.p50),
            ],
        ));
        plots.push(curve(
            "growth-rest",
            "CPU at rest",
            "ms of CPU a second",
            vec![
                line("operator", 0, |point| point.rest.rate("operator")),
                line("kube-apiserver", 1, |point| point.rest.rate("kube-apiserver")),
            ],
        ));
    }
    plots
}

/// Writes all plots into a folder and returns them.
pub fn draw_all(results: &Results, folder: &Path) -> Result<Vec<Plot>, Error> {
    let plots = plots(results);
    for plot in &plots {
        let path = folder.join(format!("{}.svg", plot.file));
        let svg = draw(plot).map_err(|why| Error::Said(format!("draw {}: {why}", path.display())))?;
        write(&path, &svg)?;
    }
    Ok(plots)
}

/// The plot as SVG.
fn draw(plot: &Plot) -> Result<String, String> {
    let mut svg = String::new();
    let all = || plot.lines.iter().flat_map(|line| &line.points);
    let bounds = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)))
    };
    // A logarithmic axis has no zero.
    let (left, right) = bounds(&mut all().map(|point| point.0.max(1.0)));
    let (_, top) = bounds(&mut all().map(|point| point.1));
    let right = if right > left { right * 1.1 } else { left * 10.0 };
    let top = if plot.shares { 1.0 } else { (top * 1.15).max(1.0) };
    {
        let area = plotters::backend::SVGBackend::with_string(&mut svg, (820, 420)).into_drawing_area();
        let failed = |error: &dyn std::fmt::Display| error.to_string();
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&plot.title, ("sans-serif", 18).into_font())
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right).log_scale(), 0.0..top)
            .map_err(|error| failed(&error))?;
        let whole = |value: &f64| format!("{value:.0}");
        let up = |value: &f64| if plot.shares { format!("{value:.1}") } else { format!("{value:.0}") };
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(plot.x).y_desc(plot.y).light_line_style(WHITE).label_style(("sans-serif", 13));
        mesh.x_label_formatter(&whole).y_label_formatter(&up);
        mesh.draw().map_err(|error| failed(&error))?;
        for line in &plot.lines {
            let colour = COLOURS[line.colour % COLOURS.len()];
            let style = colour.mix(if line.thin { 0.45 } else { 1.0 }).stroke_width(if line.thin { 1 } else { 2 });
            let points: Vec<_> = line.points.iter().map(|point| (point.0.max(1.0), point.1)).collect();
            chart
                .draw_series(LineSeries::new(points.clone(), style))
                .map_err(|error| failed(&error))?
                .label(&line.name)
                .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 18, y)], style));
            if !plot.shares {
                let dots = points.into_iter().map(|point| Circle::new(point, 3, colour.filled()));
                chart.draw_series(dots).map_err(|error| failed(&error))?;
            }
        }
        let mut legend = chart.configure_series_labels();
        legend.background_style(WHITE.mix(0.85)).border_style(BLACK.mix(0.3)).label_font(("sans-serif", 13));
        let corner = if plot.shares {
            plotters::chart::SeriesLabelPosition::LowerRight
        } else {
            plotters::chart::SeriesLabelPosition::UpperLeft
        };
        legend.position(corner).draw().map_err(|error| failed(&error))?;
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_has_its_lines_and_their_names() {
        let line = |name: &str, colour| Line {
            name: name.into(),
            points: vec![(0.0, 0.0), (40.0, 0.5), (900.0, 1.0)],
            thin: colour == 1,
            colour,
        };
        let plot = Plot {
            file: "x",
            title: "Times".into(),
            x: "milliseconds",
            y: "share",
            shares: true,
            lines: vec![line("operator", 0), line("bare client", 1)],
        };
        let svg = draw(&plot).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for word in ["Times", "milliseconds", "share", "operator", "bare client"] {
            assert!(svg.contains(word), "{word}: {svg}");
        }
        assert!(svg.matches("<polyline").count() >= plot.lines.len());
    }

    #[test]
    fn one_point_and_none_are_drawn_too() {
        let plot = Plot { lines: vec![Line { points: vec![(100.0, 0.0)], ..Line::default() }], ..Plot::default() };
        assert!(draw(&plot).unwrap().contains("<circle"));
    }
}
